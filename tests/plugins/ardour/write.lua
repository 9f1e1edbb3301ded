-- Writes a region's audio as the action does, and few samples, which wait for the file to be
-- closed; tells what went wrong.
function ardour () end
dofile (os.getenv ("ACTION"))
local _, write_wav = factory ()
load_session (os.getenv ("SESSION_DIR"), os.getenv ("SESSION"))
local audio
for route in Session:get_tracks ():iter () do
	for region in route:to_track ():playlist ():region_list ():iter () do
		if not region:to_audioregion ():isnil () then audio = region:to_audioregion () end
	end
end
local few = {
	n_channels = function () return 2 end,
	to_readable = function ()
		return { readable_length = function () return 8 end, read = function () end }
	end,
}
for name, each in pairs ({ long = audio, short = few }) do
	local path = os.getenv ("TARGETS") .. "/" .. name .. ".wav"
	local reason = write_wav (path, each)
	print (table.concat ({ "WROTE", name, tostring (reason) }, "\t"))
end
close_session ()
quit ()
