-- REAPER's script window: `gfx`, which raises on what the real one lacks, and a user in front of it.
--
-- Every row was compared by reading with the published definitions of REAPER's `gfx` (the Lua
-- definitions generated from the ReaScript page, 5.95 and 7). Numbers come as floats, as REAPER's
-- do. Text is as wide as half its size a character; what is painted over is gone, and two texts
-- that overlap are a mistake.
local check, scale = ...

local FUNCTIONS = { -- as in fake_reaper.lua
  dock = "nn?n?n?n?>nn?n?n?n?", drawstr = "sn?n?n?>n", getchar = "n?n?>n", init = "sn?n?n?n?n?>n",
  measurestr = "s>nn", quit = ">n", rect = "nnnnn?>n", set = "nn?n?n?n?n?>n", setfont = "ns?n?n?>n",
  update = ">n",
}
local WRITABLE = { x = true, y = true, clear = true, ext_retina = true, mouse_wheel = true }
local vars = {
  x = 0.0, y = 0.0, w = 0.0, h = 0.0, clear = 0.0, ext_retina = 0.0, texth = 8.0,
  mouse_x = 0.0, mouse_y = 0.0, mouse_cap = 0.0, mouse_wheel = 0.0,
}
local window = { is_open = false, dock = 0.0, font = nil, is_dirty = false, frames = 0, titles = {} }
local screen, fills, keys, cut, frames = {}, {}, {}, {}, {}
local ui = { window = window } -- the user; each verb lasts until the script has had its turns

-- The first stroke after an update begins with a cleared window.
local function stroke()
  assert(window.is_open, "nothing can be drawn without a window")
  if not window.is_dirty then
    screen, fills, window.is_dirty = {}, {}, true
  end
end

local function refuse_overlap()
  for i, one in ipairs(screen) do
    for k = i + 1, #screen do
      local two = screen[k]
      local apart = one.x + one.w <= two.x or two.x + two.w <= one.x
        or one.y + one.h <= two.y or two.y + two.h <= one.y
      assert(apart, "'" .. one.text .. "' and '" .. two.text .. "' overlap")
    end
  end
end

local impl = {}

function impl.init(name, width, height, docked)
  assert(name ~= "" or window.is_open, "a window without a title")
  if name ~= "" then window.titles[#window.titles + 1] = name end
  window.is_open = true
  if docked then window.dock = docked + 0.0 end
  vars.w, vars.h = (width or 0) + 0.0, (height or 0) + 0.0
  if vars.ext_retina == 1 then vars.ext_retina = scale or 1.0 end
  return 1.0
end

function impl.getchar(char)
  assert(char == nil or char == 0, "only the queue of keys is there")
  if not window.is_open then return -1.0 end
  return table.remove(keys, 1) or 0.0
end

function impl.update()
  if window.is_dirty then
    refuse_overlap()
    window.frames, window.is_dirty = window.frames + 1, false
    frames[window.frames] = ui.seen()
  end
  return 0.0
end

function impl.quit()
  window.is_open = false
  return 0.0
end

function impl.dock(state, ...)
  if state >= 0 then window.dock = state + 0.0 end
  if select("#", ...) == 0 then return window.dock end
  return window.dock, 10.0, 20.0, vars.w, vars.h
end

function impl.set(red, green, blue)
  for _, part in ipairs({ red, green, blue }) do assert(part >= 0 and part <= 1, "a colour is 0 to 1") end
  return 0.0
end

function impl.setfont(index, face, size)
  assert(index >= 1 and index <= 16 and face and size >= 8 and size <= 100, "no such font")
  window.font, vars.texth = size, size + 2.0
  return 1.0
end

function impl.measurestr(text)
  assert(window.font, "no font is chosen")
  return utf8.len(text) * window.font / 2, vars.texth
end

function impl.rect(x, y, w, h, filled)
  stroke()
  assert(w >= 0 and h >= 0, "a rectangle of less than nothing")
  if filled == 0 then return 0.0 end
  local left = {}
  for _, item in ipairs(screen) do
    local middle_x, middle_y = item.x + item.w / 2, item.y + item.h / 2
    local is_hidden = middle_x >= x and middle_x < x + w and middle_y >= y and middle_y < y + h
    if not is_hidden then left[#left + 1] = item end
  end
  screen = left
  fills[#fills + 1] = { x = x, y = y, w = w, h = h }
  return 0.0
end

function impl.drawstr(text, flags, right, bottom)
  stroke()
  local w, h = impl.measurestr(text)
  assert(right and bottom and flags & 256 == 0, "the text may run over everything")
  assert(vars.x >= 0 and right <= vars.w + 1, "'" .. text .. "' is outside of the window")
  local room = right - vars.x
  if w > room then
    cut[#cut + 1] = text
    w = room
  end
  local x = flags & 1 ~= 0 and vars.x + (room - w) / 2 or vars.x
  local y = flags & 4 ~= 0 and vars.y + (bottom - vars.y - h) / 2 or vars.y
  if text ~= "" then screen[#screen + 1] = { text = text, x = x, y = y, w = w, h = h } end
  vars.x = x + w
  return 0.0
end

gfx = setmetatable({}, { -- luacheck: ignore
  __index = function(_, name)
    if vars[name] then return vars[name] end
    local takes, gives = (FUNCTIONS[name] or error("gfx has no " .. tostring(name), 2)):match("^(.-)>(.*)$")
    return function(...)
      check("gfx." .. name, "argument", takes, table.pack(...))
      local given = table.pack(impl[name](...))
      check("gfx." .. name, "result", gives, given)
      return table.unpack(given, 1, given.n)
    end
  end,
  __newindex = function(_, name, value)
    assert(WRITABLE[name] and type(value) == "number", "gfx." .. tostring(name) .. " is not to be set")
    vars[name] = value + 0.0
  end,
})

function ui.turns(count)
  for _ = 1, count do coroutine.yield() end
end

-- All that is seen, a text a line.
function ui.seen()
  local words = {}
  for i, item in ipairs(screen) do words[i] = item.text end
  return table.concat(words, "\n")
end

function ui.until_true(what, is_true)
  local deadline_s = os.time() + 30
  while not is_true() do
    assert(os.time() < deadline_s, what .. " never came. Seen:\n" .. ui.seen())
    coroutine.yield()
  end
end

function ui.wait(text)
  ui.until_true(text, function() return ui.seen():find(text, 1, true) end)
end

function ui.wait_gone(text)
  ui.until_true("the end of " .. text, function() return not ui.seen():find(text, 1, true) end)
end

-- All that was ever seen.
function ui.history() return table.concat(frames, "\n") end

-- Press keys: a text's characters, or a code.
function ui.keys(...)
  for _, key in ipairs({ ... }) do
    if type(key) == "number" then
      keys[#keys + 1] = key + 0.0
    else
      for _, code in utf8.codes(key) do
        keys[#keys + 1] = (code < 256 and code or string.byte("u") << 24 | code) + 0.0
      end
    end
  end
  ui.until_true("a look at the keys", function() return #keys == 0 end)
  ui.turns(2)
end

function ui.tab(count, with_shift)
  vars.mouse_cap = with_shift and 8.0 or 0.0
  ui.keys(string.rep("\t", count))
  vars.mouse_cap = 0.0
end

function ui.find(text)
  for _, item in ipairs(screen) do
    if item.text:find(text, 1, true) then return item end
  end
  error("nothing says '" .. text .. "'. Seen:\n" .. ui.seen())
end

-- Click on a text, or to the right of it.
function ui.click(text, right_by)
  local item = ui.find(text)
  vars.mouse_x = right_by and item.x + item.w + right_by or item.x + item.w / 2
  vars.mouse_y = item.y + item.h / 2
  ui.turns(2)
  vars.mouse_cap = 1.0
  ui.turns(2)
  vars.mouse_cap = 0.0
  ui.turns(2)
end

function ui.wheel(by)
  vars.mouse_wheel = by + 0.0
  ui.turns(2)
end

function ui.resize(width, height)
  vars.w, vars.h = width + 0.0, height + 0.0
  ui.turns(3)
end

-- The window's own cross.
function ui.close()
  window.is_open = false
  ui.turns(2)
end

function ui.cut() return table.concat(cut, "|") end

-- The longest bar of a height in the window, as a share of another one at its place.
function ui.bar()
  for i = 2, #fills do
    local under, over = fills[i - 1], fills[i]
    if under.h == 5 and over.h == 5 and under.y == over.y then return over.w / under.w end
  end
  return nil
end

return ui
