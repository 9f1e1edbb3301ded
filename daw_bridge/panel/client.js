// The page's side of the WebSocket: commands and their answers, events, audio both ways. It connects
// again by itself.

import { Frames, spread } from "./binary.js";
import { hex, isOurDaemon } from "./proof.js";

const CHUNK_BYTES = 128 * 1024;
const WAITING_BYTES = 4 * 1024 * 1024; // of an upload in the browser's hands
const TRY_AGAIN_LATER = 1013; // the daemon has as many clients as it takes
const PAUSES_MS = [300, 600, 1200, 2500, 5000];

/** What the daemon refused, as it said it. */
export class BridgeError extends Error {
  /** @param {{code?: string, message?: string, hint?: string}} told */
  constructor({ code = "unavailable", message = "", hint = "" }) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

/**
 * @typedef {{onState: (state: string, why?: string) => void, onMessage: (message: any) => void,
 *   onPreview: (frame: import("./binary.js").Frame) => void}} Hooks
 * @typedef {{rateHz: number, channels: Float32Array[], length: number}} Audio
 */

/** One client; `connect` once, then it stays. */
export class Client {
  /** @param {string} token @param {any} table protocol.json @param {Hooks} hooks */
  constructor(token, table, hooks) {
    this.token = token;
    this.frames = new Frames(table);
    this.hooks = hooks;
    this.number = 0;
    this.attempt = 0;
    /** @type {Map<string, any>} */
    this.pending = new Map();
    /** @type {Map<number, any>} */
    this.streams = new Map();
    /** @type {WebSocket | null} */
    this.socket = null;
    this.limits = {};
  }

  /** Connect, now and whenever the connection is lost. */
  async connect() {
    if (!this.attempt) this.hooks.onState("connecting"); // later ones change nothing that was told
    try {
      if (!(await isOurDaemon(this.token))) {
        this.hooks.onState("strange");
        return this.#later();
      }
    } catch {
      this.hooks.onState("away");
      return this.#later();
    }
    const socket = new WebSocket(`ws://${location.host}/ws`);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#told(data);
    socket.onclose = ({ code }) => this.#lost(socket, code);
    socket.onopen = () => this.#greet(socket);
    this.socket = socket;
  }

  /**
   * Ask, and wait for the answer.
   * @param {string} command @param {Record<string, any>} [fields]
   * @returns {Promise<any>} rejected with a BridgeError
   */
  ask(command, fields = {}) {
    this.number += 1;
    return this.#ask(String(this.number), command, fields);
  }

  /**
   * The audio of a take, as float32: the numbers of its file.
   * @param {string} take @param {string} [stem]
   * @returns {Promise<Audio>}
   */
  async stream(take, stem) {
    this.number += 1;
    const id = String(this.number);
    return new Promise((resolve, reject) => {
      const begin = (told) => {
        try {
          this.streams.set(told.stream, { id, audio: silenceFor(told), resolve, reject });
        } catch {
          reject(
            new BridgeError({
              message: `${take} does not fit into the memory of this page`,
              hint: "close other pages, or open the file in another program",
            }),
          );
        }
      };
      this.#send(
        id,
        "stream",
        { take, format: "float32", ...(stem ? { stem } : {}) },
        { resolve: begin, reject },
      );
    });
  }

  /**
   * Send a file; what stands for it where a path can.
   * @param {Blob} file @param {string} name @param {(share: number) => void} [onShare]
   * @returns {Promise<string>}
   */
  async upload(file, name, onShare = () => {}) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const sha256 = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
    this.number += 1;
    const id = String(this.number);
    const begun = await this.#ask(id, "upload", { name, size_bytes: bytes.length, sha256 });
    const finished = new Promise((resolve, reject) => this.pending.set(id, { resolve, reject }));
    finished.catch(() => {}); // it is awaited below; a refusal may come while frames are sent
    await this.#sendFrames(begun.upload, begun.offset_bytes, bytes, id, onShare);
    return (await finished).source;
  }

  async #sendFrames(upload, offset_bytes, bytes, id, onShare) {
    const most = Math.max(
      1024,
      Math.min(CHUNK_BYTES, (this.limits.max_frame_bytes ?? CHUNK_BYTES) - 64),
    );
    for (let at = offset_bytes; at < bytes.length && this.pending.has(id); at += most) {
      const socket = this.socket;
      if (socket?.readyState !== WebSocket.OPEN) return;
      socket.send(
        this.frames.upload(upload, at, at + most >= bytes.length, bytes.subarray(at, at + most)),
      );
      onShare(Math.min(1, (at + most) / bytes.length));
      while (socket.readyState === WebSocket.OPEN && socket.bufferedAmount > WAITING_BYTES)
        await pause(20);
    }
  }

  #ask(id, command, fields) {
    return new Promise((resolve, reject) => this.#send(id, command, fields, { resolve, reject }));
  }

  #send(id, command, fields, pending) {
    if (this.socket?.readyState !== WebSocket.OPEN) {
      pending.reject(
        new BridgeError({
          message: "the daemon cannot be reached",
          hint: "start it: daw-bridge serve",
        }),
      );
      return;
    }
    this.pending.set(id, pending);
    this.socket.send(JSON.stringify({ id, command, ...fields }));
  }

  async #greet(socket) {
    try {
      const told = await this.ask("hello", { token: this.token, client: "panel", preview_hz: 2 });
      this.limits = told.limits ?? {};
      this.attempt = 0;
      await this.ask("subscribe");
      this.hooks.onState("open", told.version);
    } catch (error) {
      if (error instanceof BridgeError && error.code === "forbidden") {
        this.socket = null;
        this.hooks.onState("refused");
      }
      socket.close();
    }
  }

  #told(data) {
    if (typeof data !== "string") return this.#frame(this.frames.read(data));
    const message = JSON.parse(data);
    const asked = this.pending.get(message.id);
    if (asked && !message.event) {
      this.pending.delete(message.id);
      if (message.reply === "failed") asked.reject(new BridgeError(message));
      else asked.resolve(message);
    } else if (message.reply === "failed" && this.#endStream(message)) {
      return;
    }
    this.hooks.onMessage(message);
  }

  #endStream(message) {
    for (const [number, stream] of this.streams) {
      if (stream.id === message.id) {
        this.streams.delete(number);
        stream.reject(new BridgeError(message));
        return true;
      }
    }
    return false;
  }

  /** @param {import("./binary.js").Frame} frame */
  #frame(frame) {
    if (frame.kind === "preview") return this.hooks.onPreview(frame);
    const stream = this.streams.get(frame.stream);
    if (!stream) return;
    spread(stream.audio.channels, frame.offset, frame.data);
    if (frame.last) {
      this.streams.delete(frame.stream);
      stream.resolve(stream.audio);
    }
  }

  #lost(socket, code) {
    const gone = new BridgeError({
      message: "the connection to the daemon was lost",
      hint: "the page connects again by itself",
    });
    const waiting = [...this.pending.values(), ...this.streams.values()];
    this.pending.clear();
    this.streams.clear();
    for (const { reject } of waiting) reject(gone);
    if (this.socket !== socket) return;
    this.socket = null;
    this.hooks.onState(code === TRY_AGAIN_LATER ? "full" : "away");
    this.#later();
  }

  #later() {
    const wait_ms = PAUSES_MS[Math.min(this.attempt, PAUSES_MS.length - 1)];
    this.attempt += 1;
    setTimeout(() => this.connect(), wait_ms);
  }
}

/** Room for the audio of a stream. @returns {Audio} a RangeError is thrown where there is none */
function silenceFor({ sample_rate_hz: rateHz, length_samples: length, channels: number }) {
  const channels = Array.from({ length: number }, () => new Float32Array(length));
  return { rateHz, channels, length };
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
