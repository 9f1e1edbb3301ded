-- Where everything of the panel is, and how it looks. Tasks and settings scroll; what renders and
-- what is said stays at the bottom. Lengths are for a scale of 1.

local core, draw = ...
local layout = {}

local PAD, GAP, ROW = 10, 6, 26
local CAPTION_W, CANCEL_W, DOCK_W = 124, 68, 60
local RENDER_H, LINE_H, FOOT_H, INSET = 36, 18, 24, 6
local WIDEST, WIDE, NARROW = 1000, 560, 240
local MOST_LINES = 5
local HINT = "Tab  Enter  Esc"

layout.TASKS = {
  { "extend", "Extend", "e" }, { "loop", "Loop", "l" }, { "inpaint", "Inpaint", "i" },
  { "vary", "Vary", "v" }, { "accompany", "Accompany", "a" }, { "melody", "Melody", "m" },
}

-- What a letter does, as the name of a widget, or nil.
function layout.shortcut(letter)
  for _, task in ipairs(layout.TASKS) do
    if task[3] == letter then return "task:" .. task[1] end
  end
  return ({ c = "cancel:", d = "dock:" })[letter]
end

local function is_check(setting) return setting.caption:match("y/n$") ~= nil end

-- Puts widgets into equal columns from y on; the y below them.
local function in_columns(widgets, made, columns, y, width, height)
  local w = (width - 2 * PAD - (columns - 1) * GAP) / columns
  for i, widget in ipairs(made) do
    widget.x = PAD + (i - 1) % columns * (w + GAP)
    widget.y, widget.w, widget.h = y + (i - 1) // columns * (height + GAP), w, height
    widget.scrolls = true
    widgets[#widgets + 1] = widget
  end
  return y + math.ceil(#made / columns) * (height + GAP)
end

local function task_widgets()
  local made = {}
  for i, task in ipairs(layout.TASKS) do
    made[i] = { name = "task:" .. task[1], kind = "button", label = task[2], letter = task[3] }
  end
  return made
end

local function setting_widgets(fields, wants_check)
  local made = {}
  for _, setting in ipairs(core.SETTINGS) do
    if is_check(setting) == wants_check then
      made[#made + 1] = {
        name = (wants_check and "check:" or "field:") .. setting.key,
        kind = wants_check and "check" or "field",
        label = setting.caption:gsub(" y/n$", ""),
        field = fields[setting.key],
      }
    end
  end
  return made
end

-- What renders, what is said and the foot, from the bottom up.
local function add_status(plan, panel, width, height, docked)
  plan.lines = draw.wrapped(panel.message.text, width - 2 * PAD, MOST_LINES)
  local y = height - FOOT_H - #plan.lines * LINE_H - #panel.renders * RENDER_H - GAP
  plan.status_y = y
  y = y + GAP
  for _, render in ipairs(panel.renders) do
    plan.widgets[#plan.widgets + 1] = {
      name = "cancel:" .. render.stem, kind = "button", label = "Cancel",
      x = width - PAD - CANCEL_W, y = y, w = CANCEL_W, h = ROW,
    }
    y = y + RENDER_H
  end
  plan.lines_y = y
  plan.widgets[#plan.widgets + 1] = {
    name = "dock:", kind = "button", label = docked and "Float" or "Dock",
    x = width - PAD - DOCK_W, y = height - FOOT_H, w = DOCK_W, h = FOOT_H - 4,
  }
end

-- Widgets in the order of Tab, and where the lines of text are.
function layout.plan(panel, docked)
  local width, height = draw.size()
  local plan = { widgets = {}, width = width, height = height }
  local is_wide = width >= WIDE
  local task_columns = is_wide and 6 or width < NARROW and 2 or 3
  local columns = width >= WIDEST and 4 or is_wide and 2 or 1
  local y = in_columns(plan.widgets, task_widgets(), task_columns, PAD, width, ROW + 4)
  y = in_columns(plan.widgets, setting_widgets(panel.fields, false), columns, y + GAP, width, ROW)
  y = in_columns(plan.widgets, setting_widgets(panel.fields, true), columns, y, width, ROW - 4)
  for _, widget in ipairs(plan.widgets) do
    local caption_w = math.min(CAPTION_W, widget.w / 2)
    widget.inner_x = widget.x + (widget.kind == "field" and caption_w or 0) + INSET
  end
  plan.content_h = y + GAP
  add_status(plan, panel, width, height, docked)
  return plan
end

-- A place to scroll to, within what there is.
function layout.scrolled(plan, scroll)
  local result = math.max(0, math.min(scroll, plan.content_h - plan.status_y))
  plan.scroll = result
  return result
end

-- The place that shows a widget.
function layout.scroll_to(plan, widget, scroll)
  if not widget.scrolls then return scroll end
  local least = widget.y + widget.h + GAP - plan.status_y
  return layout.scrolled(plan, math.max(least, math.min(scroll, widget.y - GAP)))
end

-- The widget at a place of the window, or nil.
function layout.at(plan, x, y)
  for _, widget in ipairs(plan.widgets) do
    local top = widget.y - (widget.scrolls and plan.scroll or 0)
    local is_hidden = widget.scrolls and y >= plan.status_y
    if not is_hidden and x >= widget.x and x < widget.x + widget.w and y >= top and y < top + widget.h then
      return widget
    end
  end
  return nil
end

local drawers = {}

function drawers.button(widget, y, panel)
  local fill = panel.hover == widget.name and "hover" or "raised"
  if panel.pressed == widget.name then fill = "sunk" end
  draw.fill(fill, widget.x, y, widget.w, widget.h)
  local label = draw.fitted(widget.label, widget.w - INSET)
  draw.text("text", label, widget.x, y, widget.w, widget.h, true)
  if widget.letter then -- every task's letter is its first
    local x = widget.x + (widget.w - draw.measure(label)) / 2
    draw.fill("dim", x, y + widget.h / 2 + 8, draw.measure(label:sub(1, 1)), 1)
  end
end

function drawers.field(widget, y, panel)
  local left = widget.inner_x - INSET
  local right = widget.x + widget.w
  draw.text("dim", draw.fitted(widget.label, left - widget.x - INSET), widget.x, y, left - widget.x, widget.h)
  draw.fill("sunk", left, y, right - left, widget.h)
  draw.frame("line", left, y, right - left, widget.h)
  local inner_w = right - left - 2 * INSET
  local seen, caret_x = widget.field:view(inner_w, draw.measure)
  draw.text("text", seen, widget.inner_x, y, inner_w + 1, widget.h)
  if panel.focus == widget.name then
    draw.fill("accent", widget.inner_x + caret_x, y + 5, 1, widget.h - 10)
  end
end

function drawers.check(widget, y)
  local size = widget.h - 6
  draw.fill("sunk", widget.x, y + 3, size, size)
  draw.frame("line", widget.x, y + 3, size, size)
  if widget.field:text() == "y" then draw.fill("accent", widget.x + 4, y + 7, size - 8, size - 8) end
  local x = widget.x + size + INSET
  local room = widget.x + widget.w - x
  draw.text("text", draw.fitted(widget.label, room), x, y, room + 1, widget.h)
end

local function draw_widgets(panel, which)
  for _, widget in ipairs(panel.plan.widgets) do
    if (widget.scrolls or false) == which then
      local y = widget.y - (which and panel.plan.scroll or 0)
      drawers[widget.kind](widget, y, panel)
      if panel.focus == widget.name then draw.frame("accent", widget.x - 2, y - 2, widget.w + 4, widget.h + 4) end
    end
  end
end

local function draw_status(panel)
  local plan = panel.plan
  draw.fill("back", 0, plan.status_y, plan.width, plan.height - plan.status_y)
  draw.fill("line", 0, plan.status_y, plan.width, 1)
  local y, room = plan.status_y + GAP, plan.width - 3 * PAD - CANCEL_W
  for _, render in ipairs(panel.renders) do
    draw.text("text", draw.fitted(render.line, room), PAD, y, room + 1, LINE_H)
    draw.fill("sunk", PAD, y + LINE_H + 2, room, 5)
    draw.fill("accent", PAD, y + LINE_H + 2, room * render.fraction, 5)
    y = y + RENDER_H
  end
  local kind = panel.message.kind == "begin" and "dim" or panel.message.kind
  for i, line in ipairs(plan.lines) do
    draw.text(kind, line, PAD, plan.lines_y + (i - 1) * LINE_H, plan.width - 2 * PAD + 1, LINE_H)
  end
  local hint_w = plan.width - 3 * PAD - DOCK_W
  draw.text("dim", draw.fitted(HINT, hint_w), PAD, plan.height - FOOT_H, hint_w + 1, FOOT_H - 4)
end

function layout.draw(panel)
  draw.fill("back", 0, 0, panel.plan.width, panel.plan.height)
  draw_widgets(panel, true)
  draw_status(panel)
  draw_widgets(panel, false)
end

return layout
