-- Sends the selected item to the command `daw-bridge` and puts the take into the project.
-- Loaded by the action scripts beside it. REAPER's Lua has no sockets: the command runs in the
-- background and writes its answer and its progress to files, which a deferred loop looks for.

local core = {}

local SECTION = "daw-bridge"
local NO_WAIT = -1
local PATIENCE_S = 3600
local PROBE_MS = 20000
local REPORT_S = 15
local MOST_BARS = 10000
-- How a take sounds beside its source: the files that are sent and come back are without.
local SOUNDS = { "D_VOL", "D_PAN", "D_PANLAW" }
local IS_WINDOWS = reaper.GetOS():match("^Win") ~= nil

local TASKS = { extend = true, loop = true, inpaint = true, vary = true, accompany = true, melody = true }
-- These become a take of the item: the seam of an extension lies inside the item's own audio.
local IN_PLACE = { extend = true, loop = true, inpaint = true, vary = true }
local TAKES_BARS = { extend = true, loop = true }
core.SETTINGS = {
  { key = "bars", caption = "Bars", default = "4" },
  { key = "variation", caption = "Variation 0 to 1", default = "" },
  { key = "prompt", caption = "Prompt", default = "" },
  { key = "refine", caption = "Refine steps", default = "" },
  { key = "structure", caption = "Markers as structure y/n", default = "n" },
  { key = "intensity", caption = "Envelope as intensity y/n", default = "n" },
}

-- A mistake of the user's, told without a traceback.
local function refuse(message, kind)
  error({ message = message, kind = kind or "error" }, 0)
end

local _, script = reaper.get_action_context()
core.folder = script:match("^(.*[/\\])")
local files = assert(loadfile(core.folder .. "daw_bridge_files.lua"))(refuse)
local song = assert(loadfile(core.folder .. "daw_bridge_song.lua"))(refuse)
local jobs = dofile(core.folder .. "daw_bridge_jobs.lua")
core.jobs = jobs

function core.setting(key)
  local found, value = reaper.GetProjExtState(0, SECTION, key)
  if found > 0 then return value end
  for _, item in ipairs(core.SETTINGS) do
    if item.key == key then return item.default end
  end
  return ""
end

-- One word of a command line. No path holds a double quote on Windows, so only prose changes.
local function quoted(word)
  word = word:gsub("[\r\n]", " "):gsub('"', "'")
  if IS_WINDOWS then word = word:gsub("(\\+)$", "%1%1") end
  return '"' .. word .. '"'
end

-- Whether the command starts is asked once a session: a render runs in the background, where
-- a command that cannot start says nothing.
local function probe(command)
  if reaper.GetExtState(SECTION, "runs") == command then return end
  local answer = reaper.ExecProcess(quoted(command) .. " --version", PROBE_MS)
  if answer and answer:match("^0\r?\n%s*daw%-bridge ") then
    reaper.SetExtState(SECTION, "runs", command, false)
    return
  end
  reaper.DeleteExtState(SECTION, "command", true) -- so that the next action asks again
  local said = answer and answer:gsub("^%-?%d+%s*", ""):gsub("%s+$", "") or ""
  refuse(command .. " does not run as daw-bridge. Run this action again and choose the command: "
    .. "`which daw-bridge` or `where daw-bridge` says where it is."
    .. (said ~= "" and "\nIt said: " .. said:sub(1, 300) or ""))
end

-- A host started from a desktop has no search path of a shell, so the command needs its full path.
local function command_path()
  local path = reaper.GetExtState(SECTION, "command")
  if path == "" or not reaper.file_exists(path) then
    local chosen, answer = reaper.GetUserFileNameForRead("", "Where is the command daw-bridge?", "")
    if not chosen or not reaper.file_exists(answer) then
      refuse("The command daw-bridge was not found. Install it (pip install daw-bridge), then run this "
        .. "action again and choose it: `which daw-bridge` or `where daw-bridge` says where it is.")
    end
    path = answer
  end
  probe(path)
  reaper.SetExtState(SECTION, "command", path, true)
  return path
end

local function work_folder()
  local folder = reaper.GetProjectPath() .. "/daw-bridge"
  reaper.RecursiveCreateDirectory(folder, 0)
  return folder
end

-- Where in the project the result ends: an extension goes on after the item, and a loop is so many
-- bars of it.
local function result_end(task, start_s, end_s)
  local bars = TAKES_BARS[task] and tonumber(core.setting("bars")) or 0
  if bars <= 0 or bars > MOST_BARS then return end_s end -- the command says what is wrong with it
  return song.after_bars(task == "extend" and end_s or start_s, bars)
end

-- The words of the command line after the source.
local function wishes_of(task, item)
  local start_s = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  local end_s = start_s + reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
  local tempo_map, metre = song.tempo_and_metre()
  local words = {
    "--tempo-map=" .. tempo_map, "--metre=" .. metre,
    "--position-beats=" .. song.number_text(reaper.TimeMap2_timeToQN(0, start_s)),
  }
  local function add(flag, value)
    if value ~= "" then words[#words + 1] = flag .. "=" .. value end
  end
  if TAKES_BARS[task] then add("--bars", core.setting("bars")) end
  if task == "melody" then add("--seconds", song.number_text(end_s - start_s)) end
  for _, key in ipairs({ "variation", "prompt", "refine" }) do add("--" .. key, core.setting(key)) end
  if task == "inpaint" then
    local from_s, to_s = song.region(start_s, end_s)
    add("--start", song.number_text(from_s))
    add("--end", song.number_text(to_s))
  end
  if core.setting("structure") == "y" then add("--structure", song.structure(start_s, end_s)) end
  if core.setting("intensity") == "y" then
    add("--intensity", song.intensity(item, start_s, result_end(task, start_s, end_s)))
    add("--intensity-match", "shape") -- a fader says where it is louder, not how loud it sounds
  end
  return words
end

local function unescaped(text)
  return (text:gsub("\\u(%x%x%x%x)", function(hex)
    local point = tonumber(hex, 16)
    return (point < 0xd800 or point > 0xdfff) and utf8.char(point) or "?"
  end):gsub('\\(["\\/])', "%1"):gsub("\\n", " "))
end

-- The complaint in an answer, or nil. Our command writes errors as {"error": {...}} alone.
local function complaint_in(answer)
  if not answer:match('^%s*{%s*"error"') then return nil end
  answer = answer:gsub('\\"', "\\u0022")
  local message = answer:match('"message":%s*"(.-)"') or "the render failed"
  local hint = answer:match('"hint":%s*"(.-)"')
  return unescaped(message .. (hint and hint ~= "" and "\n" .. hint or ""))
end

-- Cancel the daemon's job as soon as somebody wants it and its name is known; whether that is done.
local function cancelled(own)
  if own.is_cancelled or not jobs.is_cancel_asked(own.stem) then return own.is_cancelled end
  local progress = jobs.progress(own.stem)
  if not progress or progress.stage == "sending" then return false end
  if not progress.job then
    jobs.forget_cancel(own.stem)
    own.tell("note", own.task .. " renders without a daemon, so it cannot be cancelled. "
      .. "Start `daw-bridge serve` before the next render.")
    return false
  end
  reaper.ExecProcess(quoted(own.command) .. " cancel " .. quoted(progress.job), NO_WAIT)
  return true
end

local function wait_for(path, own)
  local start_s, told_s = reaper.time_precise(), 0
  while not reaper.file_exists(path) do
    local waited_s = reaper.time_precise() - start_s
    if waited_s >= told_s + REPORT_S then
      told_s = waited_s
      own.tell("busy", (jobs.line(own.stem)))
    end
    if waited_s > PATIENCE_S then
      refuse("daw-bridge has not answered for an hour. `daw-bridge doctor` says what is wrong.")
    end
    own.is_cancelled = cancelled(own)
    coroutine.yield()
  end
  local file = assert(io.open(path, "rb"))
  local answer = file:read("a")
  file:close()
  os.remove(path)
  return answer
end

local function track_below(project, track)
  local index = math.floor(reaper.GetMediaTrackInfo_Value(track, "IP_TRACKNUMBER"))
  reaper.InsertTrackAtIndex(index, true)
  return reaper.GetTrack(project, index)
end

local function insert(own, item, path)
  local task, project = own.task, own.project
  local source = reaper.PCM_Source_CreateFromFile(path)
  if source == nil then refuse("REAPER cannot read the take " .. path) end
  local length_s = reaper.GetMediaSourceLength(source)
  local track = reaper.GetMediaItem_Track(item)
  local at_s = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  -- Before REAPER 7.18 only the project of the tab in front takes new tracks, so ours comes to
  -- the front for that. Other takes leave the tabs alone: going to another may stop what plays.
  local in_front = reaper.EnumProjects(-1)
  local is_behind = not IN_PLACE[task] and in_front ~= project
  if is_behind then reaper.SelectProjectInstance(project) end
  reaper.Undo_BeginBlock2(project)
  local target = item
  if not IN_PLACE[task] then
    target = reaper.AddMediaItemToTrack(track_below(project, track))
    reaper.SetMediaItemInfo_Value(target, "D_POSITION", at_s)
  end
  reaper.SetMediaItemInfo_Value(target, "D_LENGTH", length_s)
  local take = reaper.AddTakeToMediaItem(target)
  reaper.SetMediaItemTake_Source(take, source)
  if IN_PLACE[task] then
    for key, value in pairs(own.sounds) do reaper.SetMediaItemTakeInfo_Value(take, key, value) end
  end
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", "daw-bridge " .. task, true)
  reaper.SetActiveTake(take)
  reaper.UpdateItemInProject(target)
  reaper.Undo_EndBlock2(project, "daw-bridge: " .. task, -1)
  if is_behind then reaper.SelectProjectInstance(in_front) end
  reaper.UpdateArrange()
end

-- The selected item and its take, of the kind that the task needs.
local function chosen(task)
  local item = reaper.GetSelectedMediaItem(0, 0)
  local take = item and reaper.GetActiveTake(item)
  if not take then refuse("Select one item first.") end
  if reaper.TakeIsMIDI(take) ~= (task == "melody") then
    refuse(task == "melody" and "Select a MIDI item." or "Select an audio item; this one is MIDI.")
  end
  return item, take
end

local function new_stem(task)
  return work_folder() .. "/" .. task .. "-" .. os.time()
    .. string.format("-%06d", math.floor(reaper.time_precise() * 1e6) % 1000000)
end

-- Start the command in the background; where its answer will be.
local function begin(own, source, wishes, out)
  local answer_path = own.stem .. ".json"
  local words = { quoted(own.command), own.task, quoted(source) }
  for _, word in ipairs(wishes) do words[#words + 1] = quoted(word) end
  words[#words + 1] = quoted("--progress-file=" .. jobs.progress_path(own.stem))
  words[#words + 1] = quoted("--out=" .. out)
  words[#words + 1] = quoted("--result-file=" .. answer_path)
  reaper.ExecProcess(table.concat(words, " "), NO_WAIT)
  return answer_path
end

local function work(own)
  local task = own.task
  own.project = reaper.EnumProjects(-1) -- by the take's arrival another tab may be in front
  local item, take = chosen(task)
  local wishes = wishes_of(task, item)
  own.sounds = {}
  for _, key in ipairs(SOUNDS) do own.sounds[key] = reaper.GetMediaItemTakeInfo_Value(take, key) end
  own.command = command_path()
  own.stem = new_stem(task)
  jobs.begin(own.stem)
  own.tell("begin", task .. " ...")
  local source = task == "melody" and files.melody_of(item, take, own.stem)
    or files.audio_of(item, take, own.stem)
  if jobs.is_cancel_asked(own.stem) then refuse(task .. " was cancelled", "note") end
  local out = own.stem .. ".wav"
  local complaint = complaint_in(wait_for(begin(own, source, wishes, out), own))
  if complaint and own.is_cancelled and complaint:match("was cancelled") then
    refuse(task .. " was cancelled", "note")
  end
  if complaint then refuse(complaint) end
  if not reaper.ValidatePtr2(0, own.project, "ReaProject*") then
    refuse("The project was closed meanwhile. The take is " .. out)
  end
  if not reaper.ValidatePtr2(own.project, item, "MediaItem*") then
    -- A tab into which another project was loaded may pass for the same project.
    refuse("The item was deleted meanwhile, or its project closed. The take is " .. out)
  end
  insert(own, item, out)
  own.tell("done", task .. " is done")
end

-- What an action says: in the console, and a mistake in a window.
function core.tell(kind, text)
  if kind == "error" then
    reaper.ShowMessageBox(text, "daw-bridge", 0)
  else
    -- Who has closed the console is left in peace.
    local prefix = kind == "busy" and "!SHOW:" or ""
    reaper.ShowConsoleMsg(prefix .. "daw-bridge: " .. text .. "\n")
  end
end

-- Run a task without blocking REAPER: what yields goes on at the next turn of its loop.
-- `tell` gets a kind (begin, busy, note, done or error) and words.
function core.run(task, tell)
  assert(TASKS[task], "unknown task")
  local own = { task = task, tell = tell or core.tell, is_cancelled = false }
  local job = coroutine.create(work)
  local function finish()
    if own.stem then jobs.finish(own.stem) end
  end
  local function turn()
    local fine, problem = coroutine.resume(job, own)
    if fine and coroutine.status(job) ~= "dead" then
      reaper.defer(turn)
      return
    end
    finish()
    if fine then return end
    local is_told = type(problem) == "table"
    own.tell(is_told and problem.kind or "error", is_told and problem.message or tostring(problem))
  end
  reaper.atexit(finish)
  turn()
end

-- Ask each render of this REAPER to stop. The script that began it does so.
function core.cancel()
  local stems = jobs.list()
  for _, stem in ipairs(stems) do
    jobs.ask_cancel(stem)
    core.tell("note", jobs.line(stem))
  end
  if #stems == 0 then core.tell("note", "nothing renders") end
end

-- Keep a setting in the project; what is emptied goes back to its default.
function core.keep(key, value)
  if value == core.setting(key) then return end
  reaper.SetProjExtState(0, SECTION, key, value)
  reaper.MarkProjectDirty(0)
end

-- Ask for the settings and keep them in the project.
function core.ask()
  local captions, values = {}, {}
  for i, item in ipairs(core.SETTINGS) do
    captions[i] = item.caption
    values[i] = core.setting(item.key)
  end
  -- A comma may stand in a prompt, so the values are lines.
  local caption_text = table.concat(captions, ",") .. ",extrawidth=200,separator=\n"
  local agreed, answer = reaper.GetUserInputs("daw-bridge", #values, caption_text, table.concat(values, "\n"))
  if not agreed then return end
  local i = 0
  for value in (answer .. "\n"):gmatch("(.-)\n") do
    i = i + 1
    if core.SETTINGS[i] then core.keep(core.SETTINGS[i].key, value) end
  end
end

return core
