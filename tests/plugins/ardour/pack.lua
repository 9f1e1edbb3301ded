-- Writes what Ardour keeps of an installed script: packs SOURCE TARGET name id kind pairs of
-- arguments, given by the variable PACK as lines.
local function quoted (value) return string.format ("%q", value) end
for line in os.getenv ("PACK"):gmatch ("[^\n]+") do
	local source, target, kind, name, arguments = line:match ("^(.-)\t(.-)\t(.-)\t(.-)\t(.*)$")
	local text = io.open (source):read ("a")
	local environment = setmetatable ({ ardour = function () end }, { __index = _G })
	load (text, name, "t", environment) ()
	local code = string.dump (environment.factory, true)
	local given = {}
	for key, value in arguments:gmatch ("([^=;]+)=([^;]*)") do
		given[#given + 1] = '["a"][' .. quoted (key) .. "] = " .. quoted (value)
	end
	local file = io.open (target, "wb")
	if kind == "hook" then
		file:write ('s = {} s["n"] = ', quoted (name), ' s["s"] = ', quoted (text), ' s["f"] = ', quoted (code), ' s["a"] = {} ')
	else
		local at = "scripts[" .. kind .. "]"
		file:write (at, ' = {} ', at, '["n"] = ', quoted (name), " ", at, '["s"] = ', quoted (text), " ", at, '["f"] = ', quoted (code), " ", at, '["a"] = {} ')
		for _, each in ipairs (given) do file:write (at, each, " ") end
	end
	file:close ()
end
quit ()
