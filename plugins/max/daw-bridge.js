// The commands of daw-bridge for Max: reads server.json of the daemon, says OSC to it through udpsend
// and hears its answers from udpreceive. For the object js (ECMAScript 5), without Node.
//
// In:  a command with its pairs (extend source FILE bars 4), cancel, server FILE, what udpreceive says.
// Out: OSC for udpsend; the take's file; progress 0 to 1; every answer; the port for udpreceive.

autowatch = 0;
inlets = 1;
outlets = 5;
setinletassist(0, "command, or what udpreceive says");
setoutletassist(0, "to udpsend");
setoutletassist(1, "the take's file");
setoutletassist(2, "progress, 0 to 1");
setoutletassist(3, "every answer");
setoutletassist(4, "to udpreceive");

var REPLY = "/dawbridge/reply/";
var PATIENCE_MS = 5000;
// Fields that are files: Max writes them in its own way.
var FILES = ["source", "melody", "context", "tempo_from", "intensity_from", "structure_from", "path"];

var serverFile = "";
var replyPort = jsarguments.length > 1 ? jsarguments[1] : 7410;
var port = 0;
var token = "";
var lastId = 0;
var lastJob = "";
var waiting = new Task(function () {
	error("daw-bridge: no answer yet: does daw-bridge serve run?\n");
});

function loadbang() {
	outlet(4, "port", replyPort);
}

function server(path) {
	serverFile = asSystemPath(path);
}

function cancel(job) {
	if (!job && !lastJob) {
		error("daw-bridge: there is no job to cancel\n");
		return;
	}
	ask("cancel", ["job", job || lastJob]);
}

function anything() {
	var words = arrayfromargs(arguments);
	if (messagename.indexOf(REPLY) === 0) {
		hear(messagename.substr(REPLY.length), words);
	} else {
		ask(messagename, words);
	}
}

function ask(command, pairs) {
	if (!findDaemon()) {
		refuse("unavailable", "no daemon is running", "start it with daw-bridge serve");
		return;
	}
	lastId += 1;
	var message = ["/dawbridge/" + command, "max-" + lastId, "token", token, "reply_port", replyPort];
	for (var at = 0; at < pairs.length; at += 2) {
		var isFile = FILES.indexOf(String(pairs[at])) >= 0;
		message.push(pairs[at]);
		if (at + 1 < pairs.length) {
			message.push(isFile ? asSystemPath(pairs[at + 1]) : pairs[at + 1]);
		}
	}
	waiting.cancel();
	waiting.schedule(PATIENCE_MS);
	outlet(0, message);
}

function hear(name, values) {
	waiting.cancel();
	var told = values.slice(1); // without the id
	if (name === "hello") {
		return;
	}
	if (name === "accepted" || name === "watching") {
		lastJob = told[0];
	} else if (name === "progress") {
		outlet(2, told[2]);
	} else if (name === "done") {
		outlet(2, 1);
		outlet(1, told[2]);
	} else if (name === "failed") {
		refuse(told[0], told[1], told[2]);
		return;
	}
	outlet(3, [name].concat(told));
}

function refuse(code, message, hint) {
	error("daw-bridge: " + code + ": " + message + (hint ? " (" + hint + ")" : "") + "\n");
	outlet(3, ["failed", code, message, hint]);
}

// Read before every command: a daemon that was started anew has another token and port.
function findDaemon() {
	var paths = serverFile ? [serverFile] : usualPlaces();
	for (var at = 0; at < paths.length; at += 1) {
		var file = new File(paths[at], "read");
		if (!file.isopen) {
			continue;
		}
		var text = file.readstring(file.eof);
		file.close();
		try {
			var values = JSON.parse(text);
			if (values.osc_port !== port) {
				port = values.osc_port;
				outlet(0, "port", port);
			}
			if (values.token !== token) {
				token = values.token;
				outlet(0, ["/dawbridge/hello", "max", "token", token, "client", "Max",
					"reply_port", replyPort]);
			}
			return true;
		} catch (damaged) {
			error("daw-bridge: " + paths[at] + " cannot be read\n");
		}
	}
	return false;
}

// The home folder is not told to scripts, but the patch lies in it.
function usualPlaces() {
	var here = asSystemPath(this.patcher.filepath || "");
	var home = /^(.*\/Users\/[^\/]+)\//.exec(here);
	if (!home) {
		return [];
	}
	return [
		home[1] + "/Library/Application Support/daw-bridge/server.json",
		home[1] + "/AppData/Local/daw-bridge/server.json"
	];
}

// Max writes Macintosh HD:/Users/me; the system /Volumes/Macintosh HD/Users/me. C:/ is the same in both.
function asSystemPath(path) {
	var parts = /^([^\/:]{2,}):(\/.*)$/.exec(String(path));
	return parts ? "/Volumes/" + parts[1] + parts[2] : String(path);
}
