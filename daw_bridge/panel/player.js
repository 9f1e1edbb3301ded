// Plays one or two tracks on one axis of time: switched without a gap, at matched loudness, looped
// without one.

const FADE_S = 0.006;
const AHEAD_S = 0.02; // so that both sides begin together
const REST_AFTER_MS = 200; // well after the fade, and what was on its way is heard

/**
 * @typedef {{key: string, channels: Float32Array[], rateHz: number, startS: number, gainDb: number,
 *   wraps: boolean}} Track `startS` is its place on the axis; `wraps` when its end leads into its start
 * @typedef {{startS: number, endS: number}} Region
 */

/** Where a track ends on the axis. @param {Track} track */
export const endOf = (track) => track.startS + track.channels[0].length / track.rateHz;

/**
 * The samples of a stretch of the axis; beyond the ends of the track is silence, or its other end
 * where it wraps.
 * @param {Track} track @param {Region} region
 * @returns {Float32Array[]}
 */
export function cut(track, { startS, endS }) {
  const first = Math.round((startS - track.startS) * track.rateHz);
  const count = Math.max(1, Math.round((endS - startS) * track.rateHz));
  return track.channels.map((samples) => {
    const part = new Float32Array(count);
    for (let n = 0; n < count; n += 1) {
      const at = first + n;
      part[n] = track.wraps
        ? samples[((at % samples.length) + samples.length) % samples.length]
        : (samples[at] ?? 0);
    }
    return part;
  });
}

/** A player; it tells `change` when it starts, stops or is switched. */
export class Player extends EventTarget {
  /** @param {() => BaseAudioContext} [makeContext] */
  constructor(makeContext = () => new AudioContext({ latencyHint: "interactive" })) {
    super();
    this.makeContext = makeContext;
    /** @type {any} */
    this.context = null;
    /** @type {Record<string, Track | null>} */
    this.tracks = { a: null, b: null };
    this.heard = "a";
    /** @type {Region | null} */
    this.loop = null;
    this.playing = false;
    this.restS = 0; // where it stands, while it does not play
    this.begunS = 0; // where it began to play, and when
    this.begunAt = 0;
    this.voices = {};
    this.buffers = new WeakMap(); // of the browser's, by the channels they are a copy of
    this.resting = 0;
  }

  /** Put a track on a side, null for none. It is heard from where the other one was. */
  load(side, track) {
    const positionS = this.positionS;
    this.tracks[side] = track;
    if (!this.tracks[this.heard]) this.heard = "a";
    if (!this.tracks.a && !this.tracks.b) return this.stop(0);
    this.#again(positionS);
  }

  /** What lies on the sides. @returns {Track[]} */
  get loaded() {
    return /** @type {Track[]} */ (Object.values(this.tracks).filter(Boolean));
  }

  /** Where the axis ends. */
  get endS() {
    return Math.max(0, ...this.loaded.map(endOf));
  }

  /** Where it begins: the first sample of any track. */
  get startS() {
    return Math.min(...this.loaded.map((track) => track.startS), this.endS);
  }

  /** Where it is. */
  get positionS() {
    if (!this.playing) return this.restS;
    const heardS = Math.max(0, this.context.currentTime - this.begunAt);
    const { startS, endS } = this.loop ?? { startS: 0, endS: 0 };
    const at = this.begunS + heardS;
    return this.loop ? startS + ((at - startS) % (endS - startS)) : Math.min(at, this.endS);
  }

  /** Begin at where it stands, or at the start of the loop or the axis when it stands outside. */
  play() {
    if (!this.tracks.a && !this.tracks.b) return;
    this.context ??= this.makeContext();
    clearTimeout(this.resting);
    this.context.resume?.(); // its state may not tell yet that it was suspended
    this.#halt();
    const { startS, endS } = this.loop ?? { startS: this.startS, endS: this.endS };
    const inside = this.restS >= startS && this.restS < endS - 0.005;
    this.begunS = inside ? this.restS : startS;
    this.begunAt = this.context.currentTime + AHEAD_S;
    for (const side of ["a", "b"]) if (this.tracks[side]) this.voices[side] = this.#voice(side);
    this.playing = true;
    this.#tell();
  }

  /** Stop, here or at a place. @param {number} [atS] */
  stop(atS = this.positionS) {
    this.restS = atS;
    this.#halt();
    this.playing = false;
    this.#rest();
    this.#tell();
  }

  /** Go to a place. @param {number} atS */
  seek(atS) {
    this.#again(Math.min(Math.max(this.startS, atS), this.endS));
  }

  /** Repeat a stretch, or null. @param {Region | null} region */
  setLoop(region) {
    const positionS = this.positionS;
    this.loop = region && region.endS - region.startS > 0.02 ? region : null;
    this.#again(positionS);
  }

  /** Let one side be heard. */
  hear(side) {
    if (!this.tracks[side]) return;
    this.heard = side;
    for (const name of Object.keys(this.voices)) this.#fade(name);
    this.#tell();
  }

  #again(positionS) {
    const playing = this.playing;
    this.#halt();
    this.playing = false;
    this.restS = positionS;
    if (playing) this.play();
    else this.#tell();
  }

  #voice(side) {
    const track = /** @type {Track} */ (this.tracks[side]);
    const source = this.context.createBufferSource();
    const gain = this.context.createGain();
    source.connect(gain).connect(this.context.destination);
    gain.gain.setValueAtTime(0, this.context.currentTime);
    gain.gain.setValueAtTime(0, this.begunAt);
    gain.gain.linearRampToValueAtTime(this.#level(side), this.begunAt + FADE_S);
    if (this.loop) {
      source.buffer = this.#buffer(cut(track, this.loop), track.rateHz);
      source.loop = true;
      source.start(this.begunAt, this.begunS - this.loop.startS);
    } else {
      source.buffer = this.#whole(track);
      const late = Math.max(0, track.startS - this.begunS);
      source.start(this.begunAt + late, Math.max(0, this.begunS - track.startS));
      source.onended = () => this.#ended(source);
    }
    return { source, gain };
  }

  #ended(source) {
    const ours = Object.values(this.voices).some((voice) => voice.source === source);
    if (ours && this.playing && this.positionS >= this.endS - 0.05) this.stop(this.startS);
  }

  #level(side) {
    return side === this.heard ? 10 ** ((this.tracks[side]?.gainDb ?? 0) / 20) : 0;
  }

  #fade(side) {
    const { gain } = this.voices[side].gain;
    const now = this.context.currentTime;
    gain.cancelScheduledValues(now);
    gain.setValueAtTime(gain.value, now);
    gain.linearRampToValueAtTime(this.#level(side), now + FADE_S);
  }

  #halt() {
    for (const { source, gain } of Object.values(this.voices)) {
      const now = this.context.currentTime;
      source.onended = null;
      gain.gain.cancelScheduledValues(now);
      gain.gain.setValueAtTime(gain.gain.value, now);
      gain.gain.linearRampToValueAtTime(0, now + FADE_S);
      source.stop(now + 2 * FADE_S);
    }
    this.voices = {};
  }

  /** Let the sound card go, after the fade. */
  #rest() {
    clearTimeout(this.resting);
    this.resting = setTimeout(() => !this.playing && this.context?.suspend(), REST_AFTER_MS);
  }

  #whole(track) {
    if (!this.buffers.has(track.channels))
      this.buffers.set(track.channels, this.#buffer(track.channels, track.rateHz));
    return this.buffers.get(track.channels);
  }

  #buffer(channels, rateHz) {
    const buffer = this.context.createBuffer(channels.length, channels[0].length, rateHz);
    channels.forEach((samples, channel) => buffer.copyToChannel(samples, channel));
    return buffer;
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}
