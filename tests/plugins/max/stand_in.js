// What Max gives to a script of `js`, and no more: unknown names raise, as they would there.
// Each line in is a message as JSON, each line out what the script said.
"use strict";
const fs = require("fs");
const readline = require("readline");
const vm = require("vm");

const [script, patch] = process.argv.slice(2);
const say = (kind, values) => process.stdout.write(JSON.stringify([kind, ...values]) + "\n");

class File {
	constructor(path, access) {
		if (access !== "read") throw new Error("access is " + access);
		this.isopen = fs.existsSync(path);
		this.text = this.isopen ? fs.readFileSync(path, "utf8") : "";
		this.eof = this.text.length;
	}
	readstring(count) { return this.text.slice(0, count); }
	close() { this.isopen = false; }
}

class Task {
	constructor(action) { this.action = action; }
	schedule(delayMs) { this.timer = setTimeout(this.action, delayMs); this.timer.unref(); }
	cancel() { clearTimeout(this.timer); }
}

const max = {
	File, Task, JSON, String,
	autowatch: 1, inlets: 1, outlets: 1, messagename: "",
	jsarguments: ["daw-bridge.js", Number(process.env.REPLY_PORT)],
	patcher: { filepath: patch },
	setinletassist: () => {}, setoutletassist: () => {},
	arrayfromargs: (values) => Array.prototype.slice.call(values),
	error: (text) => say("error", [text]),
	outlet(number, ...values) {
		if (number >= max.outlets) throw new Error("there is no outlet " + number);
		say("outlet", [number, ...values.flat()]);
	}
};
vm.createContext(max);
vm.runInContext(fs.readFileSync(script, "utf8"), max);
max.loadbang();
readline.createInterface({ input: process.stdin }).on("line", (line) => {
	const [name, ...values] = JSON.parse(line);
	max.messagename = name;
	const handler = typeof max[name] === "function" ? max[name] : max.anything;
	handler.apply(max, values);
});
