// Writes what the piano roll needs of a Standard MIDI File: one track of notes, a tempo and
// a metre.

const TICKS_PER_BEAT = 480;
const VELOCITY = 96;

/**
 * @typedef {{pitch: number, startBeats: number, lengthBeats: number}} Note
 * @typedef {{notes: Note[], bpm: number, beatsPerBar: number}} Tune beats are quarter notes
 */

/** A file of format 0. @param {Tune} tune @returns {Blob} */
export function midiOf({ notes, bpm, beatsPerBar }) {
  const events = [
    { tick: 0, order: 0, bytes: [0xff, 0x51, 3, ...bytesOf(Math.round(60e6 / bpm), 3)] },
    { tick: 0, order: 0, bytes: [0xff, 0x58, 4, beatsPerBar, 2, 24, 8] },
    ...notes.flatMap(({ pitch, startBeats, lengthBeats }) => [
      { tick: ticks(startBeats), order: 2, bytes: [0x90, pitch, VELOCITY] },
      // An end before a start at the same tick, so that a repeated note is not cut off.
      { tick: ticks(startBeats + lengthBeats), order: 1, bytes: [0x80, pitch, 0] },
    ]),
  ].sort((one, other) => one.tick - other.tick || one.order - other.order);
  const track = [];
  let now = 0;
  for (const { tick, bytes } of events) {
    track.push(...variable(tick - now), ...bytes);
    now = tick;
  }
  track.push(0, 0xff, 0x2f, 0);
  const head = [...letters("MThd"), ...bytesOf(6, 4), 0, 0, 0, 1, ...bytesOf(TICKS_PER_BEAT, 2)];
  return new Blob(
    [new Uint8Array([...head, ...letters("MTrk"), ...bytesOf(track.length, 4), ...track])],
    { type: "audio/midi" },
  );
}

const ticks = (beats) => Math.round(beats * TICKS_PER_BEAT);
const letters = (text) => [...text].map((letter) => letter.charCodeAt(0));
const bytesOf = (value, count) =>
  Array.from({ length: count }, (_, n) => (value >>> (8 * (count - 1 - n))) & 255);

/** A variable-length quantity: seven bits a byte, all but the last with the top bit set. */
function variable(value) {
  const bytes = [value & 127];
  for (let rest = value >>> 7; rest; rest >>>= 7) bytes.unshift((rest & 127) | 128);
  return bytes;
}
