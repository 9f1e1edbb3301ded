-- Records what comes into an armed stereo track until the file `done` is there.
local work = os.getenv("WORK")

local function exists(name)
  local file = io.open(work .. "/" .. name)
  if file then file:close() end
  return file ~= nil
end

local function tell(name)
  io.open(work .. "/" .. name, "w"):close()
end

local function wait_for(is_so)
  for _ = 1, 2400 do
    if is_so() then return end
    sleep(0.025)
  end
  error("waited in vain")
end

AudioEngine:set_backend("JACK", "ardour", "")
create_session(work .. "/live", "live", 48000)
local order, mode = ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal
local track
for made in Session:new_audio_track(2, 2, nil, 1, "Stem", order, mode, false, false):iter() do
  track = made
end
track:rec_enable_control():set_value(1, PBD.GroupControlDisposition.NoGroup)
Session:maybe_enable_record()
Session:request_roll(ARDOUR.TransportRequestSource.TRS_UI)
wait_for(function() return Session:actively_recording() and Session:transport_sample() > 4800 end)
tell("rolling")
wait_for(function() return exists("done") end)
Session:request_stop(false, false, ARDOUR.TransportRequestSource.TRS_UI)
wait_for(function() return not Session:transport_rolling() end)
wait_for(function()
  for _ in track:playlist():region_list():iter() do return true end
  return false
end)
for region in track:playlist():region_list():iter() do
  local paths = {}
  for channel = 0, 1 do paths[#paths + 1] = region:source(channel):to_filesource():path() end
  print("REGION\t" .. table.concat(paths, "\t"))
end
Session:save_state("")
close_session()
quit()

