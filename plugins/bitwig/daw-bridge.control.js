// Asks the daemon daw-bridge for takes and puts them into the launcher of Bitwig Studio (API 7, Bitwig 2.4
// and later). ECMAScript 5: the elder versions of Bitwig know no more.
//
// Where the daemon is and its token are settings of the controller, because a script can read no file. They
// are preferences and not part of the project: a project that is given away must not carry the token.

loadAPI(7);
host.defineController("daw-bridge", "daw-bridge", "1.0", "6d6f1a0c-52f5-4a0c-9a86-3b1f1f0a97c4", "daw-bridge");
host.defineMidiPorts(0, 0);

var REPLY = "/dawbridge/reply/";
var PATIENCE_MS = 5000;
var SLOTS = 64;
// The fields that go with each command, by the settings they come from.
var TASKS = {
	generate: ["bars", "prompt"],
	extend: ["source", "bars", "prompt"],
	loop: ["source", "bars", "prompt"],
	inpaint: ["source", "start", "end", "prompt"],
	vary: ["source", "variation", "prompt"],
	accompany: ["source", "prompt"],
	melody: ["melody", "bars", "prompt"]
};

/** @type {ReturnType<typeof makeSettings>} */
var settings;
var ports = { daemon: 0, reply: 0 };
/** @type {com.bitwig.extension.api.opensoundcontrol.OscConnection} */
var connection = null;
/** @type {API.Transport} */
var transport = null;
/** @type {API.CursorTrack} */
var track = null;
/** @type {API.ClipLauncherSlotBank} */
var slots = null;

var lastId = 0;
// The render that is asked for, or null: its id, job (empty until accepted), heardAt_ms, wasAsked (the daemon
// was asked after a silence) and isSilent (it did not answer that either).
var render = null;
var cancelId = "";
// The newest take: its file, the slot it was put into and whether the slot was seen to have it.
var take = null;

function init() {
	settings = makeSettings();
	makeViews();
	ports = { daemon: portOf(settings.port), reply: portOf(settings.replyPort) };
	// Bitwig opens connections in init only, so another port means another start.
	settings.port.addValueObserver(restartWhenOther("daemon"));
	settings.replyPort.addValueObserver(restartWhenOther("reply"));
	if (!ports.daemon || !ports.reply) {
		tell("a port is a number from 1 to 65535: correct it in the settings of the controller");
		return;
	}
	try {
		var osc = host.getOscModule();
		var answers = osc.createAddressSpace();
		answers.registerDefaultMethod(hear);
		osc.createUdpServer(ports.reply, answers);
		connection = osc.connectToUdpServer("127.0.0.1", ports.daemon, osc.createAddressSpace());
	} catch (refused) {
		connection = null;
		tell("port " + ports.reply + " cannot be opened: choose another reply port in the settings");
	}
}

function exit() {}

function makeSettings() {
	var kept = host.getPreferences();
	var song = host.getDocumentState();
	var made = {
		token: kept.getStringSetting("Token", "daw-bridge", 256, ""),
		port: kept.getStringSetting("Port of the daemon", "daw-bridge", 5, "9787"),
		replyPort: kept.getStringSetting("Port for replies", "daw-bridge", 5, "7420"),
		task: song.getEnumSetting("Task", "Take", Object.keys(TASKS), "generate"),
		prompt: song.getStringSetting("Prompt", "Take", 256, ""),
		bars: song.getNumberSetting("Bars", "Take", 1, 64, 1, "", 4),
		variation: song.getNumberSetting("Variation", "Take", 0, 1, 0.01, "", 0.5),
		seed: song.getNumberSetting("Seed", "Take", 0, 9999, 1, "", 0),
		source: song.getStringSetting("Source file", "Source", 1024, ""),
		start: song.getNumberSetting("Region start", "Source", 0, 600, 0.01, "s", 0),
		end: song.getNumberSetting("Region end", "Source", 0, 600, 0.01, "s", 1),
		tempo: song.getEnumSetting("Tempo of the source", "Source", ["song", "estimate"], "song")
	};
	for (var name in made) {
		made[name].markInterested();
	}
	song.getSignalSetting("Make", "Do", "Make a take").addSignalObserver(make);
	song.getSignalSetting("Stop", "Do", "Cancel").addSignalObserver(cancel);
	song.getSignalSetting("Again", "Do", "Insert the last take").addSignalObserver(insert);
	return made;
}

function makeViews() {
	transport = host.createTransport();
	transport.tempo().value().markInterested();
	transport.timeSignature().numerator().markInterested();
	transport.timeSignature().denominator().markInterested();
	track = host.createCursorTrack("daw-bridge", "daw-bridge", 0, SLOTS, true);
	track.exists().markInterested();
	track.name().markInterested();
	track.canHoldAudioData().markInterested();
	slots = track.clipLauncherSlotBank();
	for (var at = 0; at < SLOTS; at += 1) {
		slots.getItemAt(at).exists().markInterested();
		slots.getItemAt(at).hasContent().addValueObserver(landed(at));
	}
}

function portOf(setting) {
	var text = String(setting.get());
	var number = /^[0-9]+$/.test(text) ? Number(text) : 0;
	return number <= 65535 ? number : 0;
}

function restartWhenOther(name) {
	var setting = name === "daemon" ? settings.port : settings.replyPort;
	return function () {
		var port = portOf(setting);
		if (port && port !== ports[name]) {
			host.restart();
		}
	};
}

// -- What the buttons do

function make() {
	if (render && (render.job || !render.isSilent)) {
		tell("a take is being made: cancel it first");
		return;
	}
	var task = String(settings.task.get());
	var pairs = pairsOf(task);
	if (!pairs || !isReady()) {
		return;
	}
	// The take is for the track that is selected now, whatever is selected when it is finished.
	track.isPinned().set(true);
	render = { id: newId(), job: "", heardAt_ms: Date.now(), isSilent: false, wasAsked: false };
	take = null;
	introduce();
	send(task, render.id, pairs);
	tell(task + " for the track " + track.name().get());
	lookAfter(render);
}

function cancel() {
	if (render && render.isSilent) {
		end("the daemon does not answer: its take is waited for no longer");
		return;
	}
	if (!render || !render.job) {
		tell("there is no take to cancel");
		return;
	}
	cancelId = newId();
	send("cancel", cancelId, ["job", render.job]);
}

function isReady() {
	if (!connection) {
		tell("there is no connection: look at the ports in the settings of the controller");
	} else if (!String(settings.token.get())) {
		tell("the token is missing: copy it from the data folder of daw-bridge into the controller's settings");
	} else if (!track.exists().get() || !track.canHoldAudioData().get()) {
		tell("select an audio track: the take goes into its launcher");
	} else {
		return true;
	}
	return false;
}

// Keys and values, null where something is missing, which is told. All are texts: the daemon reads numbers
// from them, and whether Bitwig sends a number as int, long or double is then of no account.
function pairsOf(task) {
	var pairs = ["seed", number(settings.seed)];
	for (var at = 0; at < TASKS[task].length; at += 1) {
		var field = TASKS[task][at];
		var value = valueOf(field);
		if (!value && field !== "prompt") {
			tell(task + " needs a source file: type its whole path into Source file");
			return null;
		}
		if (value) {
			pairs.push(field, value);
		}
	}
	if (task === "generate" || task === "melody" || String(settings.tempo.get()) === "song") {
		var metre = transport.timeSignature();
		pairs.push("bpm", number(transport.tempo().value()));
		pairs.push("metre", metre.numerator().get() + "/" + metre.denominator().get());
	}
	return pairs;
}

function valueOf(field) {
	if (field === "source" || field === "melody") {
		return String(settings.source.get());
	}
	return field === "prompt" ? String(settings.prompt.get()) : number(settings[field]);
}

// Three places: a setting of 0.07 is 0.07000000000000001 inside.
function number(value) {
	return String(Math.round(value.getRaw() * 1000) / 1000);
}

// -- To and from the daemon

// Anybody may send to the port for replies; who does not know the id is not heard.
function newId() {
	lastId += 1;
	return "bitwig-" + lastId + "-" + Math.random().toString(36).substr(2, 12);
}

function send(command, id, pairs) {
	var always = ["token", String(settings.token.get()), "reply_port", String(ports.reply)];
	var values = [id].concat(always, pairs);
	try {
		sender(values.length)(connection, "/dawbridge/" + command, values);
	} catch (unreachable) {
		// As with nobody there: silence tells it.
		host.println("daw-bridge: " + unreachable);
	}
}

// A method of Java has no apply and the elder language no spread: the call is written out for so many values.
function sender(count) {
	var words = [];
	for (var at = 0; at < count; at += 1) {
		words.push("values[" + at + "]");
	}
	return new Function("to", "address", "values", "to.sendMessage(address, " + words.join(", ") + ");");
}

function introduce() {
	send("hello", newId(), ["client", "Bitwig", "previews", "0", "progress_hz", "1"]);
}

// While a take is being made: a daemon that was started anew does not know whom to tell, so it is asked.
function lookAfter(asked) {
	host.scheduleTask(function () {
		if (render !== asked) {
			return;
		}
		if (Date.now() - asked.heardAt_ms >= PATIENCE_MS) {
			askAfter(asked);
		}
		lookAfter(asked);
	}, PATIENCE_MS / 2);
}

function askAfter(asked) {
	if (!asked.isSilent && (asked.wasAsked || !asked.job)) {
		asked.isSilent = true;
		track.isPinned().set(asked.job !== "");
		tell(asked.job
			? "the daemon is gone: start daw-bridge serve, and the take goes on"
			: "no answer: start daw-bridge serve, and look at the port in the settings of the controller");
	}
	if (asked.job) {
		asked.wasAsked = true;
		introduce();
		send("watch", asked.id, ["job", asked.job]);
	}
}

function hear(source, message) {
	var address = String(message.getAddressPattern());
	if (address.indexOf(REPLY) !== 0 || !/^,?s/.test(String(message.getTypeTag()))) {
		return;
	}
	var id = String(message.getString(0));
	var name = address.substr(REPLY.length);
	if (id === cancelId && name === "failed") {
		tell(refusal(message));
	}
	if (!render || id !== render.id) {
		return;
	}
	render.heardAt_ms = Date.now();
	render.isSilent = render.wasAsked = false;
	if (name === "accepted" || name === "watching") {
		render.job = String(message.getString(1));
	} else if (name === "progress") {
		tell(message.getString(2) + " " + Math.round(100 * message.getFloat(3)) + " %");
	} else if (name === "done") {
		take = { path: String(message.getString(3)), slot: -1, isSeen: false };
		render = null;
		insert();
	} else if (name === "failed" || name === "cancelled") {
		end(name === "failed" ? refusal(message) : "cancelled: " + message.getString(2));
	}
}

function end(text) {
	render = null;
	track.isPinned().set(false);
	tell(text);
}

function refusal(message) {
	// Also a file outside the allowed folders is forbidden; the daemon's hint for the token is for programs.
	if (/carry the token$/.test(String(message.getString(2)))) {
		return "the token is not that of the daemon: copy it from its data folder into the controller's settings";
	}
	var hint = String(message.getString(3));
	return message.getString(2) + (hint ? ": " + hint : "");
}

// -- Into the launcher

function insert() {
	if (!take) {
		tell("there is no take yet");
		return;
	}
	if (render) {
		tell("a take is being made: it goes into its slot by itself");
		return;
	}
	var free = firstFree();
	if (!track.canHoldAudioData().get() || free < 0) {
		tell("no free slot on an audio track: make one and press Insert the last take. " + take.path);
		track.isPinned().set(false);
		return;
	}
	// Until the slot is seen to have it; after that the cursor follows the selection again.
	track.isPinned().set(true);
	var inserted = take;
	take.slot = free;
	take.isSeen = false;
	slots.getItemAt(free).replaceInsertionPoint().insertFile(take.path);
	// Bitwig does not say whether it could; the slot shows it.
	host.scheduleTask(function () {
		if (inserted === take && inserted.slot === free && !inserted.isSeen) {
			track.isPinned().set(false);
			tell("Bitwig did not take the file: drag it onto the track. " + inserted.path);
		}
	}, PATIENCE_MS);
}

function firstFree() {
	for (var at = 0; at < SLOTS; at += 1) {
		var slot = slots.getItemAt(at);
		if (slot.exists().get() && !slot.hasContent().get()) {
			return at;
		}
	}
	return -1;
}

function landed(at) {
	return function (hasContent) {
		if (hasContent && take && take.slot === at && !take.isSeen) {
			take.isSeen = true;
			track.isPinned().set(false);
			tell("the take is in slot " + (at + 1) + " of " + track.name().get());
		}
	};
}

function tell(text) {
	host.println("daw-bridge: " + text);
	host.showPopupNotification("daw-bridge: " + text);
}
