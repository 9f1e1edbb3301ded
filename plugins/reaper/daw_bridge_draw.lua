-- What the panel draws with. Lengths are for a scale of 1; REAPER's window may have more pixels.

local draw = { scale = 1 }

local FONT, FONT_SIZE = "Arial", 14
local CENTRE_X, CENTRE_Y = 1, 4
local COLOURS = {
  back = { 0.11, 0.12, 0.13 }, raised = { 0.20, 0.22, 0.24 }, hover = { 0.26, 0.29, 0.32 },
  sunk = { 0.07, 0.08, 0.09 }, line = { 0.30, 0.33, 0.36 }, text = { 0.91, 0.92, 0.93 },
  dim = { 0.64, 0.67, 0.70 }, accent = { 0.36, 0.68, 0.98 }, error = { 1.00, 0.54, 0.50 },
  done = { 0.52, 0.85, 0.58 }, note = { 0.96, 0.80, 0.45 },
}

local function pixels(length) return math.floor(length * draw.scale + 0.5) end

-- Before anything is measured or drawn, once a turn.
function draw.begin()
  draw.scale = math.max(1, gfx.ext_retina)
  gfx.setfont(1, FONT, pixels(FONT_SIZE))
  local red, green, blue = table.unpack(COLOURS.back)
  gfx.clear = math.floor(red * 255) + math.floor(green * 255) * 256 + math.floor(blue * 255) * 65536
end

-- Width and height of the window.
function draw.size() return gfx.w / draw.scale, gfx.h / draw.scale end

function draw.measure(text) return (gfx.measurestr(text)) / draw.scale end

local function colour(name)
  local red, green, blue = table.unpack(COLOURS[name])
  gfx.set(red, green, blue, 1)
end

function draw.fill(name, x, y, w, h)
  colour(name)
  gfx.rect(pixels(x), pixels(y), pixels(w), pixels(h), 1)
end

function draw.frame(name, x, y, w, h)
  colour(name)
  gfx.rect(pixels(x), pixels(y), pixels(w), pixels(h), 0)
end

-- Text in a box, cut at its right and lower edge, in the middle of its height.
function draw.text(name, text, x, y, w, h, is_centred)
  colour(name)
  gfx.x, gfx.y = pixels(x), pixels(y)
  gfx.drawstr(text, (is_centred and CENTRE_X or 0) + CENTRE_Y, pixels(x + w), pixels(y + h))
end

-- The text, or its start and an ellipsis where it is too wide.
function draw.fitted(text, width)
  if draw.measure(text) <= width then return text end
  local kept = ""
  for char in text:gmatch(utf8.charpattern) do
    if draw.measure(kept .. char .. "…") > width then break end
    kept = kept .. char
  end
  return kept .. "…"
end

-- Adds a word that is wider than a line, such as a path, in pieces; the last piece.
local function broken(word, width, lines)
  local piece = ""
  for char in word:gmatch(utf8.charpattern) do
    if piece ~= "" and draw.measure(piece .. char) > width then
      lines[#lines + 1] = piece
      piece = ""
    end
    piece = piece .. char
  end
  return piece
end

-- Lines of a text that fit into a width, at most so many.
function draw.wrapped(text, width, most)
  local lines = {}
  for paragraph in (text .. "\n"):gmatch("(.-)\r?\n") do
    local line = ""
    for word in paragraph:gmatch("%S+") do
      local longer = line == "" and word or line .. " " .. word
      if draw.measure(longer) <= width then
        line = longer
      else
        if line ~= "" then lines[#lines + 1] = line end
        line = broken(word, width, lines)
      end
    end
    if line ~= "" then lines[#lines + 1] = line end
  end
  if #lines > most then
    lines[most] = draw.fitted(lines[most] .. " " .. lines[most + 1], width)
    for i = #lines, most + 1, -1 do lines[i] = nil end
  end
  return lines
end

return draw
