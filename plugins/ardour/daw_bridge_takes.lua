ardour {
	["type"] = "EditorHook",
	name = "daw-bridge takes",
	license = "MIT",
	author = "daw-bridge",
	description = [[Puts the takes of daw-bridge where their regions were sent from.]]
}

function signals ()
	return LuaSignal.Set ():add ({ [LuaSignal.LuaTimerDS] = true })
end

function factory ()
	local ANSWER_WITHIN_S = 10
	local accepted, acted, busy, told = {}, {}, false, false

	local function read (path)
		local file = io.open (path)
		if not file then return nil end
		local text = file:read ("a")
		file:close ()
		return text
	end

	-- A text or number of the reply's own level, which comes before its lists.
	local function value (text, key)
		local number = text:match ('"' .. key .. '":%s*(-?[%d.]+)')
		if number then return tonumber (number) end
		local at = select (2, text:find ('"' .. key .. '":%s*"'))
		if not at then return nil end
		local found = {}
		while at < #text do
			at = at + 1
			local c = text:sub (at, at)
			if c == '"' then break end
			if c == "\\" then
				at = at + 1
				c = text:sub (at, at)
				c = ({ n = "\n", t = "\t", r = "\r" })[c] or c
			end
			found[#found + 1] = c
		end
		return table.concat (found)
	end

	local function complain (text)
		LuaDialog.Message ("daw-bridge", text, LuaDialog.MessageType.Warning, LuaDialog.ButtonType.Close):run ()
	end

	local function route_of (id)
		for route in Session:get_tracks ():iter () do
			if route:to_stateful ():id ():to_s () == id then return route end
		end
	end

	local function regions ()
		local found = {}
		for route in Session:get_tracks ():iter () do
			for region in route:to_track ():playlist ():region_list ():iter () do
				found[region:to_stateful ():id ():to_s ()] = region
			end
		end
		return found
	end

	local function import (path, job, position)
		local files = C.StringVector ()
		files:push_back (path)
		local track, mode = ARDOUR.Track (), Editing.ImportAsTrack
		if job.task ~= "accompany" then
			local route = route_of (job.track)
			if route then track, mode = route:to_track (), Editing.ImportToTrack end
		end
		Editor:do_import (files, Editing.ImportMergeFiles, mode, ARDOUR.SrcQuality.SrcBest,
			ARDOUR.MidiTrackNameSource.SMFTrackName, ARDOUR.MidiTempoMapDisposition.SMFTempoIgnore,
			Temporal.timepos_t (position), ARDOUR.PluginInfo (), track, false)
	end

	-- Takes a beginning of so many samples from a region at 0, the rest moves there.
	local function cut_beginning (region, cut)
		Session:begin_reversible_command ("daw-bridge: cut the beginning")
		region:to_stateful ():clear_changes ()
		region:trim_front (Temporal.timepos_t (cut))
		region:set_position (Temporal.timepos_t (0))
		Session:add_stateful_diff_command (region:to_statefuldestructible ())
		Session:commit_reversible_command (nil)
	end

	-- Nothing lies before the session's first sample, so a take that begins there loses its beginning.
	local function import_cut (path, job, cut)
		local before = regions ()
		import (path, job, 0)
		for id, region in pairs (regions ()) do
			if not before[id] then cut_beginning (region, cut) end
		end
	end

	local function place (job, reply)
		local path = value (reply, "path")
		-- Offsets count samples of the take, which the session may play at another rate.
		local session_hz = Session:nominal_sample_rate ()
		local in_session = session_hz / (value (reply, "sample_rate_hz") or session_hz)
		local offset = math.floor ((value (reply, "offset_samples") or 0) * in_session + 0.5)
		local position = job.position + offset
		if position >= 0 then import (path, job, position) return end
		local length = (value (reply, "length_samples") or math.huge) * in_session
		if -position >= length then
			complain ("The whole take lies before the session's beginning. It is\n\n" .. path)
			return
		end
		import_cut (path, job, -position)
	end

	-- What is to be done about a job now: nil while it goes on.
	local function ending (job)
		local reply = read (job.folder .. "/replies/" .. job.id .. ".json")
		local name = reply and (reply:match ('"event":%s*"(%a+)"') or reply:match ('"reply":%s*"(%a+)"'))
		if name == "done" then return function () place (job, reply) end end
		if name == "failed" then
			return function () complain (value (reply, "message") .. "\n\n" .. (value (reply, "hint") or "")) end
		end
		if name == "cancelled" then return function () end end
		if name then accepted[job.id] = true end
		local server = read (job.folder .. "/server.json")
		local pid = server and server:match ('"pid":%s*(%d+)')
		if accepted[job.id] and pid and pid ~= job.pid then
			return function () complain ("The daemon was restarted. The take will be among those of\n\ndaw-bridge takes") end
		end
		if not accepted[job.id] and os.time () - job.sent_s > ANSWER_WITHIN_S then
			return function () complain ("The daemon does not answer. Start it with\n\ndaw-bridge serve") end
		end
	end

	-- The list of what is awaited anew, whole or not at all. Returns what went wrong, or nil.
	local function keep (pending, lines)
		if #lines == 0 then return select (2, os.remove (pending)) end
		local partial = pending .. ".partial"
		local file, reason = io.open (partial, "w")
		if not file then return reason end
		local written, unwritten = file:write (table.concat (lines, "\n"), "\n")
		local closed, unclosed = file:close ()
		if not (written and closed) then
			os.remove (partial)
			return unwritten or unclosed
		end
		if os.rename (partial, pending) then return nil end
		os.remove (pending) -- Windows renames onto nothing that is there
		return select (2, os.rename (partial, pending))
	end

	return function ()
		if busy or not Session then return end
		local pending = Session:path () .. "/daw-bridge.pending"
		local text = read (pending)
		if not text then return end
		local waiting, ready, over = {}, {}, false
		for line in text:gmatch ("[^\n]+") do
			local id, task, track, position, sent_s, pid, folder = line:match ("^(%S+)\t(%a+)\t(%d+)\t(%d+)\t(%d+)\t(%d*)\t(.+)$")
			if id and acted[id] then
				over = true
			elseif id then
				local job = { id = id, task = task, track = track, position = tonumber (position),
					sent_s = tonumber (sent_s), pid = pid, folder = folder }
				local act = ending (job)
				if act then ready[#ready + 1] = { job = job, act = act } else waiting[#waiting + 1] = line end
			end
		end
		if #ready == 0 and not over then return end
		busy = true -- an import and a dialog let this timer run again
		local reason = keep (pending, waiting)
		if reason and not told then
			complain ("The list of awaited takes cannot be written. Make room on the disk.\n\n" .. reason)
		end
		told = reason ~= nil
		for _, each in ipairs (ready) do
			acted[each.job.id] = true -- its line stays where the list cannot be written
			os.remove (each.job.folder .. "/replies/" .. each.job.id .. ".json")
			local ok, err = pcall (each.act)
			if not ok then complain ("The take cannot be placed: " .. tostring (err)) end
		end
		busy = false
	end
end
