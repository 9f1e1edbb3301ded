-- A REAPER that raises on what the real one lacks: names, number and types of arguments and of
-- what is returned. Run as `lua5.4 fake_reaper.lua SCENE.lua SCRIPT.lua...`; the scripts run one
-- after the other, and what the project holds then is printed. Another project is open behind it:
-- 0 means the project of the tab in front, and no project that was closed is taken.
--
-- Every row of the table was compared by reading, name by name, with the definitions that the
-- project GoranKovac/ReaScripts generates from REAPER's own API page (REAPER 7,
-- ApiParser/DefinitionsOutput/reaper_defs.lua), `new_array`, its `clear` and `table`, `defer` and
-- `get_action_context` included; `atexit` and `Main_OnCommand` with other published ones. What a definition does not say is not verified: nil where REAPER
-- returns NULL is told by the texts for some functions only (ExecProcess, GetMediaSourceParent,
-- GetSelectedEnvelope) and assumed for the others with `?`.
local API = { -- arguments > returns; s text, n number, i integer, b boolean, f function,
  -- p project or 0, o project or item, P project, I item, T take, K track, S source, A accessor,
  -- E envelope, R array; ? or nil
  AddMediaItemToTrack = "K>I", AddTakeToMediaItem = "I>T", CountTempoTimeSigMarkers = "p>i",
  CreateTakeAudioAccessor = "T>A", DeleteExtState = "ssb>", DestroyAudioAccessor = "A>",
  EnumProjectMarkers = "i>ibnnsi", EnumProjects = "i>Ps?",
  Envelope_Evaluate = "Enni>innnn", Envelope_GetParentTake = "E>T?ii", ExecProcess = "si>s?",
  GetActiveTake = "I>T?", GetAudioAccessorSamples = "AiiniR>i", GetAudioAccessorStartTime = "A>n",
  GetEnvelopeScalingMode = "E>i", GetEnvelopeStateChunk = "Esb>bs", GetExtState = "ss>s", GetMediaItemInfo_Value = "Is>n",
  GetMediaItemTakeInfo_Value = "Ts>n", GetMediaItemTake_Item = "T>I", GetMediaItemTake_Source = "T>S", GetMediaItem_Track = "I>K",
  GetMediaSourceFileName = "S>s", GetMediaSourceLength = "S>nb", GetMediaSourceNumChannels = "S>i",
  GetMediaSourceParent = "S>S?", GetMediaSourceSampleRate = "S>i", GetMediaTrackInfo_Value = "Ks>n",
  GetOS = ">s", GetProjExtState = "pss>is", GetProjectPath = ">s", GetSelectedEnvelope = "p>E?",
  GetSelectedMediaItem = "pi>I?", GetSetMediaItemTakeInfo_String = "Tssb>bs",
  GetSet_LoopTimeRange = "bbnnb>nn", GetTakeNumStretchMarkers = "T>i",
  GetTempoTimeSigMarker = "pi>bninniib", GetTrack = "pi>K?", GetUserFileNameForRead = "sss>bs",
  GetUserInputs = "siss>bs", InsertTrackAtIndex = "ib>", MIDI_CountEvts = "T>iiii",
  MIDI_GetNote = "Ti>bbbnniii", MIDI_GetPPQPosFromProjQN = "Tn>n", MIDI_GetProjQNFromPPQPos = "Tn>n",
  Main_OnCommand = "ii>", MarkProjectDirty = "p>",
  PCM_Source_CreateFromFile = "s>S?", RecursiveCreateDirectory = "si>i",
  ScaleFromEnvelopeMode = "in>n", SelectProjectInstance = "p>",
  SetActiveTake = "T>", SetExtState = "sssb>",
  SetMediaItemInfo_Value = "Isn>b", SetMediaItemTakeInfo_Value = "Tsn>b", SetMediaItemTake_Source = "TS>b", SetProjExtState = "psss>i",
  ShowConsoleMsg = "s>", ShowMessageBox = "ssi>i", TakeFX_GetCount = "T>i", TakeIsMIDI = "T>b",
  TimeMap2_QNToTime = "pn>n", TimeMap2_timeToQN = "pn>n", TimeMap_GetTimeSigAtTime = "pn>iin",
  Undo_BeginBlock2 = "p>", Undo_EndBlock2 = "psi>", UpdateArrange = ">", UpdateItemInProject = "I>",
  ValidatePtr2 = "pos>b", atexit = "f>b", defer = "f>b", file_exists = "s>b", get_action_context = ">bsiiiins",
  new_array = "i>R", time_precise = ">n",
}
local FITS = {
  s = function(v) return type(v) == "string" end,
  n = function(v) return type(v) == "number" end,
  i = function(v) return math.type(v) == "integer" end,
  b = function(v) return type(v) == "boolean" end,
  f = function(v) return type(v) == "function" end,
}
for kind in ("PITKSAER"):gmatch(".") do
  FITS[kind] = function(v) return type(v) == "table" and v.kind == kind end
end
function FITS.o(v) return FITS.I(v) or FITS.P(v) end

local RATE_HZ, CHANNELS = 44100, 2
local scene = dofile(arg[1])
if scene.is_disk_full then -- for what is written of the item
  local open = io.open
  io.open = function(path, mode) -- luacheck: ignore
    local is_ours = path:find("%-source%.wav$") or path:find("%-melody%.mid$")
    if is_ours and mode == "wb" then os.execute('ln -s /dev/full "' .. path .. '"') end
    return open(path, mode)
  end
end
local function new_project()
  local new = { kind = "P", is_open = true, tracks = {}, settings = {}, blocks = 0, undone = {} }
  new.tracks[1] = { kind = "K", items = {}, project = new }
  return new
end
local project, other = new_project(), new_project()
local tabs, in_front = { project, other }, project
function FITS.p(v) return v == 0 or FITS.P(v) and v.is_open end
local function of(p) return p == 0 and in_front or p end
local function project_of(object)
  while object.kind ~= "P" do object = object.item or object.track or object.project end
  return object
end
local track = project.tracks[1]
local item = {
  kind = "I", D_POSITION = scene.position_s, D_LENGTH = scene.length_s, B_LOOPSRC = scene.is_looped and 1 or 0,
  takes = {}, track = track,
}
local other_item = { kind = "I", D_POSITION = 0, takes = {}, track = track }
local source = { kind = "S", path = scene.source, length_s = scene.source_length_s }
if scene.section_s then -- a section's source has no name of its own
  source = { kind = "S", path = "", length_s = scene.source_length_s, parent = source }
end
local take = {
  kind = "T", D_STARTOFFS = scene.offset_s or 0, D_PLAYRATE = scene.rate or 1, D_PITCH = 0,
  I_CHANMODE = scene.channel_mode or 0, source = source, item = item,
  D_VOL = scene.take_volume or 1, D_PAN = scene.take_pan or 0, D_PANLAW = -1,
}
item.takes[1], item.active, track.items[1] = take, take, item
local parents = { take = take, other = { kind = "T", D_PLAYRATE = 1, item = other_item } } -- of the envelope
local queue, messages, console = {}, {}, {}
local ext = { command = scene.command }
for key, value in pairs(scene.settings) do project.settings[key] = value end
local probes, lines, current, turns, endings, commands = 0, {}, nil, 0, {}, {}
-- A turn of REAPER's loop takes less here than it says, so that tests are short.
local TURN_S, SLEEP_S = 0.05, 0.01
local function inside(object)
  assert(project_of(object).blocks == 1, "the project is changed outside of an undo block")
end
local function silent() end

-- Time map: tempo is linear in time between a ramp's marker and the next.
local function qn_of(time_s)
  local qn, bpm, now = 0, scene.bpm, 0
  for i, marker in ipairs(scene.tempo) do
    local at, next_marker = marker[1], scene.tempo[i + 1]
    if at > now then qn, now = qn + (math.min(at, time_s) - now) * bpm / 60, at end
    if time_s <= at then return qn end
    bpm = marker[2]
    if marker[5] and next_marker then
      local span, slope = next_marker[1] - at, (next_marker[2] - bpm) / (next_marker[1] - at)
      local into = math.min(time_s - at, span)
      qn, now = qn + (bpm * into + slope * into * into / 2) / 60, next_marker[1]
      if time_s <= now then return qn end
    end
  end
  return qn + (time_s - now) * bpm / 60
end

-- Where the source of a MIDI take begins, in the item or before it.
local function source_qn() return qn_of(item.D_POSITION - take.D_STARTOFFS / take.D_PLAYRATE) end

local function time_of(qn)
  local low, high = 0, 10000
  for _ = 1, 100 do
    local middle = (low + high) / 2
    if qn_of(middle) < qn then low = middle else high = middle end
  end
  return high
end

-- Frame of the source's file that sounds at a frame of the item: its number is its sample's value.
local function heard(frame)
  local at = take.D_STARTOFFS * RATE_HZ + frame * take.D_PLAYRATE
  if scene.reversed then at = source.length_s * RATE_HZ - 1 - at end
  return at + (scene.section_s or 0) * RATE_HZ
end

local function array_of(size)
  local data = {}
  for i = 1, size do data[i] = 0 / 0 end -- so that a forgotten clear is heard
  return setmetatable({ kind = "R", data = data }, { __index = function(_, name)
    assert(name == "clear" or name == "table", "the array has no " .. name)
    return function(...)
      assert(select("#", ...) == 0)
      if name == "table" then return table.move(data, 1, size, 1, {}) end
      for i = 1, size do data[i] = 0.0 end
    end
  end })
end

local function run_at_once(line, timeout_ms)
  probes = probes + 1
  local pipe = io.popen("exec 2>&1; timeout " .. timeout_ms / 1000 .. " " .. line)
  local said = pipe:read("a")
  local _, _, code = pipe:close()
  if code == 126 or code == 127 then return nil end -- nothing was started
  return code .. "\n" .. said
end

local impl = {
  AddMediaItemToTrack = function(t) inside(t); local new = { kind = "I", takes = {}, track = t }; table.insert(t.items, new); return new end,
  AddTakeToMediaItem = function(i) inside(i); local new = { kind = "T", item = i, D_STARTOFFS = 0, D_PLAYRATE = 1, D_PITCH = 0, I_CHANMODE = 0, D_VOL = 1, D_PAN = 0, D_PANLAW = -1 }; table.insert(i.takes, new); return new end,
  CountTempoTimeSigMarkers = function() return #scene.tempo end,
  GetTempoTimeSigMarker = function(_, i) local m = assert(scene.tempo[i + 1]); return true, m[1], 0, 0, m[2], m[3], m[4], m[5] end,
  CreateTakeAudioAccessor = function(t) return { kind = "A", take = t, open = true } end,
  DestroyAudioAccessor = function(a) assert(a.open); a.open = false end,
  GetAudioAccessorStartTime = function() return scene.accessor_start_s or 0 end,
  GetAudioAccessorSamples = function(a, rate, channels, from, count, block)
    assert(a.open and rate == RATE_HZ and channels == CHANNELS and #block.data == count * channels)
    local first = math.floor((from - (scene.accessor_start_s or 0)) * rate + 0.5)
    assert(first >= 0, "before the accessor's start")
    local last = math.floor((source.length_s - take.D_STARTOFFS) * rate / take.D_PLAYRATE + 0.5)
    if first >= last then return 0 end
    for frame = 0, math.min(count, last - first) - 1 do
      for channel = 0, channels - 1 do
        block.data[frame * channels + channel + 1] = heard(first + frame) + channel / 2
      end
    end
    return 1
  end,
  new_array = array_of,
  EnumProjectMarkers = function(i) local m = scene.markers[i + 1]; if not m then return 0, false, 0, 0, "", 0 end return i + 1, false, m[1], 0, m[2], i end,
  EnumProjects = function(i) assert(i == -1); return in_front, "song.rpp" end,
  SelectProjectInstance = function(p) in_front = of(p) end,
  Envelope_Evaluate = function(_, at) return 1, scene.envelope(at), 0, 0, 0 end,
  Envelope_GetParentTake = function() return parents[scene.envelope_of], -1, -1 end,
  GetEnvelopeScalingMode = function() return 0 end,
  GetEnvelopeStateChunk = function() return true, (scene.envelope_state or "<VOLENV2") .. "\nACT 1 -1\n>\n" end,
  ScaleFromEnvelopeMode = function(_, v) return v end,
  GetSelectedEnvelope = function() return scene.envelope and { kind = "E" } or nil end,
  ExecProcess = function(line, timeout_ms)
    if timeout_ms > 0 then return run_at_once(line, timeout_ms) end
    assert(timeout_ms == -1)
    lines[#lines + 1] = line
    if not scene.answer then os.execute(line .. " >/dev/null 2>&1 &"); return nil end
    local file = assert(io.open(line:match('"%-%-result%-file=([^"]*)"'), "wb"))
    file:write(scene.answer)
    file:close()
  end,
  GetActiveTake = function(i) return i.active end,
  GetExtState = function(section, key) assert(section == "daw-bridge"); return ext[key] or "" end,
  SetExtState = function(section, key, value) assert(section == "daw-bridge"); ext[key] = value end,
  DeleteExtState = function(section, key) assert(section == "daw-bridge"); ext[key] = nil end,
  GetProjExtState = function(p, _, key)
    local value = of(p).settings[key]
    return value and 1 or 0, value or ""
  end,
  SetProjExtState = function(p, _, key, v) of(p).settings[key] = v ~= "" and v or nil; return 1 end,
  GetMediaItemInfo_Value = function(i, key) return (assert(i[key], key)) end,
  SetMediaItemInfo_Value = function(i, key, v) inside(i); i[key] = v; return true end,
  GetMediaItemTakeInfo_Value = function(t, key) return (assert(t[key], key)) end,
  SetMediaItemTakeInfo_Value = function(t, key, v) inside(t); assert(t[key], key); t[key] = v; return true end,
  GetMediaItemTake_Item = function(t) return t.item end,
  GetMediaItemTake_Source = function(t) return t.source end,
  SetMediaItemTake_Source = function(t, s) inside(t); t.source = s; return true end,
  GetSetMediaItemTakeInfo_String = function(t, key, v) inside(t); t[key] = v; return true, v end,
  SetActiveTake = function(t) inside(t); t.item.active = t end,
  GetMediaItem_Track = function(i) return i.track end,
  GetMediaSourceFileName = function(s) return s.path end,
  GetMediaSourceLength = function(s)
    if s == source and scene.source_quarters then return scene.source_quarters, true end
    return s.length_s, false
  end,
  GetMediaSourceNumChannels = function() return CHANNELS end,
  GetMediaSourceSampleRate = function() return RATE_HZ end,
  GetMediaSourceParent = function(s) return s.parent end,
  GetMediaTrackInfo_Value = function(_, key) assert(key == "IP_TRACKNUMBER"); return 1.0 end,
  GetOS = function() return scene.os or "Other" end,
  GetProjectPath = function() return scene.project end,
  GetSelectedMediaItem = function(p)
    return of(p) == project and not scene.nothing_selected and item or nil
  end,
  GetSet_LoopTimeRange = function() return scene.from_s or 0, scene.to_s or 0 end,
  GetTakeNumStretchMarkers = function() return scene.stretch_markers or 0 end,
  GetTrack = function(p, i) return of(p).tracks[i + 1] end,
  InsertTrackAtIndex = function(i)
    inside(in_front)
    table.insert(in_front.tracks, i + 1, { kind = "K", items = {}, project = in_front })
  end,
  GetUserFileNameForRead = function() return scene.chosen ~= nil, scene.chosen or "" end,
  GetUserInputs = function(_, count, captions)
    assert(captions:match(",separator=\n$") and count == 6); return true, scene.typed
  end,
  MIDI_CountEvts = function() return 1, #scene.notes, 0, 0 end,
  MIDI_GetNote = function(_, i)
    local n = scene.notes[i + 1]
    return true, false, n[6] or false, n[1], n[2], n[4] or 0, n[3], n[5] or 100
  end,
  MIDI_GetPPQPosFromProjQN = function(t, qn) return (qn - source_qn()) * 960 * t.D_PLAYRATE end,
  MIDI_GetProjQNFromPPQPos = function(t, ppq) return source_qn() + ppq / 960 / t.D_PLAYRATE end,
  PCM_Source_CreateFromFile = function(path)
    local f = io.open(path, "rb"); if not f then return nil end
    local size = f:seek("end"); f:close(); return { kind = "S", path = path, length_s = size / 1e5 }
  end,
  RecursiveCreateDirectory = function(path) os.execute('mkdir -p "' .. path .. '"'); return 1 end,
  Main_OnCommand = function(command) commands[#commands + 1] = command end,
  MarkProjectDirty = silent, UpdateArrange = silent, UpdateItemInProject = silent,
  ShowConsoleMsg = function(text) console[#console + 1] = text end,
  ShowMessageBox = function(text) messages[#messages + 1] = text; return 1 end,
  TakeFX_GetCount = function() return scene.effects or 0 end,
  TakeIsMIDI = function() return scene.notes ~= nil end,
  TimeMap2_QNToTime = function(_, qn) return time_of(qn) end,
  TimeMap2_timeToQN = function(_, time_s) return qn_of(time_s) end,
  TimeMap_GetTimeSigAtTime = function()
    local first = scene.tempo[1]
    if first and first[1] == 0 then return first[3], first[4], first[2] end
    return 4, 4, scene.bpm
  end,
  Undo_BeginBlock2 = function(p) of(p).blocks = of(p).blocks + 1 end,
  Undo_EndBlock2 = function(p, name)
    inside(of(p))
    of(p).blocks = 0
    table.insert(of(p).undone, name)
  end,
  ValidatePtr2 = function(p, object, kind)
    if kind == "ReaProject*" then return object.is_open end
    assert(kind == "MediaItem*")
    return not scene.deleted and project_of(object) == of(p)
  end,
  atexit = function(f) endings[#endings + 1] = f; return true end,
  defer = function(f) queue[#queue + 1] = f; return true end,
  file_exists = function(p) local f = io.open(p, "rb"); if f then f:close() end return f ~= nil end,
  get_action_context = function() return true, current, 0, 1, -1, -1, -1, "" end,
  time_precise = function() return 1e6 + turns * TURN_S * (scene.clock_rate or 1) end,
}

local function check(name, what, kinds, values)
  local count = 0
  for kind, optional in kinds:gmatch("(%a)(%??)") do
    count = count + 1
    local value = values[count]
    if not (FITS[kind](value) or (value == nil and optional == "?")) then
      error(name .. ": " .. what .. " " .. count, 3)
    end
  end
  if values.n > count then error(name .. " has " .. count .. " " .. what .. "s", 3) end
end

reaper = setmetatable({}, { __index = function(_, name) -- luacheck: ignore
  local takes, gives = (API[name] or error("REAPER has no function " .. name, 2)):match("^(.-)>(.*)$")
  return function(...)
    check(name, "argument", takes, table.pack(...))
    local given = table.pack(impl[name](...))
    check(name, "result", gives, given)
    return table.unpack(given, 1, given.n)
  end
end })

local ui = assert(loadfile(arg[0]:gsub("[^/]*$", "") .. "fake_gfx.lua"))(check, scene.scale)
local told = {}
function ui.note(name, value) told[name] = value end
function ui.run(name)
  current = arg[2]:gsub("daw%-bridge [^/]*$", "daw-bridge " .. name .. ".lua")
  dofile(current)
  ui.turns(2)
end
-- What REAPER's list of running scripts offers: the script is stopped where it stands.
function ui.terminate() queue = {} end
function ui.show_tab(number) in_front = tabs[number] end
function ui.close_tab(number)
  local closed = table.remove(tabs, number)
  closed.is_open = false
  if closed == in_front then in_front = tabs[1] end
end
ui.project, ui.ext, ui.console = project.settings, ext, console
local user = coroutine.create(scene.user or silent)
local function take_turn()
  turns = turns + 1
  if coroutine.status(user) ~= "dead" then
    local fine, problem = coroutine.resume(user, ui)
    if not fine then error(debug.traceback(user, problem), 0) end
  end
  local due = queue
  queue = {}
  for _, f in ipairs(due) do f() end
  os.execute("sleep " .. SLEEP_S)
end

local until_s = os.time() + 80
for i = 2, #arg do
  current = arg[i]
  dofile(current)
  local idle = 0 -- the user may look on for a while after the script has ended
  while #queue > 0 or coroutine.status(user) ~= "dead" and idle < 5 do
    assert(os.time() < until_s, "the script never ends")
    idle = #queue > 0 and 0 or idle + 1
    take_turn()
  end
  for _, f in ipairs(endings) do f() end
  endings = {}
  assert(project.blocks + other.blocks == 0, "an undo block is open")
end
assert(not scene.user or coroutine.status(user) == "dead", "the script ended before the user")
local function tell(name, value) print(name .. "\t" .. (tostring(value):gsub("\n", " "))) end
local target = project.tracks[2] and project.tracks[2].items[1] or item
tell("tracks", #project.tracks)
tell("takes", #target.takes)
tell("undo", table.concat(project.undone, ";"))
tell("in_front", in_front == other and "other" or "ours")
tell("other_tracks", #other.tracks)
tell("other_undo", table.concat(other.undone, ";"))
tell("audio", target.active and target.active.source.path or "")
tell("position_s", target.D_POSITION)
if target.active then tell("sounds", target.active.D_VOL .. " " .. target.active.D_PAN) end
tell("message", table.concat(messages, " "))
tell("console", table.concat(console))
tell("command", ext.command or "")
tell("probes", probes)
tell("line", table.concat(lines))
tell("running", ext.running or "")
tell("window", ext.window or "")
tell("commands", table.concat(commands, ","))
for key, value in pairs(told) do tell(key, value) end
for key, value in pairs(project.settings) do tell("saved_" .. key, value) end
