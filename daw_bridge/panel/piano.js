// A piano roll: a melody drawn by mouse or keyboard, which becomes a MIDI file.

import { COLOURS } from "./colours.js";
import { button, h, prepared } from "./dom.js";
import { midiOf } from "./midi.js";

const ROWS = 25; // two octaves and the note above
const KEYS_WIDTH = 30;
const LOWEST = 12;
const HIGHEST = 108;
const NAMES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
const BLACK = [1, 3, 6, 8, 10];

/** @typedef {import("./midi.js").Note} Note */

const pitchName = (pitch) => `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;

const ABOUT =
  "Piano roll; arrows move, Enter sets or removes a note, Shift with left and right changes its end";
const BARS = [1, 2, 4, 8, 16].map((count) => [count, `${count} bars`]);
const BEATS = [2, 3, 4, 5, 6, 7].map((count) => [count, `${count}/4`]);
const GRIDS = [1, 0.5, 0.25].map((beats) => [beats, `1/${4 / beats}`]);

const choice = (name, values, chosen) =>
  h(
    "select",
    { "aria-label": name },
    ...values.map(([value, text]) => h("option", { value, selected: value === chosen }, text)),
  );

/** An editor of a melody. */
export class Piano {
  constructor(_input, surroundings) {
    this.surroundings = surroundings;
    /** @type {Note[]} */
    this.notes = [];
    this.bottom = 55;
    this.cursor = { pitch: 60, beat: 0 };
    this.canvas = h("canvas", {
      class: "roll",
      tabindex: "0",
      role: "application",
      "data-keys": "own",
      "aria-label": ABOUT,
    });
    this.said = h("p", { class: "quiet", role: "status" });
    this.bars = choice("Bars", BARS, 4);
    this.beats = choice("Beats in a bar", BEATS, 4);
    this.grid = choice("Grid", GRIDS, 0.5);
    const choices = [this.bars, this.beats, this.grid];
    for (const each of choices) each.addEventListener("change", () => this.show());
    const small = (label) => ({ class: "small", "aria-label": label });
    const buttons = [
      button("Up", () => this.#scroll(12), small("An octave up")),
      button("Down", () => this.#scroll(-12), small("An octave down")),
      button("Clear", () => this.#set([]), { class: "small plain" }),
    ];
    this.parts = [this.canvas, this.said, h("div", { class: "row" }, ...choices, ...buttons)];
    this.#drag();
    for (const name of ["dblclick", "contextmenu"])
      this.canvas.addEventListener(name, (event) => this.#erase(event));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** The melody as a file, null without notes. */
  file() {
    if (!this.notes.length) return null;
    const bpm = Number(this.surroundings.value("bpm")) || 120;
    const tune = { notes: this.notes, bpm, beatsPerBar: Number(this.beats.value) };
    return new File([midiOf(tune)], "melody.mid", { type: "audio/midi" });
  }

  raw() {
    return { notes: this.notes, bars: this.bars.value, beats: this.beats.value };
  }

  restore({ notes, bars, beats }) {
    this.notes = notes;
    this.bars.value = bars;
    this.beats.value = beats;
  }

  get lengthBeats() {
    return Number(this.bars.value) * Number(this.beats.value);
  }

  get step() {
    return Number(this.grid.value);
  }

  #set(notes) {
    this.notes = notes;
    this.show();
  }

  #scroll(by) {
    this.bottom = Math.min(HIGHEST - ROWS, Math.max(LOWEST, this.bottom + by));
    this.show();
  }

  #find(pitch, beat) {
    return this.notes.find(
      (note) =>
        note.pitch === pitch &&
        beat >= note.startBeats - 1e-6 &&
        beat < note.startBeats + note.lengthBeats - 1e-6,
    );
  }

  #put(note, change) {
    const changed = { ...note, ...change };
    this.#set(this.notes.map((each) => (each === note ? changed : each)));
    return changed;
  }

  #at({ offsetX, offsetY }) {
    const share = (offsetX - KEYS_WIDTH) / (this.canvas.clientWidth - KEYS_WIDTH);
    const row = Math.floor((offsetY / this.canvas.clientHeight) * ROWS);
    return {
      pitch: this.bottom + ROWS - 1 - Math.min(ROWS - 1, Math.max(0, row)),
      beat: Math.min(this.lengthBeats - 1e-6, Math.max(0, share * this.lengthBeats)),
    };
  }

  #down(beat) {
    return Math.floor(beat / this.step + 1e-9) * this.step;
  }

  /** Drag from an empty place to set a note, from a note to move it, from its end to stretch it. */
  #drag() {
    /** @type {{note: Note, stretches: boolean, gripBeats: number} | null} */
    let held = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      held = this.#take(this.#at(event));
      this.show();
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!held) return;
      const { pitch, beat } = this.#at(event);
      const { note, stretches, gripBeats } = held;
      const end = this.#down(beat) + this.step;
      const latest = this.lengthBeats - note.lengthBeats;
      const change = stretches
        ? { lengthBeats: Math.max(this.step, end - note.startBeats) }
        : { pitch, startBeats: Math.min(latest, Math.max(0, this.#down(beat) - gripBeats)) };
      held.note = this.#put(note, change);
    });
    for (const name of ["pointerup", "pointercancel"])
      this.canvas.addEventListener(name, () => (held = null));
  }

  /** The note at a place, made where there is none, and how it is held. */
  #take({ pitch, beat }) {
    const at = this.#down(beat);
    this.cursor = { pitch, beat: at };
    const found = this.#find(pitch, beat);
    const note = found ?? { pitch, startBeats: at, lengthBeats: this.step };
    if (!found) this.notes = [...this.notes, note];
    const stretches = !found || beat > note.startBeats + note.lengthBeats * 0.7;
    return { note, stretches, gripBeats: at - note.startBeats };
  }

  #erase(event) {
    event.preventDefault();
    const { pitch, beat } = this.#at(event);
    const note = this.#find(pitch, beat);
    if (note) this.#set(this.notes.filter((each) => each !== note));
  }

  #key(event) {
    const { pitch, beat } = this.cursor;
    const note = this.#find(pitch, beat);
    const longer = (by) =>
      note && this.#put(note, { lengthBeats: Math.max(this.step, note.lengthBeats + by) });
    const move = (pitches, beats) => this.#go(pitch + pitches, beat + beats);
    const moves = {
      ArrowUp: () => move(event.shiftKey ? 12 : 1, 0),
      ArrowDown: () => move(event.shiftKey ? -12 : -1, 0),
      ArrowLeft: () => (event.shiftKey ? longer(-this.step) : move(0, -this.step)),
      ArrowRight: () => (event.shiftKey ? longer(this.step) : move(0, this.step)),
      Home: () => move(0, -beat),
      Enter: () => this.#flip(note),
      " ": () => this.#flip(note),
      Delete: () => note && this.#flip(note),
    };
    if (!moves[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    moves[event.key]();
  }

  #flip(note) {
    const { pitch, beat } = this.cursor;
    if (note) this.#set(this.notes.filter((each) => each !== note));
    else this.#set([...this.notes, { pitch, startBeats: beat, lengthBeats: this.step }]);
  }

  #go(pitch, beat) {
    this.cursor = {
      pitch: Math.min(HIGHEST, Math.max(LOWEST, pitch)),
      beat: Math.min(this.lengthBeats - this.step, Math.max(0, beat)),
    };
    if (this.cursor.pitch < this.bottom) this.bottom = this.cursor.pitch;
    if (this.cursor.pitch >= this.bottom + ROWS) this.bottom = this.cursor.pitch - ROWS + 1;
    this.show();
  }

  /** Draw. */
  show() {
    const { draw, width, height } = prepared(this.canvas);
    const row = height / ROWS;
    const x = (beat) => KEYS_WIDTH + (beat / this.lengthBeats) * (width - KEYS_WIDTH);
    const y = (pitch) => (this.bottom + ROWS - 1 - pitch) * row;
    this.#ground(draw, width, height, row, x, y);
    for (const { pitch, startBeats, lengthBeats } of this.notes) {
      draw.fillStyle = COLOURS.made;
      draw.fillRect(
        x(startBeats) + 0.5,
        y(pitch) + 1,
        x(startBeats + lengthBeats) - x(startBeats) - 1.5,
        row - 2,
      );
    }
    draw.strokeStyle = COLOURS.playhead;
    draw.lineWidth = 1.5;
    draw.strokeRect(
      x(this.cursor.beat) + 0.5,
      y(this.cursor.pitch) + 0.5,
      x(this.step) - x(0) - 1,
      row - 1,
    );
    const perBar = Number(this.beats.value);
    const { pitch, beat } = this.cursor;
    const place = `bar ${Math.floor(beat / perBar) + 1}, beat ${(beat % perBar) + 1}`;
    this.said.textContent = `${this.notes.length} notes · ${pitchName(pitch)}, ${place}`;
  }

  #ground(draw, width, height, row, x, y) {
    draw.fillStyle = COLOURS.ground;
    draw.fillRect(0, 0, width, height);
    draw.font = "9px system-ui, sans-serif";
    draw.textBaseline = "middle";
    for (let pitch = this.bottom; pitch < this.bottom + ROWS; pitch += 1) {
      const black = BLACK.includes(pitch % 12);
      draw.fillStyle = black ? "#0d0f12" : "#171b21";
      draw.fillRect(KEYS_WIDTH, y(pitch), width, row - 0.5);
      draw.fillStyle = black ? "#1b1f26" : "#c9d0da";
      draw.fillRect(0, y(pitch), KEYS_WIDTH - 2, row - 0.5);
      if (pitch % 12) continue;
      draw.fillStyle = "#12151a";
      draw.fillText(pitchName(pitch), 5, y(pitch) + row / 2);
    }
    for (let beat = 0; beat < this.lengthBeats; beat += this.step) {
      draw.fillStyle =
        beat % Number(this.beats.value) === 0
          ? "#56616f"
          : beat % 1 === 0
            ? COLOURS.grid
            : "#1c2128";
      draw.fillRect(x(beat), 0, 1, height);
    }
  }
}
