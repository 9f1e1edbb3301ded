// What Bitwig Studio gives to a controller script, and no more: names and counts of arguments are those of
// api.json; unknown ones raise, as do values that are read unannounced and what is made after init.
// Each line in is an act of the musician as JSON, each line out what Bitwig showed or did.
"use strict";
const dgram = require("dgram");
const fs = require("fs");
const readline = require("readline");
const vm = require("vm");
const api = require("./api.json");
const osc = require("./osc.js");

const [script, givenSettings, givenTracks] = process.argv.slice(2);
const kept = JSON.parse(givenSettings); // settings by label, which outlive a restart
const tracks = JSON.parse(givenTracks); // {name, audio, slots: [path or ""]}
const say = (...words) => process.stdout.write(JSON.stringify(words) + "\n");
let state;

function proxy(type, members) {
	return new Proxy({}, {
		get(_, name) {
			if (typeof name === "symbol") return undefined;
			if (!(name in api[type])) throw new TypeError(`${type} has no ${name}`);
			const wanted = api[type][name];
			const method = (...values) => {
				if (wanted !== "any" && values.length !== wanted) {
					throw new TypeError(`${type}.${name} takes ${wanted} and not ${values.length}`);
				}
				return members[name](...values);
			};
			return Object.setPrototypeOf(method, null); // a method of Java: no apply, call or bind
		},
		set(_, name) { throw new TypeError(`${type}.${String(name)} cannot be set`); }
	});
}

function inInitOnly(what) {
	if (state.phase !== "init") throw new Error(`${what} can only be called during init`);
}

function is(type, value) {
	if (typeof value !== type) throw new TypeError(`${value} is no ${type}`);
	return value;
}

// A value of the host. Settings may be read during init, others only when it has ended.
function value(type, read, { isSetting = false, write = null } = {}) {
	const observed = { read, last: undefined, callbacks: [] };
	let isInteresting = false;
	const get = () => {
		if (!isInteresting) throw new Error(`a ${type} was read without markInterested`);
		if (!isSetting && state.phase === "init") throw new Error(`a ${type} was read during init`);
		return read();
	};
	const interest = () => { inInitOnly("markInterested"); isInteresting = true; };
	return proxy(type, {
		get, getRaw: get, markInterested: interest, set: (next) => { write(next); changed(); },
		addValueObserver(callback) {
			interest();
			observed.callbacks.push(is("function", callback));
			state.observed.push(observed);
		}
	});
}

// Observers hear the first value when init has ended, and later what has changed; never at once.
function changed() {
	setImmediate(() => {
		for (const observed of state.observed) {
			const now = observed.read();
			if (now === observed.last) continue;
			observed.last = now;
			for (const callback of observed.callbacks) callback(now);
		}
	});
}

function setting(type, label, initial) {
	inInitOnly("a setting");
	if (!(label in kept)) kept[label] = initial;
	return value(type, () => kept[label], { isSetting: true });
}

const settings = () => proxy("Settings", {
	getStringSetting: (label, category, length, initial) =>
		setting("SettableStringValue", label, is("string", initial)),
	getEnumSetting(label, category, options, initial) {
		if (!options.includes(initial)) throw new Error(`${initial} is no option of ${label}`);
		return setting("SettableEnumValue", label, initial);
	},
	getNumberSetting: (label, category, low, high, step, unit, initial) =>
		setting("SettableRangedValue", label, is("number", initial)),
	getSignalSetting(label, category, action) {
		inInitOnly("a setting");
		return proxy("Signal", {
			addSignalObserver: (callback) => { state.buttons[action] = is("function", callback); }
		});
	}
});

const transport = () => proxy("Transport", {
	tempo: () => proxy("Parameter", {
		value: () => state.tempo
	}),
	timeSignature: () => proxy("TimeSignatureValue", {
		numerator: () => state.numerator, denominator: () => state.denominator
	})
});

const current = () => tracks[state.cursor];

function slot(at) {
	const exists = value("BooleanValue", () => at < current().slots.length);
	const hasContent = value("BooleanValue", () => Boolean(current().slots[at]));
	return proxy("ClipLauncherSlot", {
		exists: () => exists, hasContent: () => hasContent,
		replaceInsertionPoint: () => proxy("InsertionPoint", { insertFile: (path) => insert(at, path) })
	});
}

// Says nothing when it cannot, as Bitwig does.
function insert(at, path) {
	if (!current().audio || at >= current().slots.length || !fs.existsSync(is("string", path))) return;
	current().slots[at] = path;
	say("inserted", current().name, at + 1, path);
	changed();
}

function cursorTrack(id, name, sends, scenes, follows) {
	inInitOnly("createCursorTrack");
	const values = {
		exists: value("BooleanValue", () => true),
		name: value("StringValue", () => current().name),
		canHoldAudioData: value("SettableBooleanValue", () => current().audio),
		isPinned: value("SettableBooleanValue", () => state.isPinned,
			{ write: (next) => { state.isPinned = is("boolean", next); } })
	};
	const slots = Array.from({ length: scenes }, (_, at) => slot(at));
	const bank = proxy("ClipLauncherSlotBank", {
		getItemAt(at) {
			if (!(at in slots)) throw new RangeError(`there is no slot ${at}`);
			return slots[at];
		}
	});
	const members = { clipLauncherSlotBank: () => bank };
	for (const [key, held] of Object.entries(values)) members[key] = () => held;
	is("boolean", follows);
	return proxy("CursorTrack", members);
}

const oscModule = () => proxy("OscModule", {
	createAddressSpace: () => {
		const space = proxy("OscAddressSpace", {
			registerDefaultMethod: (callback) => { state.methods.set(space, is("function", callback)); }
		});
		return space;
	},
	createUdpServer(port, space) {
		inInitOnly("createUdpServer");
		const mine = state; // what comes after a restart is not for the script of before
		const socket = dgram.createSocket("udp4");
		socket.on("message", (bytes) => { if (mine === state) state.methods.get(space)(null, received(bytes)); });
		socket.bind(is("number", port), "127.0.0.1", () => say("listening", port));
		state.sockets.push(socket);
	},
	connectToUdpServer(address, port, space) {
		inInitOnly("connectToUdpServer");
		is("number", port);
		const socket = dgram.createSocket("udp4");
		state.sockets.push(socket);
		return proxy("OscConnection", {
			sendMessage(path, ...values) { socket.send(osc.packet(path, values), port, address); }
		});
	}
});

function received(bytes) {
	const { address, tags, values } = osc.message(bytes);
	const at = (type) => (index) => {
		if (!(index in values)) throw new RangeError(`${address} has no value ${index}`);
		return is(type, values[index]);
	};
	return proxy("OscMessage", {
		getAddressPattern: () => address, getTypeTag: () => tags,
		getString: at("string"), getFloat: at("number")
	});
}

const host = proxy("ControllerHost", {
	loadAPI: (version) => is("number", version),
	defineController(...words) {
		words.forEach((word) => is("string", word));
		if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(words[3])) throw new Error("no UUID");
	},
	defineMidiPorts: () => {},
	getPreferences: settings, getDocumentState: settings,
	createTransport: transport, createCursorTrack: cursorTrack, getOscModule: oscModule,
	restart: () => { say("restart"); setImmediate(start); },
	scheduleTask: (task, delayMs) => { state.timers.push(setTimeout(is("function", task), delayMs)); },
	println: (text) => { is("string", text); },
	showPopupNotification: (text) => say("popup", is("string", text))
});

function start() {
	if (state) {
		state.timers.forEach(clearTimeout);
		state.sockets.forEach((socket) => socket.close());
	}
	state = {
		phase: "init", observed: [], buttons: {}, methods: new Map(), sockets: [], timers: [],
		isPinned: false, cursor: state ? state.selected : 0, selected: state ? state.selected : 0
	};
	state.tempo = value("SettableRangedValue", () => 97.50000000000001);
	state.numerator = value("SettableIntegerValue", () => 7);
	state.denominator = value("SettableIntegerValue", () => 8);
	const context = vm.createContext({ host, loadAPI: host.loadAPI });
	vm.runInContext(fs.readFileSync(script, "utf8"), context, { filename: script });
	context.init();
	state.phase = "running";
	changed();
	say("ready");
}

const acts = {
	set(label, next) {
		if (!(label in kept)) throw new Error("there is no setting " + label);
		kept[label] = next;
	},
	press(action) { state.buttons[action](); },
	select(index) {
		state.selected = index;
		if (!state.isPinned) state.cursor = index;
	},
	slots(index, held) { tracks[index].slots = held; }
};

start();
readline.createInterface({ input: process.stdin }).on("line", (line) => {
	const [name, ...values] = JSON.parse(line);
	acts[name](...values);
	changed();
});
