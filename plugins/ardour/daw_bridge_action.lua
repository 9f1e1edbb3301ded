ardour {
	["type"] = "EditorAction",
	name = "daw-bridge",
	license = "MIT",
	author = "daw-bridge",
	description = [[Send the selected region to daw-bridge. The hook "daw-bridge takes" puts the take on the track.]]
}

function action_params ()
	return {
		["task"] = { title = "Task: extend, loop, inpaint or accompany", default = "extend" },
		["bars"] = { title = "Bars of an extension or a loop", default = "4" },
		["fields"] = { title = "Further fields, such as refine=0 seed=7", default = "" },
	}
end

-- Ardour keeps nothing of this file but `factory`, so all that the action uses stands in it.
-- Also returns `write_wav`, for the script without a screen, and `keep_wav`.
function factory (params)
	local MARGIN_BEATS = 600 -- for the new audio behind the region

	local function complain (text)
		LuaDialog.Message ("daw-bridge", text, LuaDialog.MessageType.Warning, LuaDialog.ButtonType.Close):run ()
	end

	local function data_dir ()
		local named = os.getenv ("DAW_BRIDGE_DATA_DIR")
		if named and named ~= "" then return named end
		local home = os.getenv ("HOME") or ""
		if package and package.config and package.config:sub (1, 1) == "\\" or os.getenv ("LOCALAPPDATA") then
			return (os.getenv ("LOCALAPPDATA") or home .. "\\AppData\\Local") .. "\\daw-bridge"
		end
		local mac = io.open (home .. "/Library/Application Support/daw-bridge/token")
		if mac then mac:close () return home .. "/Library/Application Support/daw-bridge" end
		return (os.getenv ("XDG_DATA_HOME") or home .. "/.local/share") .. "/daw-bridge"
	end

	-- The daemon's own file is flat, so patterns read it.
	local function running_daemon (folder)
		local file = io.open (folder .. "/server.json")
		if not file then return nil end
		local text = file:read ("a")
		file:close ()
		return {
			host = text:match ('"url":%s*"ws://([^/]*):%d+'),
			osc_port = text:match ('"osc_port":%s*(%d+)'),
			token = text:match ('"token":%s*"([^"]*)"'),
			pid = text:match ('"pid":%s*(%d+)'),
		}
	end

	local function track_of (region)
		for route in Session:get_tracks ():iter () do
			local track = route:to_track ()
			if not track:playlist ():region_by_id (region:to_stateful ():id ()):isnil () then return route end
		end
	end

	-- Closes a file that was written; returns what went wrong, or nil. On a full disk Lua raises
	-- nothing: `write` and `close` return nil and the reason.
	local function close (file, written, reason)
		local closed, late = file:close ()
		if not written then return reason end
		if not closed then return late end
	end

	-- What the region plays, trimmed as it is, before its gain and fades: 32-bit float WAV.
	-- Returns what went wrong, or nil.
	local function write_wav (path, audio)
		local file, reason = io.open (path, "wb")
		if not file then return reason end
		local channels, length = audio:n_channels (), audio:to_readable ():readable_length ()
		local rate_hz, frame_bytes = math.floor (Session:nominal_sample_rate ()), 4 * channels
		local written
		written, reason = file:write (
			"RIFF", string.pack ("<I4", 36 + length * frame_bytes), "WAVEfmt ",
			string.pack ("<I4I2I2I4I4I2I2", 16, 3, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, 32),
			"data", string.pack ("<I4", length * frame_bytes))
		local block = 4096
		local buffer = ARDOUR.DSP.DspShm (block)
		for at = 0, length - 1, block do
			if not written then break end
			local count, frames = math.min (block, length - at), {}
			for channel = 0, channels - 1 do
				audio:to_readable ():read (buffer:to_float (0), at, count, channel)
				local samples = buffer:to_float (0):get_table (count)
				for i = 1, count do frames[(i - 1) * channels + channel + 1] = samples[i] end
			end
			local packed = string.pack ("<" .. ("f"):rep (#frames), table.unpack (frames))
			written, reason = file:write (packed)
		end
		reason = close (file, written, reason)
		if reason then os.remove (path) end -- what is cut off must not pass for the whole
		return reason
	end

	-- Length of a file in bytes, and a number that another content hardly ever has: each eight bytes
	-- change all that follows. Returns nil and what went wrong where it cannot be read.
	local function content_of (path)
		local file, reason = io.open (path, "rb")
		if not file then return nil, reason end
		local size, number, block = 0, -3750763034362895579, nil
		block, reason = file:read (65536)
		while block do
			size = size + #block
			block = block .. ("\0"):rep (-#block % 8)
			for at = 1, #block, 8 do
				number = (number ~ string.unpack ("<i8", block, at)) * 1099511628211
				number = number ~ (number >> 29)
			end
			block, reason = file:read (65536)
		end
		file:close ()
		if reason then return nil, reason end
		return size, string.format ("%016x", number)
	end

	-- Writes what the region plays to a file that is named by its content, so that a clip is one file
	-- however often it is sent, and no job finds another one there. What is not whole has no such
	-- name. Returns the path, or nil and what went wrong.
	local function keep_wav (folder, id, audio)
		local part = folder .. "/" .. id .. ".part"
		local reason = write_wav (part, audio)
		if reason then return nil, reason end
		local size, name = content_of (part)
		if not size then os.remove (part) return nil, name end
		local path = folder .. "/ardour-" .. name .. ".wav"
		local kept = io.open (path, "rb")
		local kept_size = kept and kept:seek ("end")
		if kept then kept:close () end
		if kept_size == size then os.remove (part) return path end
		os.remove (path) -- somebody has cut it off; on Windows nothing is renamed to a name that is taken
		local renamed, why = os.rename (part, path)
		if not renamed then os.remove (part) return nil, why end
		return path
	end

	-- The map as points beat:bpm, and the metres. Ardour lists no points, so each beat is asked,
	-- and a tick behind it: on a change itself Ardour tells what was before. A point holds up to
	-- the next, so a beat in which the tempo moves, as on a ramp, gets the mean that lasts as long.
	local function tempo_map (end_ticks)
		local map, points, metres, last, last_metre = Temporal.TempoMap.read (), {}, {}, nil, nil
		local beat_ticks, rate_hz = Temporal.ticks_per_beat, Session:nominal_sample_rate ()
		local function bpm_at (time)
			return string.format ("%.9g", map:quarters_per_minute_at (time))
		end
		for ticks = 0, end_ticks, beat_ticks do
			local at = Temporal.timepos_t.from_ticks (ticks + 1)
			local beat = ticks // beat_ticks
			local bpm = bpm_at (at)
			if bpm ~= bpm_at (Temporal.timepos_t.from_ticks (ticks + beat_ticks - 1)) then
				local from = Temporal.timepos_t.from_ticks (ticks):samples ()
				local to = Temporal.timepos_t.from_ticks (ticks + beat_ticks):samples ()
				bpm = string.format ("%.9g", 60 * rate_hz / (to - from))
			end
			if bpm ~= last then points[#points + 1] = beat .. ":" .. bpm; last = bpm end
			local meter = map:meter_at (at)
			local metre = string.format ("%d/%d", meter:divisions_per_bar (), meter:note_value ())
			if metre ~= last_metre then metres[#metres + 1] = beat .. ":" .. metre; last_metre = metre end
		end
		map = nil
		return table.concat (points, ","), table.concat (metres, ",")
	end

	-- The selected region. Ardour forgets it as a range is drawn: then the one under the range.
	local function region_of (selection)
		local region
		for each in selection.regions:regionlist ():iter () do region = region or each end
		local from_sample, to_sample = selection.time:start_sample (), selection.time:end_sample ()
		if region or from_sample >= to_sample then return region end
		for route in selection.tracks:routelist ():iter () do
			local track = route:to_track ()
			local under = not track:isnil () and track:playlist ():top_region_at (Temporal.timepos_t (from_sample))
			if under and not under:isnil () then region = region or under end
		end
		return region
	end

	-- Writes the region's audio or notes to a file. Returns its path, or nil and what went wrong.
	local function write_clip (folder, id, region, is_midi)
		if not is_midi then return keep_wav (folder, id, region:to_audioregion ()) end
		local path = folder .. "/" .. id .. ".mid" -- no two exports of the same notes are the same bytes
		if not region:to_midiregion ():do_export (path) then return nil, path end
		return path
	end

	-- Where the range lies in the region, in samples; nil unless it lies inside.
	local function range_in (region, time)
		local position = region:position ():samples ()
		local from, to = time:start_sample () - position, time:end_sample () - position
		if from < 0 or from >= to or to > region:length ():samples () then return nil end
		return from, to
	end

	-- Tempo map, metres and place of the region, as pairs of the command.
	local function place_of (region)
		local start_ticks = region:position ():ticks ()
		local behind = region:position ():samples () + region:length ():samples ()
		local end_ticks = Temporal.timepos_t (behind):ticks () + MARGIN_BEATS * Temporal.ticks_per_beat
		local points, metres = tempo_map (end_ticks)
		return { "tempo_map", points, "metre", metres,
			"position_beats", string.format ("%.9g", start_ticks / Temporal.ticks_per_beat) }
	end

	-- The hook looks there for what it awaits. Returns what went wrong, or nil.
	local function await_take (id, task, region, pid, folder)
		local file, reason = io.open (Session:path () .. "/daw-bridge.pending", "a")
		if not file then return reason end
		local track = track_of (region):to_stateful ():id ():to_s ()
		local position = region:position ():samples ()
		local line = table.concat ({ id, task, track, position, os.time (), pid, folder }, "\t")
		return close (file, file:write (line, "\n"))
	end

	local function run ()
		local p = params or {}
		local task, bars = (p["task"] or "extend"):match ("^%s*(.-)%s*$"), p["bars"] or "4"
		local is_midi = task == "accompany"
		if not (is_midi or task == "extend" or task == "loop" or task == "inpaint") then
			complain ("There is no task \"" .. task .. "\": it is extend, loop, inpaint or accompany.\n\n"
				.. "Edit > Lua Scripts > Script Manager sets it.")
			return
		end
		local folder = data_dir ()
		local daemon = running_daemon (folder)
		if not (daemon and daemon.osc_port and daemon.token) then
			complain ("No daemon runs. Start it with\n\ndaw-bridge serve")
			return
		end
		local selection = Editor:get_selection ()
		local region = region_of (selection)
		if not region then complain ("Select a region first.") return end
		if (is_midi and region:to_midiregion () or region:to_audioregion ()):isnil () then
			complain (is_midi and "Accompany needs a MIDI region." or task .. " needs an audio region.")
			return
		end
		local from, to = range_in (region, selection.time)
		if task == "inpaint" and not from then complain ("Select a range inside the region, too.") return end

		local rate_hz = Session:nominal_sample_rate ()
		local id = string.format ("ardour-%d-%d", os.time (), ARDOUR.LuaAPI.monotonic_time ())
		local clip, reason = write_clip (folder .. "/exports", id, region, is_midi)
		if not clip then complain ("The region cannot be written: " .. reason) return end
		local said = place_of (region)
		local function say (key, value) said[#said + 1] = key; said[#said + 1] = tostring (value) end
		local function seconds (samples) return string.format ("%.9g", samples / rate_hz) end
		say ("token", daemon.token)
		say (is_midi and "melody" or "source", clip)
		if is_midi then say ("seconds", seconds (region:length ():samples ())) end
		if task == "extend" or task == "loop" then say ("bars", bars) end
		if task == "inpaint" then say ("start", seconds (from)) say ("end", seconds (to)) end
		for key, value in (p["fields"] or ""):gmatch ("([%w_]+)=(%S+)") do say (key, value) end

		reason = await_take (id, task, region, daemon.pid, folder)
		if reason then complain ("The session cannot be written: " .. reason) return end
		local address = ARDOUR.LuaOSC.Address ("osc.udp://" .. daemon.host .. ":" .. daemon.osc_port)
		address:send ("/dawbridge/" .. (is_midi and "melody" or task),
			"ssi" .. ("s"):rep (#said), id, "reply_file", 1, table.unpack (said))
	end

	-- Ardour drops an action that fails, so a failure is shown instead.
	local function act ()
		local ok, problem = pcall (run)
		if not ok then complain (tostring (problem)) end
	end
	return act, write_wav, keep_wav
end
