// OSC 1.0 of one message, as much as Bitwig's module has of it.
"use strict";

function text(value) {
	const bytes = Buffer.from(value + "\0", "utf8");
	return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

// A number without a fraction goes as an int, as it does where Java makes an Integer of it.
exports.packet = (address, values) => {
	let tags = ",";
	const data = values.map((value) => {
		const bytes = Buffer.alloc(Number.isInteger(value) ? 4 : 8);
		if (typeof value === "string") {
			tags += "s";
			return text(value);
		}
		if (typeof value !== "number") throw new Error("OSC cannot say " + value);
		tags += Number.isInteger(value) ? "i" : "d";
		if (Number.isInteger(value)) bytes.writeInt32BE(value);
		else bytes.writeDoubleBE(value);
		return bytes;
	});
	return Buffer.concat([text(address), text(tags), ...data]);
};

exports.message = (bytes) => {
	let at = 0;
	const word = () => {
		const end = bytes.indexOf(0, at);
		const found = bytes.toString("utf8", at, end);
		at = end + 4 - (end % 4);
		return found;
	};
	const reads = { i: "readInt32BE", f: "readFloatBE", d: "readDoubleBE", h: "readBigInt64BE" };
	const [address, tags] = [word(), word()];
	const values = [...tags.slice(1)].map((tag) => {
		if (tag === "s") return word();
		if (tag === "T" || tag === "F") return tag === "T";
		const value = bytes[reads[tag]](at);
		at += tag === "d" || tag === "h" ? 8 : 4;
		return value;
	});
	return { address, tags, values };
};
