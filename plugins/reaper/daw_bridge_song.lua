-- What the project says about the item: tempo and metre, markers, an envelope, the time selection.
-- Loaded by daw_bridge_core.lua, which passes the function that tells a mistake.

local refuse = ...
local song = {}

local SAME_BEATS = 1e-6 -- less is an error of calculation
local VOLUMES = { VOLENV = true, MASTERVOLENV = true } -- the second is the master track's

function song.number_text(value)
  return (string.format("%.9f", value):gsub("0+$", ""):gsub("%.$", ""))
end

-- Puts a point behind the others; one that says again what holds already is left out, as a project
-- that follows a drummer has a signature in every bar.
local function put(points, point, says_again)
  local last = points[#points]
  if last and last.beat == point.beat then
    points[#points] = nil
  elseif last and says_again(last, point) then
    return
  end
  points[#points + 1] = point
end

local function same_tempo(last, point) return last.text == point.text end

-- The same signature inside a bar ends that bar, so it says something.
local function same_bars(last, point)
  local since = (point.beat - last.beat) % point.bar_beats
  return last.text == point.text and math.min(since, point.bar_beats - since) < SAME_BEATS
end

-- The mean tempo of each quarter from a ramp's marker to the next one.
local function put_ramp(tempo, beat, last_beat)
  while beat < last_beat - SAME_BEATS do
    local to = math.min(beat + 1, last_beat)
    local span_s = reaper.TimeMap2_QNToTime(0, to) - reaper.TimeMap2_QNToTime(0, beat)
    put(tempo, { beat = beat, text = song.number_text(60 * (to - beat) / span_s) }, same_tempo)
    beat = to
  end
end

local function joined(points)
  local words = {}
  for i, point in ipairs(points) do words[i] = song.number_text(point.beat) .. ":" .. point.text end
  return table.concat(words, ",")
end

-- Tempo and metre of the song as points in quarter notes; a ramp is a point a quarter.
function song.tempo_and_metre()
  local tempo, metre = {}, {}
  local function put_metre(beat, top, bottom)
    put(metre, { beat = beat, text = top .. "/" .. bottom, bar_beats = 4 * top / bottom }, same_bars)
  end
  local metre_top, metre_bottom, first_bpm = reaper.TimeMap_GetTimeSigAtTime(0, 0)
  put(tempo, { beat = 0, text = song.number_text(first_bpm) }, same_tempo)
  put_metre(0, metre_top, metre_bottom)
  local count = reaper.CountTempoTimeSigMarkers(0)
  for i = 0, count - 1 do
    local _, time_s, _, _, bpm, top, bottom, is_ramp = reaper.GetTempoTimeSigMarker(0, i)
    local beat = reaper.TimeMap2_timeToQN(0, time_s)
    if top > 0 then put_metre(beat, top, bottom) end
    if is_ramp and i + 1 < count then
      local _, next_s = reaper.GetTempoTimeSigMarker(0, i + 1)
      put_ramp(tempo, beat, reaper.TimeMap2_timeToQN(0, next_s))
    else
      put(tempo, { beat = beat, text = song.number_text(bpm) }, same_tempo)
    end
  end
  return joined(tempo), joined(metre)
end

-- Markers and regions inside the item: a letter for each name, seconds from the item's start.
function song.structure(start_s, end_s)
  local points, letters, used, index = {}, {}, 0, 0
  while true do
    local more, _, at_s, _, name = reaper.EnumProjectMarkers(index)
    if more == 0 then break end
    if at_s >= start_s - 1e-6 and at_s < end_s then
      if letters[name] == nil then
        if used == 26 then refuse("Structure has at most 26 parts of different names.") end
        letters[name] = string.char(65 + used)
        used = used + 1
      end
      points[#points + 1] = song.number_text(math.max(0, at_s - start_s)) .. ":" .. letters[name]
    end
    index = index + 1
  end
  if #points == 0 then refuse("There are no markers inside the item to use as structure.") end
  return table.concat(points, ",")
end

-- The selected volume envelope, where its time begins in the project and how fast it goes: that of a
-- take counts from its item's start, in seconds of the take.
local function volume_envelope(item)
  local envelope = reaper.GetSelectedEnvelope(0)
  if envelope == nil then refuse("Select the volume envelope that is to be the intensity.") end
  -- Its name is in the language of REAPER; what its state begins with is not.
  local _, state = reaper.GetEnvelopeStateChunk(envelope, "", false)
  if not VOLUMES[state:match("^%s*<(%u+)[23]?%s")] then
    refuse("The selected envelope is not of volume. Select the volume envelope that is to be the intensity.")
  end
  local take = reaper.Envelope_GetParentTake(envelope)
  if take == nil then return envelope, 0, 1 end
  if reaper.GetMediaItemTake_Item(take) ~= item then
    refuse("The selected envelope is of another item. Select the volume envelope of this item or of a track.")
  end
  return envelope, reaper.GetMediaItemInfo_Value(item, "D_POSITION"),
    reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
end

-- When so many bars after a time are over. The part of a last bar is taken of its own metre.
function song.after_bars(from_s, bars)
  local beat = reaper.TimeMap2_timeToQN(0, from_s)
  while bars > 0 do
    local top, bottom = reaper.TimeMap_GetTimeSigAtTime(0, reaper.TimeMap2_QNToTime(0, beat))
    beat = beat + math.min(1, bars) * 4 * top / bottom
    bars = bars - 1
  end
  return reaper.TimeMap2_QNToTime(0, beat)
end

-- The selected envelope over the result, every half second, as dB below its loudest moment: its shape
-- is what counts, and it may lie above what a level can be.
function song.intensity(item, start_s, end_s)
  local envelope, origin_s, rate = volume_envelope(item)
  local mode, levels_db, points = reaper.GetEnvelopeScalingMode(envelope), {}, {}
  local steps, loudest_db = math.max(1, math.ceil((end_s - start_s) / 0.5)), -math.huge
  for i = 0, steps do
    local at_s = (end_s - start_s) * i / steps
    local _, raw = reaper.Envelope_Evaluate(envelope, (start_s + at_s - origin_s) * rate, 48000, 1)
    local gain = reaper.ScaleFromEnvelopeMode(mode, raw)
    levels_db[i] = 20 * math.log(math.max(gain, 1e-3), 10)
    loudest_db = math.max(loudest_db, levels_db[i])
  end
  for i = 0, steps do
    local at_s = (end_s - start_s) * i / steps
    points[#points + 1] = song.number_text(at_s) .. ":" .. song.number_text(math.max(-80, levels_db[i] - loudest_db))
  end
  return table.concat(points, ",")
end

function song.region(start_s, end_s)
  local from_s, to_s = reaper.GetSet_LoopTimeRange(false, false, 0, 0, false)
  if to_s <= from_s or from_s < start_s or to_s > end_s then
    refuse("Make a time selection inside the item: it is what will be replaced.")
  end
  return from_s - start_s, to_s - start_s
end

return song
