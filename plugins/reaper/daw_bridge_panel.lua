-- The panel: a window of REAPER's own with a button for each task, the settings, and what renders.
-- Every turn it takes keys and the mouse; it draws only when what it would show has changed.

local _, script = reaper.get_action_context()
local folder = script:match("^(.*[/\\])")
local core = dofile(folder .. "daw_bridge_core.lua")
local draw = dofile(folder .. "daw_bridge_draw.lua")
local Field = dofile(folder .. "daw_bridge_field.lua")
local layout = assert(loadfile(folder .. "daw_bridge_layout.lua"))(core, draw)

local SECTION = "daw-bridge"
local POLL_S = 0.2
local MOST_RENDERS = 3
local WIDTH, HEIGHT = 340, 420
local PLAY_STOP = 40044 -- REAPER's own action "Transport: Play/stop"
local WHEEL_STEP = 120
local TAB, ENTER, ESCAPE, SPACE, SHIFT, LEFT_BUTTON = 9, 13, 27, 32, 8, 1

-- focus, hover and pressed are names of widgets; what is typed is in a field until it is left.
local panel = {
  fields = {}, renders = {}, scroll = 0, focus = nil, hover = nil, pressed = nil,
  message = { kind = "begin", text = "Select an item, then choose." }, is_open = true,
  seen = nil, polled_s = -1, token = tostring(reaper.time_precise()), was_down = false,
}
for _, setting in ipairs(core.SETTINGS) do panel.fields[setting.key] = Field.new() end

local function say(kind, text)
  if not panel.is_open then
    core.tell(kind, text)
  elseif kind ~= "busy" then
    panel.message = { kind = kind, text = text }
  end
end

local function field_of(name)
  local key = name and name:match("^field:(.*)$")
  return key and panel.fields[key], key
end

-- Keep what was typed.
local function leave_field()
  local field, key = field_of(panel.focus)
  if field then
    core.keep(key, field:text())
    field:leave()
  end
  panel.focus, panel.polled_s = nil, -1
end

-- The lowest bit says docked, the others which docker.
local function dock_state() return math.floor((gfx.dock(-1))) end

local function is_docked() return dock_state() & 1 == 1 end

local acts = {
  task = function(task)
    leave_field()
    core.run(task, say)
  end,
  check = function(key) core.keep(key, core.setting(key) == "y" and "n" or "y") end,
  cancel = function(stem) -- or the newest: it may have begun just now
    if stem == "" then stem = core.jobs.list()[#core.jobs.list()] end
    if stem then core.jobs.ask_cancel(stem) end
  end,
  dock = function() gfx.dock(dock_state() ~ 1) end,
}

-- What a click on a widget does, or Enter and blank while it has the focus.
local function act(name)
  local kind, what = name:match("^(%a+):(.*)$")
  if acts[kind] then acts[kind](what) end
  panel.polled_s = -1
end

-- Look at what others may have changed: the project's settings, and what renders.
local function poll()
  local now_s = reaper.time_precise()
  if panel.polled_s >= 0 and now_s < panel.polled_s + POLL_S then return end
  panel.polled_s = now_s
  for _, setting in ipairs(core.SETTINGS) do
    local field, value = panel.fields[setting.key], core.setting(setting.key)
    if panel.focus ~= "field:" .. setting.key and field:text() ~= value then field:set(value) end
  end
  panel.renders = {}
  local stems = core.jobs.list()
  for i = math.max(1, #stems - MOST_RENDERS + 1), #stems do
    local line, progress = core.jobs.line(stems[i])
    local fraction = progress and progress.fraction or 0
    panel.renders[#panel.renders + 1] = { stem = stems[i], line = line, fraction = fraction }
  end
  local docked, _, _, width, height = gfx.dock(-1, 0, 0, 0, 0)
  panel.window = string.format("%.0f %.0f %.0f", docked, width, height)
end

local function move_focus(step)
  local at = step > 0 and 0 or #panel.plan.widgets + 1
  for i, widget in ipairs(panel.plan.widgets) do
    if widget.name == panel.focus then at = i end
  end
  leave_field()
  local widget = panel.plan.widgets[(at + step - 1) % #panel.plan.widgets + 1]
  panel.focus = widget.name
  local field = field_of(panel.focus)
  if field then field.caret = #field.chars end
  panel.scroll = layout.scroll_to(panel.plan, widget, panel.scroll)
end

local function key_in_field(field, key)
  if key == ENTER then
    leave_field()
  elseif key == ESCAPE then
    field:set(core.setting(panel.focus:match(":(.*)$")))
    panel.focus = nil
  else
    field:key(key)
  end
end

local function key_elsewhere(key)
  if key == ESCAPE then
    panel.is_open = false
  elseif panel.focus and (key == ENTER or key == SPACE) then
    act(panel.focus)
  elseif key == SPACE then
    reaper.Main_OnCommand(PLAY_STOP, 0)
  elseif key < 128 then
    local name = layout.shortcut(string.char(key):lower())
    if name then act(name) end
  end
end

local function take_keys()
  while panel.is_open do
    local key = math.floor(gfx.getchar())
    if key < 0 then panel.is_open = false end
    if key <= 0 then return end
    local field = field_of(panel.focus)
    if key == TAB then
      move_focus(math.floor(gfx.mouse_cap) & SHIFT ~= 0 and -1 or 1)
    elseif field then
      key_in_field(field, key)
    else
      key_elsewhere(key)
    end
  end
end

local function press(widget)
  panel.pressed = widget and widget.name
  if not widget or widget.name ~= panel.focus then leave_field() end
  local field = field_of(panel.pressed)
  if field then
    panel.focus, field.caret = panel.pressed, #field.chars
    local x = gfx.mouse_x / draw.scale - widget.inner_x
    if x >= 0 then field:point(x, draw.measure) end -- else it was the name of the field
  end
end

local function take_mouse()
  local widget = layout.at(panel.plan, gfx.mouse_x / draw.scale, gfx.mouse_y / draw.scale)
  panel.hover = widget and widget.name
  local is_down = math.floor(gfx.mouse_cap) & LEFT_BUTTON ~= 0
  if is_down and not panel.was_down then
    press(widget)
  elseif panel.was_down and not is_down then
    if panel.pressed and panel.pressed == panel.hover then act(panel.pressed) end
    panel.pressed = nil
  end
  panel.was_down = is_down
  if gfx.mouse_wheel ~= 0 then
    panel.scroll = layout.scrolled(panel.plan, panel.scroll - gfx.mouse_wheel / WHEEL_STEP * 30)
    gfx.mouse_wheel = 0
  end
end

-- Everything that is seen, as one text: the same text looks the same.
local function appearance()
  local width, height = draw.size()
  local words = {
    width, height, draw.scale, panel.scroll, tostring(panel.focus), tostring(panel.hover),
    tostring(panel.pressed), panel.message.kind, panel.message.text, tostring(is_docked()),
  }
  for _, setting in ipairs(core.SETTINGS) do
    local field = panel.fields[setting.key]
    words[#words + 1] = field.caret .. field:text()
  end
  for _, render in ipairs(panel.renders) do
    words[#words + 1] = render.stem .. render.line .. render.fraction
  end
  return table.concat(words, "\0")
end

local function show()
  local seen = appearance()
  if seen ~= panel.seen then
    panel.seen = seen
    panel.plan = layout.plan(panel, is_docked())
    panel.scroll = layout.scrolled(panel.plan, panel.scroll)
    layout.draw(panel)
  end
  gfx.update()
end

local function close()
  leave_field()
  reaper.SetExtState(SECTION, "window", panel.window, true)
  gfx.quit()
  if #core.jobs.list() > 0 then core.tell("note", "the panel is closed, what renders goes on") end
end

local function turn()
  draw.begin()
  poll()
  show()
  take_mouse()
  take_keys()
  -- One panel is enough: the newest stays.
  if reaper.GetExtState(SECTION, "panel") ~= panel.token then panel.is_open = false end
  if panel.is_open then reaper.defer(turn) else close() end
end

local docked, width, height = reaper.GetExtState(SECTION, "window"):match("^(%d+) (%d+) (%d+)$")
reaper.SetExtState(SECTION, "panel", panel.token, false)
gfx.ext_retina = 1 -- REAPER puts the scale of the screen here
gfx.init("daw-bridge", tonumber(width) or WIDTH, tonumber(height) or HEIGHT, tonumber(docked) or 0)
if not width and gfx.w < WIDTH * gfx.ext_retina then -- a fine screen whose windows count pixels
  gfx.init("", math.floor(WIDTH * gfx.ext_retina), math.floor(HEIGHT * gfx.ext_retina))
end
turn()
