-- The same without a screen, on a saved session: for `ardour7-lua`, told by variables.
--
--   SESSION_DIR=~/songs/one SESSION=one REGION=clip TASK=extend FIELDS="bars=2 seed=7" \
--     ardour7-lua daw_bridge_session.lua
--
-- Without a screen Ardour cannot import, so the command line renders, and the region is written
-- into the session file, which is kept beside itself as `<session>.ardour.before` first.
-- `daw_bridge_action.lua` lies beside this script.

local function fail (text)
	io.stderr:write ("daw-bridge: ", text, "\n")
	os.exit (1)
end

local function given (name)
	local value = os.getenv (name)
	if not value or value == "" then fail ("set " .. name .. "; see the head of this script") end
	return value
end

-- The action writes clips, too, and has to carry that itself.
function ardour () end
local beside = debug.getinfo (1, "S").source:match ("^@(.*/)") or ""
dofile (beside .. "daw_bridge_action.lua")
local _, write_wav = factory ()

local function quoted (text) return "'" .. text:gsub ("'", "'\\''") .. "'" end

local directory, name, wanted, task = given ("SESSION_DIR"), given ("SESSION"), given ("REGION"), given ("TASK")
local commands = { extend = true, loop = true, inpaint = true }
if not commands[task] then fail ("TASK is extend, loop or inpaint, not " .. task) end
local command = os.getenv ("DAW_BRIDGE") or "daw-bridge"

local session = load_session (directory, name)
if not session then fail (directory .. "/" .. name .. ".ardour cannot be opened") end

local region, playlist
for route in Session:get_tracks ():iter () do
	for each in route:to_track ():playlist ():region_list ():iter () do
		if each:name () == wanted and not each:to_audioregion ():isnil () then
			region, playlist = each, route:to_track ():playlist ()
		end
	end
end
if not region then fail ("no audio region " .. wanted .. " in the session") end
local region_at, rate_hz = region:position ():samples (), math.floor (Session:nominal_sample_rate ())
local playlist_name = playlist:name ()

-- On a change itself Ardour tells what was before.
local behind = Temporal.timepos_t (region_at + 1)
local map = Temporal.TempoMap.read ()
local bpm = map:quarters_per_minute_at (behind)
local meter = map:meter_at (behind)
local metre = string.format ("%d/%d", meter:divisions_per_bar (), meter:note_value ())
local beats = region:position ():ticks () / Temporal.ticks_per_beat
map = nil

local stem = string.format ("%s/%s-%s-%d", directory, task, wanted:gsub ("[^%w._-]", "_"), os.time ())
local reason = write_wav (stem .. "-source.wav", region:to_audioregion ())
if reason then fail (reason) end
local line = { command, task, quoted (stem .. "-source.wav"), "--out", quoted (stem .. ".wav"), "--json",
	"--bpm", string.format ("%.9g", bpm), "--metre", metre, "--position-beats", string.format ("%.9g", beats) }
for key, value in (os.getenv ("FIELDS") or ""):gmatch ("([%w_]+)=(%S+)") do
	line[#line + 1] = "--" .. key:gsub ("_", "-") .. " " .. quoted (value)
end
local pipe = io.popen (table.concat (line, " "))
local told = pipe:read ("a")
if not pipe:close () then fail ("the render failed: " .. told) end
local offset = tonumber (told:match ('"offset_samples":%s*(-?%d+)')) or 0
close_session ()

local position = region_at + offset
-- Nothing lies before the session's first sample, so a take that begins there loses its beginning.
local cut = math.max (0, -position)

-- Channels and length in samples of a WAV, which has the session's rate.
local function header (path)
	local wav = io.open (path, "rb") or fail ("no take at " .. path)
	local bytes = wav:read ("a")
	wav:close ()
	local format_at = select (2, bytes:find ("fmt ", 1, true))
	local _, channels, take_rate_hz, _, frame_bytes = string.unpack ("<I2I2I4I4I2", bytes, format_at + 5)
	local data_at = select (2, bytes:find ("data", format_at, true))
	if take_rate_hz ~= rate_hz then
		fail (string.format ("the take has %d Hz and the session %d Hz: use Ardour's screen", take_rate_hz, rate_hz))
	end
	return channels, string.unpack ("<I4", bytes, data_at + 1) // frame_bytes
end

local function escaped (text)
	return (text:gsub ('[&<>"]', { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

-- The sources of a take and a region that plays them, with ids from `id` on.
local function elements (id, channels, length)
	local superclock = 282240000 // rate_hz
	local path, sources, links = escaped (stem .. ".wav"), {}, {}
	for channel = 0, channels - 1 do
		sources[#sources + 1] = string.format (
			'<Source name="%s" take-id="" type="audio" flags="" id="%d" natural-position="a0" channel="%d" origin="%s" gain="1"/>',
			path, id + channel, channel, path)
		links[#links + 1] = string.format ('source-%d="%d" master-source-%d="%d"', channel, id + channel, channel, id + channel)
	end
	local made = string.format ('<Region name="%s" id="%d" type="audio" channels="%d" start="a%d" length="a%d@a%d" sync-position="a0" '
		.. 'ancestral-start="a0" ancestral-length="a0@a0" stretch="1" shift="1" opaque="1" whole-file="0" first-edit="nothing" '
		.. 'scale-amplitude="1" envelope-active="0" fade-in-active="0" fade-out-active="0" layering-index="99" %s/>',
		escaped (wanted .. " " .. task), id + channels, channels, cut * superclock, (length - cut) * superclock,
		(position + cut) * superclock, table.concat (links, " "))
	return table.concat (sources), made
end

local function put (text, before, added)
	local at = text:find (before, 1, true) or fail ("the session file has no " .. before)
	return text:sub (1, at - 1) .. added .. text:sub (at)
end

-- The text of the session with the take's region on the playlist of the clip.
local function insert (text)
	local channels, length = header (stem .. ".wav")
	if cut >= length then fail ("the whole take lies before the session's beginning; it is " .. stem .. ".wav") end
	local id = tonumber (text:match ('id%-counter="(%d+)"'))
	local sources, made = elements (id, channels, length)
	text = text:gsub ('id%-counter="%d+"', string.format ('id-counter="%d"', id + channels + 1), 1)
	text = put (text, "</Sources>", sources)
	local named = ' name="' .. escaped (playlist_name) .. '"'
	for from in text:gmatch ("()<Playlist ") do
		if text:sub (from, text:find (">", from, true)):find (named, 1, true) then
			return text:sub (1, from - 1) .. put (text:sub (from), "</Playlist>", made)
		end
	end
	fail ("the session file has no playlist " .. playlist_name)
end

local file_name = directory .. "/" .. name .. ".ardour"
local file = io.open (file_name, "rb")
local text = file:read ("a")
file:close ()
local changed = insert (text)
for suffix, content in pairs ({ [".before"] = text, [".new"] = changed }) do
	local out = io.open (file_name .. suffix, "wb") or fail (file_name .. suffix .. " cannot be written")
	local written, closed = out:write (content), out:close ()
	-- Lua raises nothing on a full disk, and what is cut off must not take the session's place.
	if not (written and closed) then
		os.remove (file_name .. suffix)
		fail (file_name .. suffix .. " cannot be written")
	end
end
os.rename (file_name .. ".new", file_name)
print (string.format ("%s: the take lies at sample %d%s", wanted, position + cut,
	cut > 0 and string.format (", without its first %d", cut) or ""))
quit ()
