-- Run by ardour7-lua: the plugin on a track of a real session. SESSION is its folder; what is to be
-- played lies in its region. Leaves `bounced` and, from the session opened again, `again`.
local dir = os.getenv ("SESSION")
local stop_at = tonumber (os.getenv ("STOP_AT_SAMPLES"))

-- Numbers of the control ports, in the order of parameters.hpp.
local bars, send, status, bars_ready, playing = 1, 9, 12, 14, 16

assert (load_session (dir, "song"), "the session does not load")
local track = Session:route_by_name ("Stem"):to_track ()
local plugin = ARDOUR.LuaAPI.new_plugin (Session, "urn:daw-bridge:native", ARDOUR.PluginType.LV2, "")
assert (not plugin:isnil (), "Ardour does not find the plugin")
assert (track:add_processor_by_index (plugin, 0, nil, true) == 0, "the track does not take the plugin")

local function set (port, value)
  assert (ARDOUR.LuaAPI.set_processor_param (plugin, port, value))
end
local function get (port)
  return (ARDOUR.LuaAPI.get_processor_param (plugin, port, true))
end
local function wait (what, holds)
  for _ = 1, 600 do
    if holds () then return end
    sleep (0.05)
  end
  error (what .. ": status " .. get (status))
end

set (bars, 2)
Session:request_locate (12345, false, ARDOUR.LocateTransportDisposition.MustStop, ARDOUR.TransportRequestSource.TRS_UI)
wait ("locate", function () return Session:transport_sample () == 12345 end)
Session:request_roll (ARDOUR.TransportRequestSource.TRS_UI)
wait ("roll", function () return Session:transport_sample () >= stop_at end)
Session:request_stop (false, false, ARDOUR.TransportRequestSource.TRS_UI)
wait ("stop", function () return not Session:transport_rolling () end)
print ("ready", get (bars_ready))

set (send, 1)
wait ("take", function () return get (playing) == 1 end)
print ("take", get (playing))

local function bounce (name)
  local length = tonumber (os.getenv ("LENGTH_SAMPLES"))
  local whole = track:bounce_range (0, length, ARDOUR.InterThreadInfo (), track:main_outs (), false, name)
  assert (not whole:isnil (), "not bounced")
end
bounce ("bounced")

-- The session is opened again, with Send still on: the take comes back, nothing is sent.
Session:save_state ("")
track, plugin = nil, nil
collectgarbage () -- before their session goes
close_session ()
assert (load_session (dir, "song"), "the session does not load again")
track = Session:route_by_name ("Stem"):to_track ()
plugin = track:nth_plugin (0)
wait ("restored take", function () return get (playing) == 1 end)
print ("restored", get (playing), get (bars), get (send), get (status))
bounce ("again")
track, plugin = nil, nil
collectgarbage ()
close_session ()
quit ()
