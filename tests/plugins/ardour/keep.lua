-- Keeps clips as the action does, one after the other: tells each one's path, or what went wrong.
function ardour () end
dofile (os.getenv ("ACTION"))
local _, _, keep_wav = factory ()
load_session (os.getenv ("SESSION_DIR"), os.getenv ("SESSION"))
local folder, clips = os.getenv ("TARGETS"), {}
for route in Session:get_tracks ():iter () do
	for region in route:to_track ():playlist ():region_list ():iter () do
		clips[region:name ()] = region:to_audioregion ()
	end
end
local clip, late_clip = clips[os.getenv ("REGION")], clips["late clip"]
-- The same but for one sample, the last.
local function changed (audio)
	return {
		n_channels = function () return audio:n_channels () end,
		to_readable = function ()
			return {
				readable_length = function () return audio:to_readable ():readable_length () end,
				read = function (_, to, at, count, channel)
					audio:to_readable ():read (to, at, count, channel)
					local last = audio:to_readable ():readable_length () - at
					if channel == 1 and last <= count then to:offset (last - 1):set_table ({ 0.25 }, 1) end
				end,
			}
		end,
	}
end
local function keep (id, audio)
	local path, reason = keep_wav (folder, id, audio)
	print (table.concat ({ "KEPT", tostring (path or reason) }, "\t"))
	return path
end
local first = keep ("one", clip)
keep ("two", clip)
keep ("three", late_clip)
keep ("four", changed (clip))
if first then io.open (first, "wb"):write ("RIFF"):close () end
keep ("five", clip)
close_session ()
quit ()
