// A page's side of the protocol, knowing plugins/protocol.json and nothing else of ours.
window.bridge = {
  told: [],
  asking: [],

  // Resolves once the WebSocket is open and has said hello, or rejects when it is refused.
  open(url, token, table) {
    this.table = table;
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => {
      const told = typeof data === "string" ? { json: JSON.parse(data) } : { frame: this.decode(data) };
      const asker = this.asking.shift();
      asker ? asker(told) : this.told.push(told);
    };
    return new Promise((resolve) => {
      this.socket.onerror = () => resolve("refused");
      this.socket.onopen = () => {
        this.say({ id: "hello", command: "hello", token });
        resolve("open");
      };
    });
  },

  say(message) {
    this.socket.send(JSON.stringify(message));
  },

  hear() {
    const told = this.told.shift();
    return told ? Promise.resolve(told) : new Promise((resolve) => this.asking.push(resolve));
  },

  // A file in chunks, each behind the header of the table.
  upload(number, base64, chunkBytes) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    for (let start = 0; start < bytes.length; start += chunkBytes) {
      const part = bytes.subarray(start, start + chunkBytes);
      const last = start + chunkBytes >= bytes.length;
      this.socket.send(this.encode("upload", "bytes", number, start, last, part));
    }
  },

  async digest(base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  },

  size(part) {
    return { "4s": 4, B: 1, H: 2, I: 4, Q: 8 }[part.type];
  },

  decode(buffer) {
    const { header, kinds, formats, flags, magic } = this.table.binary;
    const view = new DataView(buffer);
    const values = {};
    let at = 0;
    for (const part of header) {
      values[part.name] = {
        "4s": () => String.fromCharCode(...new Uint8Array(buffer, at, 4)),
        B: () => view.getUint8(at),
        H: () => view.getUint16(at, true),
        I: () => view.getUint32(at, true),
        Q: () => Number(view.getBigUint64(at, true)),
      }[part.type]();
      at += this.size(part);
    }
    if (values.magic !== magic || values.version !== this.table.version) throw new Error("header");
    const named = (names, number) => Object.keys(names).find((name) => names[name] === number);
    const data = new Uint8Array(buffer, at);
    return {
      ...values,
      kind: named(kinds, values.kind),
      format: named(formats, values.format),
      last: (values.flags & flags.last) !== 0,
      data: btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join("")),
      floats: values.format === formats.float32 && data.length % 4 === 0
        ? Array.from(new Float32Array(buffer.slice(at)).subarray(0, 8)) : null,
    };
  },

  encode(kind, format, stream, offset, last, data) {
    const { header, kinds, formats, flags, magic } = this.table.binary;
    const values = {
      magic, version: this.table.version, kind: kinds[kind], format: formats[format],
      flags: last ? flags.last : 0, revision: 0, stream, offset,
      sample_rate_hz: 0, channels: 0, reserved: 0,
    };
    const headBytes = header.reduce((sum, part) => sum + this.size(part), 0);
    const frame = new Uint8Array(headBytes + data.length);
    const view = new DataView(frame.buffer);
    let at = 0;
    for (const part of header) {
      const value = values[part.name];
      ({
        "4s": () => [...value].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0))),
        B: () => view.setUint8(at, value),
        H: () => view.setUint16(at, value, true),
        I: () => view.setUint32(at, value, true),
        Q: () => view.setBigUint64(at, BigInt(value), true),
      })[part.type]();
      at += this.size(part);
    }
    frame.set(data, headBytes);
    return frame;
  },
};
"ready";
