// Intensity by hand: points of seconds and dB with straight lines between them.

import { COLOURS } from "./colours.js";
import { button, h, prepared } from "./dom.js";

const LOW_DB = -60;
const HIGH_DB = 0;
const NEAR_PIXELS = 12;
const LEAST_S = 0.05; // between two points

const ABOUT =
  "Intensity over time; Enter adds a point, arrows move it, Page Up and Page Down choose another, " +
  "Delete removes it";

/** @typedef {{s: number, db: number}} Point */

/**
 * The points that a text says, [] for none or for a text of another form.
 * @param {string} text @returns {Point[]}
 */
export function readLane(text) {
  const points = text
    .split(",")
    .map((part) => part.split(":").map(Number))
    .map(([s, db]) => ({ s, db }));
  return points.every(({ s, db }) => Number.isFinite(s) && Number.isFinite(db)) ? points : [];
}

/** @param {Point[]} points */
export function writeLane(points) {
  return points.map(({ s, db }) => `${Number(s.toFixed(2))}:${Number(db.toFixed(1))}`).join(",");
}

function hint({ clipUnknown }) {
  return clipUnknown
    ? "seconds count from the start of the clip, which stays as it is; give its file to the page " +
        "to see where it ends"
    : "click to set a point, double click to remove one";
}

/** An editor of a lane. */
export class Lane {
  constructor(input, surroundings) {
    this.input = input;
    this.surroundings = surroundings;
    /** @type {Point[]} */
    this.points = [];
    this.chosen = -1;
    this.canvas = h("canvas", {
      tabindex: "0",
      role: "application",
      "aria-label": ABOUT,
      "data-keys": "own",
    });
    this.said = h("p", { class: "quiet", role: "status" });
    this.parts = [
      this.canvas,
      this.said,
      h(
        "div",
        { class: "row" },
        button("Rise", () => this.#preset(-30, -12), { class: "small" }),
        button("Fall", () => this.#preset(-12, -30), { class: "small" }),
        button("Level", () => this.#preset(-18, -18), { class: "small" }),
        button("Clear", () => this.#set([]), { class: "small plain" }),
      ),
    ];
    this.#mouse();
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    input.addEventListener("input", () => this.show());
  }

  /** Draw what the text says. */
  show() {
    this.points = readLane(this.input.value);
    this.chosen = Math.min(this.chosen, this.points.length - 1);
    this.#draw();
  }

  /** How long the lane is: what is asked for, or what is drawn. */
  get lengthS() {
    return Math.max(this.surroundings.span().lengthS, this.points.at(-1)?.s ?? 0);
  }

  #preset(fromDb, toDb) {
    const { fromS, toS } = this.surroundings.span();
    this.#set([
      { s: Number(fromS.toFixed(2)), db: fromDb },
      { s: Number(toS.toFixed(2)), db: toDb },
    ]);
  }

  #set(points) {
    this.points = points;
    this.input.value = writeLane(points);
    this.#draw();
  }

  #add(point) {
    const points = [...this.points, point].sort((one, other) => one.s - other.s);
    this.chosen = points.indexOf(point);
    this.#set(points);
  }

  /** Move a point, no further than its neighbours. */
  #move(index, s, db) {
    const before = this.points[index - 1]?.s ?? -LEAST_S;
    const after = this.points[index + 1]?.s ?? this.lengthS + LEAST_S;
    const moved = {
      s: Math.min(Math.max(s, before + LEAST_S, 0), after - LEAST_S),
      db: Math.min(HIGH_DB, Math.max(LOW_DB, db)),
    };
    this.#set(this.points.map((point, n) => (n === index ? moved : point)));
  }

  #remove(index) {
    const points = this.points.filter((_, n) => n !== index);
    this.chosen = Math.min(index, points.length - 1);
    this.#set(points);
  }

  #x(s) {
    return 6 + (s / this.lengthS) * (this.canvas.clientWidth - 12);
  }

  #y(db) {
    return 6 + ((HIGH_DB - db) / (HIGH_DB - LOW_DB)) * (this.canvas.clientHeight - 12);
  }

  #at({ offsetX, offsetY }) {
    const s = ((offsetX - 6) / (this.canvas.clientWidth - 12)) * this.lengthS;
    const db = HIGH_DB - ((offsetY - 6) / (this.canvas.clientHeight - 12)) * (HIGH_DB - LOW_DB);
    return {
      s: Math.min(this.lengthS, Math.max(0, s)),
      db: Math.min(HIGH_DB, Math.max(LOW_DB, db)),
    };
  }

  #near({ offsetX, offsetY }) {
    return this.points.findIndex(
      ({ s, db }) => Math.hypot(this.#x(s) - offsetX, this.#y(db) - offsetY) < NEAR_PIXELS,
    );
  }

  #mouse() {
    let moving = -1;
    this.canvas.addEventListener("pointerdown", (event) => {
      moving = this.#near(event);
      if (moving < 0) {
        this.#add(this.#at(event));
        moving = this.chosen;
      }
      this.chosen = moving;
      this.canvas.setPointerCapture(event.pointerId);
      this.#draw();
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (moving < 0) return;
      const { s, db } = this.#at(event);
      this.#move(moving, s, db);
    });
    for (const name of ["pointerup", "pointercancel"])
      this.canvas.addEventListener(name, () => (moving = -1));
    this.canvas.addEventListener("dblclick", (event) => {
      const near = this.#near(event);
      if (near >= 0) this.#remove(near);
    });
  }

  #key(event) {
    const point = this.points[this.chosen];
    const step = event.shiftKey ? 5 : 1;
    const by = (s, db) =>
      point && this.#move(this.chosen, point.s + s * step, point.db + db * step);
    const moves = {
      ArrowLeft: () => by(-0.1, 0),
      ArrowRight: () => by(0.1, 0),
      ArrowUp: () => by(0, 1),
      ArrowDown: () => by(0, -1),
      PageUp: () => this.#choose(-1),
      PageDown: () => this.#choose(1),
      Enter: () => this.#addAfter(),
      Delete: () => point && this.#remove(this.chosen),
      Backspace: () => point && this.#remove(this.chosen),
    };
    if (!moves[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    moves[event.key]();
  }

  #choose(by) {
    this.chosen = Math.min(Math.max(0, this.chosen + by), this.points.length - 1);
    this.#draw();
  }

  /** A point between the chosen one and the next, or at the end, or at the start. */
  #addAfter() {
    const here = this.points[this.chosen] ?? this.points.at(-1);
    if (!here) return this.#add({ s: this.surroundings.span().fromS, db: -18 });
    const next = this.points[this.points.indexOf(here) + 1] ?? { s: this.lengthS, db: here.db };
    if (next.s - here.s < 2 * LEAST_S) return undefined;
    return this.#add({ s: (here.s + next.s) / 2, db: (here.db + next.db) / 2 });
  }

  #draw() {
    const { draw, width, height } = prepared(this.canvas);
    draw.fillStyle = COLOURS.ground;
    draw.fillRect(0, 0, width, height);
    draw.font = "10px system-ui, sans-serif";
    for (const db of [-48, -36, -24, -12]) {
      draw.fillStyle = COLOURS.grid;
      draw.fillRect(0, this.#y(db), width, 1);
      draw.fillStyle = COLOURS.text;
      draw.fillText(`${db} dB`, 4, this.#y(db) - 3);
    }
    const span = this.surroundings.span();
    this.#clip(draw, height, span);
    this.#line(draw, width);
    const point = this.points[this.chosen];
    this.said.textContent = point
      ? `point ${this.chosen + 1} of ${this.points.length}: ${point.s.toFixed(2)} s, ${point.db.toFixed(1)} dB`
      : hint(span);
  }

  /** Where the musician's own clip lies, which stays as it is. */
  #clip(draw, height, { lengthS, fromS, toS }) {
    const [startS, endS] = fromS > 0 ? [0, fromS] : [toS, lengthS];
    if (endS <= startS) return;
    draw.fillStyle = COLOURS.grid;
    draw.fillRect(this.#x(startS), 0, this.#x(endS) - this.#x(startS), height);
    draw.fillStyle = COLOURS.kept;
    draw.fillText("your clip", this.#x(startS) + 4, height - 6);
  }

  #line(draw, width) {
    if (!this.points.length) return;
    draw.strokeStyle = COLOURS.made;
    draw.lineWidth = 2;
    draw.beginPath();
    draw.moveTo(0, this.#y(this.points[0].db));
    for (const { s, db } of this.points) draw.lineTo(this.#x(s), this.#y(db));
    draw.lineTo(width, this.#y(this.points[this.points.length - 1].db));
    draw.stroke();
    this.points.forEach(({ s, db }, n) => {
      draw.fillStyle = n === this.chosen ? COLOURS.playhead : COLOURS.made;
      draw.beginPath();
      draw.arc(this.#x(s), this.#y(db), n === this.chosen ? 6 : 4.5, 0, 2 * Math.PI);
      draw.fill();
    });
  }
}
