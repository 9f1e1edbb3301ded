// daw-bridge from SuperCollider: clips are extended, looped, repaired and accompanied, and what
// comes back is a file and a Buffer. Start `daw-bridge serve` first.
//
//   d = DawBridge.new;
//   d.extend("/clips/groove.wav", [bars: 4, bpm: 120], { |job| job.buffer.play });

DawBridge {
	classvar <>answerTimeoutS = 10;
	var <serverFile, <port, token, address, <jobs, askers, listeners, count = 0;

	// serverFile: server.json of a data folder that is not the usual one.
	*new { |serverFile|
		^super.new.prInit(serverFile ?? { this.dataFolder +/+ "server.json" })
	}

	// Where the daemon keeps server.json on this platform.
	*dataFolder {
		var home = Platform.userHomeDir;
		^thisProcess.platform.name.switch(
			\osx, { home +/+ "Library/Application Support/daw-bridge" },
			\windows, { ("LOCALAPPDATA".getenv ?? { home +/+ "AppData/Local" }) +/+ "daw-bridge" },
			{ ("XDG_DATA_HOME".getenv ?? { home +/+ ".local/share" }) +/+ "daw-bridge" }
		)
	}

	// Renders. `pairs` are the fields of docs/protocol.md; action gets the job once it is over.
	extend { |source, pairs, action, onProgress|
		^this.render(\extend, [source: source] ++ pairs, action, onProgress)
	}

	loop { |source, pairs, action, onProgress|
		^this.render(\loop, [source: source] ++ pairs, action, onProgress)
	}

	inpaint { |source, startS, endS, pairs, action, onProgress|
		^this.render(
			\inpaint, [source: source, start: startS, end: endS] ++ pairs, action, onProgress
		)
	}

	melody { |midiFile, pairs, action, onProgress|
		^this.render(\melody, [melody: midiFile] ++ pairs, action, onProgress)
	}

	accompany { |source, pairs, action, onProgress|
		^this.render(\accompany, [source: source] ++ pairs, action, onProgress)
	}

	vary { |source, pairs, action, onProgress|
		^this.render(\vary, [source: source] ++ pairs, action, onProgress)
	}

	generate { |prompt, pairs, action, onProgress|
		^this.render(\generate, [prompt: prompt] ++ pairs, action, onProgress)
	}

	// Any task. Returns a DawBridgeJob at once.
	render { |task, pairs, action, onProgress|
		var job = DawBridgeJob(this, this.prNextId, task, action, onProgress);
		jobs[job.id] = job;
		this.prSend(job.id, task, pairs, { |code, message, hint|
			// What comes too late is nobody's any more.
			jobs.removeAt(job.id);
			job.prFail(code, message, hint)
		});
		^job
	}

	// Any other command; action gets the name of the reply and an array of its values.
	ask { |command, pairs, action|
		var id = this.prNextId;
		askers[id] = action ?? { { |reply, values| (reply + values.join(" ")).postln } };
		this.prSend(id, command, pairs, { |code, message, hint|
			this.prReport(code, message, hint);
			askers.removeAt(id);
		});
	}

	free {
		listeners.do(_.free);
		listeners = [];
	}

	prInit { |file|
		serverFile = file.standardizePath;
		jobs = IdentityDictionary.new;
		askers = IdentityDictionary.new;
		listeners = #[
			accepted, progress, stem, done, cancelled, failed, hello, pong, cancelling, watching,
			status, job, jobs, take, takes, exported, removed, restored, rated, estimate, model,
			models, unloading, stopping
		].collect { |name|
			OSCFunc({ |message, time, sender|
				// Other programs can send to this port, too.
				if(sender.port == port) { this.prHear(name, message[1], message[2..]) };
			}, "/dawbridge/reply/" ++ name).permanent_(true)
		};
	}

	prNextId {
		count = count + 1;
		^("sc-" ++ this.identityHash.abs ++ "-" ++ count).asSymbol
	}

	// Reads server.json each time: a daemon that was started anew has another token.
	prFind {
		var values, before = token;
		if(File.exists(serverFile).not) { ^false };
		values = File.readAllString(serverFile).parseJSON;
		if(values.isKindOf(Dictionary).not or: { values["token"].isNil }) { ^false };
		token = values["token"];
		port = values["osc_port"].asInteger;
		address = NetAddr(if(values["url"].contains("[::1]")) { "::1" } { "127.0.0.1" }, port);
		if(token != before) {
			address.sendMsg("/dawbridge/hello", this.prNextId, "token", token,
				"client", "SuperCollider");
		};
		^true
	}

	prSend { |id, command, pairs, onRefusal|
		var values;
		if(this.prFind.not) {
			^onRefusal.value("unavailable", "no daemon is running", "start daw-bridge serve")
		};
		values = pairs.collect { |value| this.prPlain(value) };
		address.sendMsg("/dawbridge/" ++ command, id, "token", token, *values);
		SystemClock.sched(answerTimeoutS, {
			if(this.prUnanswered(id)) {
				onRefusal.value(
					"unavailable", "the daemon does not answer", "does daw-bridge serve run?"
				);
			};
			nil
		});
	}

	prUnanswered { |id|
		^askers[id].notNil or: { jobs[id].notNil and: { jobs[id].state == \asked } }
	}

	// OSC has no lists here: the daemon reads drums,bass.
	prPlain { |value|
		if(value.isString.not and: { value.isKindOf(ArrayedCollection) }) { ^value.join(",") };
		^value
	}

	prHear { |name, id, values|
		jobs[id] !? { |job|
			job.prHear(name, values);
			if(#[done, cancelled, failed].includes(name)) { jobs.removeAt(id) };
			^this
		};
		askers[id] !? { |action|
			if(#[job, take, model].includes(name).not) { askers.removeAt(id) };
			if(name == \failed) { this.prReport(*values) };
			action.value(name, values);
		};
	}

	prReport { |code, message, hint|
		("DawBridge:" + code ++ ":" + message + "(" ++ hint ++ ")").error;
	}
}

// One render: state is asked, queued, running, done, failed or cancelled.
DawBridgeJob {
	var <bridge, <id, <task, action, onProgress;
	var <state = \asked, <job, <stage, <fraction = 0, <etaS, <take, <path, <stems, <buffer, <error;
	var condition;

	*new { |bridge, id, task, action, onProgress|
		^super.newCopyArgs(bridge, id, task, action, onProgress).prInit
	}

	isOver { ^#[done, failed, cancelled].includes(state) }

	cancel {
		if(job.isNil) { ^"DawBridge: the job is not accepted yet".warn };
		bridge.ask(\cancel, [job: job], { });
	}

	// Inside a Routine: goes on when the job is over.
	wait { condition.wait }

	// The same render by another seed or other words: rerender([seed: 5]).
	rerender { |pairs, action, onProgress|
		^bridge.render(\rerender, [take: take] ++ pairs, action, onProgress)
	}

	prInit {
		stems = Dictionary.new;
		condition = Condition({ this.isOver });
	}

	prHear { |name, values|
		name.switch(
			\accepted, { job = values[0]; state = \queued },
			\progress, {
				state = \running;
				stage = values[1];
				fraction = values[2];
				etaS = if(values[3] < 0) { nil } { values[3] };
				onProgress.value(this);
			},
			\stem, { stems[values[1]] = values[2].asString },
			\done, { take = values[1]; path = values[2].asString; this.prDone },
			\cancelled, { this.prEnd(\cancelled) },
			\failed, { this.prFail(*values) }
		);
	}

	prDone {
		fraction = 1;
		if(Server.default.serverRunning.not) { ^this.prEnd(\done) };
		Buffer.read(Server.default, path, action: { |read|
			buffer = read;
			this.prEnd(\done);
		});
	}

	prFail { |code, message, hint|
		error = (code: code, message: message, hint: hint);
		bridge.prReport(code, message, hint);
		this.prEnd(\failed);
	}

	prEnd { |ending|
		state = ending;
		condition.signal;
		action.value(this);
	}
}
