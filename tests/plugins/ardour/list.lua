-- Tells every region of a saved session, as the driver does.
load_session (os.getenv ("SESSION_DIR"), os.getenv ("SESSION"))
for route in Session:get_tracks ():iter () do
	for region in route:to_track ():playlist ():region_list ():iter () do
		local audio, paths = region:to_audioregion (), {}
		if not audio:isnil () then
			for channel = 0, audio:n_channels () - 1 do
				paths[#paths + 1] = region:source (channel):to_filesource ():path ()
			end
		end
		print (table.concat ({ "REGION", route:name (), region:name (), region:position ():samples (),
			region:length ():samples (), region:start ():samples (), table.concat (paths, "|") }, "\t"))
	end
end
close_session ()
quit ()
