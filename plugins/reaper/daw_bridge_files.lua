-- Writes what an item holds to files: its audio as it sounds, its notes as MIDI.
-- Loaded by daw_bridge_core.lua, which passes the function that tells a mistake.

local refuse = ...
local files = {}

local BLOCK_SAMPLES = 65536
local TICKS_PER_QUARTER = 960

-- Closes a file that was written. On a full disk Lua raises nothing: write and close return nil
-- and the reason. What is cut off is removed, so that nobody takes it for the whole.
local function finish(file, path, is_written, why)
  local is_closed, late = file:close()
  if is_written and is_closed then return end
  os.remove(path)
  refuse("Cannot write " .. path .. ": " .. (why or late))
end

local function write_file(path, bytes)
  local file, why = io.open(path, "wb")
  if not file then refuse("Cannot write " .. path .. ": " .. why) end
  finish(file, path, file:write(bytes))
end

-- True when the item plays its file from start to end as it is.
local function plays_whole_file(item, take, source)
  if reaper.GetMediaSourceParent(source) ~= nil then return false end -- a section, or reversed
  local length_s, in_quarters = reaper.GetMediaSourceLength(source)
  return not in_quarters
    and reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS") == 0
    and reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE") == 1
    and reaper.GetMediaItemTakeInfo_Value(take, "D_PITCH") == 0
    and reaper.GetMediaItemTakeInfo_Value(take, "I_CHANMODE") == 0
    and reaper.TakeFX_GetCount(take) == 0
    and reaper.GetTakeNumStretchMarkers(take) == 0
    and math.abs(reaper.GetMediaItemInfo_Value(item, "D_LENGTH") - length_s) < 1e-5
end

-- Writes what the take sounds like as a 32-bit float WAV, a block a turn of the deferred loop.
local function write_accessor(item, take, source, path)
  local rate_hz = math.floor(reaper.GetMediaSourceSampleRate(source))
  local channels = math.floor(reaper.GetMediaSourceNumChannels(source))
  local left = math.floor(reaper.GetMediaItemInfo_Value(item, "D_LENGTH") * rate_hz + 0.5)
  if rate_hz <= 0 or channels <= 0 or left <= 0 then refuse("The item has no audio.") end
  local size = left * channels * 4
  local file, why = io.open(path, "wb")
  if not file then refuse("Cannot write " .. path .. ": " .. why) end
  local written
  written, why = file:write(string.pack("<c4I4c4c4I4I2I2I4I4I2I2c4I4", "RIFF", size + 36, "WAVE",
    "fmt ", 16, 3, channels, rate_hz, rate_hz * channels * 4, channels * 4, 32, "data", size))
  local accessor = reaper.CreateTakeAudioAccessor(take)
  local start_s = reaper.GetAudioAccessorStartTime(accessor)
  local done, failed = 0, false
  while left > 0 and written and not failed do
    local count = math.min(left, BLOCK_SAMPLES)
    local block = reaper.new_array(count * channels)
    block.clear() -- a block without audio is left as it is
    local from_s = start_s + done / rate_hz
    failed = reaper.GetAudioAccessorSamples(accessor, rate_hz, channels, from_s, count, block) < 0
    local packed = {}
    for i, sample in ipairs(block.table()) do packed[i] = string.pack("<f", sample) end
    written, why = file:write(table.concat(packed))
    done, left = done + count, left - count
    coroutine.yield()
  end
  reaper.DestroyAudioAccessor(accessor)
  finish(file, path, written, why)
  if failed then refuse("REAPER could not read the item's audio.") end
end

-- Path of a file with what the take sounds like; the item's own file where that is it.
function files.audio_of(item, take, stem)
  local source = reaper.GetMediaItemTake_Source(take)
  if plays_whole_file(item, take, source) then
    return reaper.GetMediaSourceFileName(source)
  end
  local path = stem .. "-source.wav"
  write_accessor(item, take, source, path)
  return path
end

local function variable_length(value)
  local bytes = string.char(value & 0x7f)
  value = value >> 7
  while value > 0 do
    bytes = string.char(0x80 | (value & 0x7f)) .. bytes
    value = value >> 7
  end
  return bytes
end

-- Where the passes of a looped source begin that the item plays, and how long one is, in ticks of
-- the source; one pass without an end where the item is not looped. The item's start may lie in any.
local function passes_of(item, take, start_quarters, end_quarters)
  local once, endless = { 0 }, math.huge
  if reaper.GetMediaItemInfo_Value(item, "B_LOOPSRC") == 0 then return once, endless end
  local length, in_quarters = reaper.GetMediaSourceLength(reaper.GetMediaItemTake_Source(take))
  length = length / reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
  local later_quarters = start_quarters + length
  if not in_quarters then
    later_quarters = reaper.TimeMap2_timeToQN(0, reaper.TimeMap2_QNToTime(0, start_quarters) + length)
  end
  local start_ppq = reaper.MIDI_GetPPQPosFromProjQN(take, start_quarters)
  local end_ppq = reaper.MIDI_GetPPQPosFromProjQN(take, end_quarters)
  local pass_ppq = math.floor(reaper.MIDI_GetPPQPosFromProjQN(take, later_quarters) - start_ppq + 0.5)
  if pass_ppq < 1 then return once, endless end
  local passes = {}
  for pass = math.floor(start_ppq / pass_ppq), math.ceil(end_ppq / pass_ppq) - 1 do
    passes[#passes + 1] = pass * pass_ppq
  end
  return passes, pass_ppq
end

-- Adds the notes of one pass as they sound in the item; none goes on into the next pass.
local function add_notes(events, take, begin_ppq, pass_ppq, tick_of)
  local _, notes = reaper.MIDI_CountEvts(take)
  for i = 0, notes - 1 do
    local _, _, muted, from, to, channel, pitch, velocity = reaper.MIDI_GetNote(take, i)
    local on, off = tick_of(begin_ppq + math.min(from, pass_ppq)), tick_of(begin_ppq + math.min(to, pass_ppq))
    if not muted and off > on then
      events[#events + 1] = { on, 1, string.char(0x90 | channel, pitch, velocity) }
      events[#events + 1] = { off, 0, string.char(0x80 | channel, pitch, 0) }
    end
  end
end

-- The bytes of a MIDI file of one track that ends at a tick.
local function midi_file(events, last_tick)
  table.sort(events, function(a, b) -- ends come before starts, so that repeated notes stay apart
    if a[1] ~= b[1] then return a[1] < b[1] end
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[3] < b[3]
  end)
  local parts, now = {}, 0
  for _, event in ipairs(events) do
    parts[#parts + 1] = variable_length(event[1] - now) .. event[3]
    now = event[1]
  end
  parts[#parts + 1] = variable_length(last_tick - now) .. "\xff\x2f\x00"
  local body = table.concat(parts)
  return string.pack(">c4I4I2I2I2c4I4", "MThd", 6, 0, 1, TICKS_PER_QUARTER, "MTrk", #body) .. body
end

-- The item's notes, those of its loops too, as a MIDI file whose time 0 is the item's start.
function files.melody_of(item, take, stem)
  local start_s = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  local end_s = start_s + reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
  local start_quarters = reaper.TimeMap2_timeToQN(0, start_s)
  local end_quarters = reaper.TimeMap2_timeToQN(0, end_s)
  local last_tick = math.floor((end_quarters - start_quarters) * TICKS_PER_QUARTER + 0.5)
  local function tick_of(ppq)
    local quarters = reaper.MIDI_GetProjQNFromPPQPos(take, ppq) - start_quarters
    return math.max(0, math.min(last_tick, math.floor(quarters * TICKS_PER_QUARTER + 0.5)))
  end
  local events = {}
  local passes, pass_ppq = passes_of(item, take, start_quarters, end_quarters)
  for _, begin_ppq in ipairs(passes) do add_notes(events, take, begin_ppq, pass_ppq, tick_of) end
  if #events == 0 then refuse("The MIDI item has no notes that sound.") end
  local path = stem .. "-melody.mid"
  write_file(path, midi_file(events, last_tick))
  return path
end

return files
