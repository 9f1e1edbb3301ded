-- A line of text that is typed into: characters and a caret. Draws nothing.

local Field = {}
Field.__index = Field

local BACKSPACE = 8
-- REAPER names other keys by their letters: 'left' is four bytes of one number.
local function named(name)
  local code = 0
  for byte in name:gmatch(".") do code = code << 8 | byte:byte() end
  return code
end
local LEFT, RIGHT, HOME, END, DELETE = named("left"), named("rght"), named("home"), named("end"), named("del")
local UNICODE = string.byte("u")

function Field.new()
  return setmetatable({ chars = {}, caret = 0, first = 0 }, Field)
end

function Field:text() return table.concat(self.chars) end

function Field:set(text)
  self.chars = {}
  for char in text:gmatch(utf8.charpattern) do self.chars[#self.chars + 1] = char end
  self:leave()
end

-- Back to the start: what nobody types into is read from there.
function Field:leave() self.caret, self.first = 0, 0 end

-- The character that a key types, or nil.
local function typed(key)
  if key >= 32 and key < 127 or key >= 160 and key < 256 then return utf8.char(key) end
  if key >> 24 == UNICODE then return utf8.char(key & 0xffffff) end
  return nil
end

-- One key of gfx.getchar, as an integer.
function Field:key(key)
  local char = typed(key)
  if char then
    table.insert(self.chars, self.caret + 1, char)
    self.caret = self.caret + 1
  elseif key == BACKSPACE and self.caret > 0 then
    table.remove(self.chars, self.caret)
    self.caret = self.caret - 1
  elseif key == DELETE and self.caret < #self.chars then
    table.remove(self.chars, self.caret + 1)
  elseif key == LEFT then
    self.caret = math.max(0, self.caret - 1)
  elseif key == RIGHT then
    self.caret = math.min(#self.chars, self.caret + 1)
  elseif key == HOME then
    self.caret = 0
  elseif key == END then
    self.caret = #self.chars
  end
end

local function part(self, from, to) return table.concat(self.chars, "", from + 1, to) end

-- What is seen in a width, and how far from its left edge the caret is.
function Field:view(width, measure)
  self.first = math.min(self.first, self.caret)
  while self.first < self.caret and measure(part(self, self.first, self.caret)) > width do
    self.first = self.first + 1
  end
  return part(self, self.first, #self.chars), measure(part(self, self.first, self.caret))
end

-- Put the caret where the mouse is, counted from the left edge.
function Field:point(x, measure)
  self.caret = #self.chars
  for i = self.first + 1, #self.chars do
    local before, after = measure(part(self, self.first, i - 1)), measure(part(self, self.first, i))
    if x < (before + after) / 2 then
      self.caret = i - 1
      return
    end
  end
end

return Field
