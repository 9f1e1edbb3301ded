// Binary frames, read and written by the header that protocol.json describes.

const SIZES = { "4s": 4, B: 1, H: 2, I: 4, Q: 8 };

/**
 * @typedef {{kind: string, format: string, last: boolean, revision: number, stream: number,
 *   offset: number, sample_rate_hz: number, channels: number, data: Uint8Array}} Frame
 */

/** Reads and writes frames. */
export class Frames {
  /** @param {any} table protocol.json */
  constructor(table) {
    this.version = table.version;
    this.binary = table.binary;
    this.headBytes = table.binary.header.reduce((sum, part) => sum + SIZES[part.type], 0);
  }

  /** @param {ArrayBuffer} buffer @returns {Frame} */
  read(buffer) {
    if (buffer.byteLength < this.headBytes) throw new Error("a frame is shorter than its header");
    const values = this.#header(new DataView(buffer));
    if (values.magic !== this.binary.magic || values.version !== this.version) {
      throw new Error("a frame is not of this protocol");
    }
    return {
      ...values,
      kind: nameOf(this.binary.kinds, values.kind),
      format: nameOf(this.binary.formats, values.format),
      last: (values.flags & this.binary.flags.last) !== 0,
      data: new Uint8Array(buffer, this.headBytes),
    };
  }

  /**
   * A frame of an upload.
   * @param {number} upload its number @param {number} offset_bytes @param {boolean} last
   * @param {Uint8Array} data
   */
  upload(upload, offset_bytes, last, data) {
    const { kinds, formats, flags, magic } = this.binary;
    const values = {
      magic,
      version: this.version,
      kind: kinds.upload,
      format: formats.bytes,
      flags: last ? flags.last : 0,
      stream: upload,
      offset: offset_bytes,
    };
    const frame = new Uint8Array(this.headBytes + data.length);
    const view = new DataView(frame.buffer);
    let at = 0;
    for (const { name, type } of this.binary.header) {
      write(view, at, type, values[name] ?? 0);
      at += SIZES[type];
    }
    frame.set(data, this.headBytes);
    return frame;
  }

  /** @param {DataView} view @returns {any} */
  #header(view) {
    const values = {};
    let at = 0;
    for (const { name, type } of this.binary.header) {
      values[name] = read(view, at, type);
      at += SIZES[type];
    }
    return values;
  }
}

function read(view, at, type) {
  switch (type) {
    case "B":
      return view.getUint8(at);
    case "H":
      return view.getUint16(at, true);
    case "I":
      return view.getUint32(at, true);
    case "Q":
      return Number(view.getBigUint64(at, true));
    default:
      return String.fromCharCode(...new Uint8Array(view.buffer, at, SIZES[type]));
  }
}

function write(view, at, type, value) {
  switch (type) {
    case "B":
      return view.setUint8(at, value);
    case "H":
      return view.setUint16(at, value, true);
    case "I":
      return view.setUint32(at, value, true);
    case "Q":
      return view.setBigUint64(at, BigInt(value), true);
    default:
      return [...value].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  }
}

function nameOf(names, number) {
  const found = Object.keys(names).find((name) => names[name] === number);
  if (!found) throw new Error(`a frame has the unknown number ${number}`);
  return found;
}

/**
 * Interleaved float32 into channels that begin at a sample.
 * @param {Float32Array[]} into @param {number} at_samples @param {Uint8Array} data
 */
export function spread(into, at_samples, data) {
  const channels = into.length;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const count = data.byteLength / 4 / channels;
  for (let channel = 0; channel < channels; channel += 1) {
    const samples = into[channel];
    for (let n = 0; n < count; n += 1) {
      samples[at_samples + n] = view.getFloat32(4 * (n * channels + channel), true);
    }
  }
  return count;
}
