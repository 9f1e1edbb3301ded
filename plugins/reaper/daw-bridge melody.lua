local _, script = reaper.get_action_context()
dofile(script:match("^(.*[/\\])") .. "daw_bridge_core.lua").run("melody")
