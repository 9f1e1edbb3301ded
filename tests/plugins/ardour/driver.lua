ardour { ["type"] = "EditorHook", name = "test driver", license = "MIT", author = "daw-bridge" }

function signals ()
	return LuaSignal.Set ():add ({ [LuaSignal.LuaTimerDS] = true })
end

-- Does what a musician's hand would: a line of `@FOLDER@/order` selects, acts, undoes; a new line
-- in `@FOLDER@/said` tells every region of every track.
function factory ()
	local folder = "@FOLDER@"
	local function region_of (name)
		for route in Session:get_tracks ():iter () do
			for region in route:to_track ():playlist ():region_list ():iter () do
				if region:name () == name then return region end
			end
		end
		error ("no region " .. name)
	end
	local before, acted_us, sent_us
	local function count ()
		local found = 0
		for route in Session:get_tracks ():iter () do
			found = found + route:to_track ():playlist ():region_list ():size ()
		end
		return found
	end
	local orders = {
		select = function (name)
			local list = ArdourUI.SelectionList ()
			list:push_back (Editor:regionview_from_region (region_of (name)))
			Editor:set_selection (list, ArdourUI.SelectionOp.Set)
		end,
		range = function (from, to)
			Editor:set_loop_range (Temporal.timepos_t (tonumber (from)), Temporal.timepos_t (tonumber (to)), "range")
			Editor:access_action ("Editor", "select-loop-range")
			local time = Editor:get_selection ().time
			assert (time:start_sample () == tonumber (from) and time:end_sample () == tonumber (to), "no range")
		end,
		act = function (group, action) Editor:access_action (group, action) end,
		time = function (group, action)
			before, acted_us = count (), ARDOUR.LuaAPI.monotonic_time ()
			Editor:access_action (group, action)
			sent_us = ARDOUR.LuaAPI.monotonic_time () - acted_us
		end,
		report = function () end,
	}
	local function tell (number, problem)
		local lines = { number .. "\t" .. problem }
		for route in Session:get_tracks ():iter () do
			for region in route:to_track ():playlist ():region_list ():iter () do
				local paths = {}
				local audio = region:to_audioregion ()
				if not audio:isnil () then
					for channel = 0, audio:n_channels () - 1 do
						paths[#paths + 1] = region:source (channel):to_filesource ():path ()
					end
				end
				lines[#lines + 1] = table.concat ({ route:name (), region:name (), region:position ():samples (),
					region:length ():samples (), region:start ():samples (), table.concat (paths, "|") }, "\t")
			end
		end
		local file = io.open (folder .. "/said.new", "w")
		file:write (table.concat (lines, "\n"), "\n")
		file:close ()
		os.rename (folder .. "/said.new", folder .. "/said")
	end
	return function ()
		-- Ardour calls its hooks in turn, so this follows the import within the same tick.
		if acted_us and count () > before then
			local took = io.open (folder .. "/took.new", "w")
			took:write (ARDOUR.LuaAPI.monotonic_time () - acted_us, " ", sent_us, "\n")
			took:close ()
			os.rename (folder .. "/took.new", folder .. "/took")
			acted_us = nil
		end
		local file = io.open (folder .. "/order")
		if not file then return end
		local words = {}
		for word in file:read ("a"):gmatch ("[^\t\n]+") do words[#words + 1] = word end
		file:close ()
		os.remove (folder .. "/order")
		local ok, problem = pcall (orders[words[2]], table.unpack (words, 3))
		tell (words[1], ok and "" or tostring (problem))
	end
end
