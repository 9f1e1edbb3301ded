-- What the project says about the item: tempo and metre, markers, an envelope, the time selection.
-- Loaded by daw_bridge_core.lua, which passes the function that tells a mistake.

local refuse = ...
local song = {}

function song.number_text(value)
  return (string.format("%.9f", value):gsub("0+$", ""):gsub("%.$", ""))
end

-- Tempo and metre of the song as points in quarter notes; a ramp is a point a quarter.
function song.tempo_and_metre()
  local metre_top, metre_bottom, first_bpm = reaper.TimeMap_GetTimeSigAtTime(0, 0)
  local tempo, metre = { [0] = first_bpm }, { [0] = metre_top .. "/" .. metre_bottom }
  local beats_of_tempo, beats_of_metre = { 0 }, { 0 }
  local function set(points, order, beat, value)
    if points[beat] == nil then order[#order + 1] = beat end
    points[beat] = value
  end
  local count = reaper.CountTempoTimeSigMarkers(0)
  for i = 0, count - 1 do
    local _, time_s, _, _, bpm, top, bottom, is_ramp = reaper.GetTempoTimeSigMarker(0, i)
    local beat = reaper.TimeMap2_timeToQN(0, time_s)
    if top > 0 then set(metre, beats_of_metre, beat, top .. "/" .. bottom) end
    if is_ramp and i + 1 < count then
      local _, next_s = reaper.GetTempoTimeSigMarker(0, i + 1)
      local last = reaper.TimeMap2_timeToQN(0, next_s)
      while beat < last - 1e-6 do
        local to = math.min(beat + 1, last)
        local span_s = reaper.TimeMap2_QNToTime(0, to) - reaper.TimeMap2_QNToTime(0, beat)
        set(tempo, beats_of_tempo, beat, 60 * (to - beat) / span_s)
        beat = to
      end
    else
      set(tempo, beats_of_tempo, beat, bpm)
    end
  end
  local function joined(points, order, text_of)
    local words = {}
    for i, beat in ipairs(order) do words[i] = song.number_text(beat) .. ":" .. text_of(points[beat]) end
    return table.concat(words, ",")
  end
  return joined(tempo, beats_of_tempo, song.number_text), joined(metre, beats_of_metre, tostring)
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

-- The selected envelope over the item, every half second, as dB below its loudest moment: its shape
-- is what counts, and it may lie above what a level can be.
function song.intensity(start_s, end_s)
  local envelope = reaper.GetSelectedEnvelope(0)
  if envelope == nil then refuse("Select the volume envelope that is to be the intensity.") end
  local mode, levels_db, points = reaper.GetEnvelopeScalingMode(envelope), {}, {}
  local steps, loudest_db = math.max(1, math.ceil((end_s - start_s) / 0.5)), -math.huge
  for i = 0, steps do
    local at_s = (end_s - start_s) * i / steps
    local _, raw = reaper.Envelope_Evaluate(envelope, start_s + at_s, 48000, 1)
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
