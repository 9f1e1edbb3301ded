-- What renders in this REAPER: a list that the panel and all actions share, in REAPER's memory.
-- A render is known by the stem of its files. The command writes STEM-progress.json; a wish to
-- cancel is left here for the script that began the render, which knows the command.

local jobs = {}

local SECTION, LIST = "daw-bridge", "running"

local function stems()
  local found = {}
  for stem in reaper.GetExtState(SECTION, LIST):gmatch("[^\t]+") do found[#found + 1] = stem end
  return found
end

local function keep(list)
  reaper.SetExtState(SECTION, LIST, table.concat(list, "\t"), false)
end

function jobs.progress_path(stem) return stem .. "-progress.json" end

function jobs.task_of(stem) return stem:match("(%a+)%-%d+%-%d+$") or "render" end

-- Stems of what renders, the oldest first.
jobs.list = stems

function jobs.begin(stem)
  local list = stems()
  list[#list + 1] = stem
  keep(list)
end

-- Takes a render from the list; once more does no harm.
function jobs.finish(stem)
  local left = {}
  for _, other in ipairs(stems()) do
    if other ~= stem then left[#left + 1] = other end
  end
  keep(left)
  jobs.forget_cancel(stem)
  os.remove(jobs.progress_path(stem))
end

function jobs.ask_cancel(stem) reaper.SetExtState(SECTION, "cancel " .. stem, "y", false) end

function jobs.is_cancel_asked(stem) return reaper.GetExtState(SECTION, "cancel " .. stem) == "y" end

function jobs.forget_cancel(stem) reaper.DeleteExtState(SECTION, "cancel " .. stem, false) end

-- How far a render is: job (nil without a daemon), stage, fraction 0 to 1, seconds left (nil where
-- nobody knows). Nil before the command has begun.
function jobs.progress(stem)
  local file = io.open(jobs.progress_path(stem), "rb")
  if not file then return nil end
  local line = file:read("a") or ""
  file:close()
  local stage = line:match('"stage": "([^"]*)"')
  if not stage then return nil end
  return {
    job = line:match('"job": "([%w-]+)"'),
    stage = stage,
    fraction = math.max(0, math.min(1, tonumber(line:match('"fraction": ([%d.eE+-]+)')) or 0)),
    left_s = tonumber(line:match('"eta_s": ([%d.eE+-]+)')),
  }
end

-- One line for people: `extend: draft 25 %, 2 s left`.
function jobs.line(stem)
  local task, progress = jobs.task_of(stem), jobs.progress(stem)
  if jobs.is_cancel_asked(stem) then return task .. ": stopping", progress end
  if not progress or progress.stage == "sending" then return task .. ": starting", progress end
  if progress.stage == "queued" then return task .. ": queued", progress end
  local left = ""
  if progress.left_s then left = string.format(", %d s left", math.ceil(progress.left_s)) end
  local share = string.format(" %d %%", math.floor(progress.fraction * 100 + 0.5))
  return task .. ": " .. progress.stage .. share .. left, progress
end

return jobs
