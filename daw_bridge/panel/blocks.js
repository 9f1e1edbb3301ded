// Structure as blocks: letters with bars; equal letters are to sound alike.

import { button, fill, h } from "./dom.js";

const HUES = [28, 205, 140, 300, 52, 170, 255, 340];
const MOST_BARS = 64;

/** @typedef {{letter: string, bars: number}} Part */

/**
 * The parts that a text says, [] for a text of another form.
 * @param {string} text @returns {Part[]}
 */
export function readForm(text) {
  const words = text.trim().split(/\s+/).filter(Boolean);
  const parts = words
    .map((word) => /^([A-Z])(\d+)$/.exec(word))
    .map((found) => found && { letter: found[1], bars: Number(found[2]) });
  return parts.every(Boolean) ? /** @type {Part[]} */ (parts) : [];
}

/** @param {Part[]} parts */
export function writeForm(parts) {
  return parts.map(({ letter, bars }) => `${letter}${bars}`).join(" ");
}

/** An editor of a form. */
export class Blocks {
  constructor(input) {
    this.input = input;
    /** @type {Part[]} */
    this.formParts = [];
    this.chosen = 0;
    this.row = h("div", {
      class: "blocks",
      role: "group",
      "aria-label": "Parts; up and down change the bars, a letter renames, Delete removes",
      "data-keys": "own",
    });
    this.row.addEventListener("keydown", (event) => this.#key(event));
    const small = { class: "small" };
    this.parts = [
      this.row,
      h(
        "div",
        { class: "row" },
        button("Add", () => this.#add(), small),
        button("Letter", () => this.#letter(), small),
        button("− bar", () => this.#bars(-1), small),
        button("+ bar", () => this.#bars(1), small),
        button("Remove", () => this.#remove(), { class: "small plain" }),
      ),
    ];
    input.addEventListener("input", () => this.show());
  }

  /** Draw what the text says. */
  show() {
    this.formParts = readForm(this.input.value);
    this.#draw(false);
  }

  #set(parts, chosen, focused = false) {
    this.formParts = parts;
    this.chosen = Math.min(Math.max(0, chosen), parts.length - 1);
    this.input.value = writeForm(parts);
    this.#draw(focused);
  }

  #add() {
    const last = this.formParts.at(-1);
    const letter = last ? String.fromCharCode(Math.min(90, last.letter.charCodeAt(0) + 1)) : "A";
    this.#set([...this.formParts, { letter, bars: last?.bars ?? 4 }], this.formParts.length);
  }

  #change(change, focused = false) {
    this.#set(
      this.formParts.map((part, n) => (n === this.chosen ? { ...part, ...change(part) } : part)),
      this.chosen,
      focused,
    );
  }

  #letter() {
    const most = Math.max(...this.formParts.map((part) => part.letter.charCodeAt(0)), 65);
    this.#change(({ letter }) => ({
      letter:
        letter.charCodeAt(0) > most - 1 && this.formParts.length > 1
          ? "A"
          : String.fromCharCode(letter.charCodeAt(0) + 1),
    }));
  }

  #bars(by, focused = false) {
    this.#change(({ bars }) => ({ bars: Math.min(MOST_BARS, Math.max(1, bars + by)) }), focused);
  }

  #remove(focused = false) {
    this.#set(
      this.formParts.filter((_, n) => n !== this.chosen),
      this.chosen,
      focused,
    );
  }

  #key(event) {
    const keys = {
      ArrowLeft: () => this.#set(this.formParts, this.chosen - 1, true),
      ArrowRight: () => this.#set(this.formParts, this.chosen + 1, true),
      ArrowUp: () => this.#bars(1, true),
      ArrowDown: () => this.#bars(-1, true),
      Delete: () => this.#remove(true),
      Backspace: () => this.#remove(true),
    };
    const named =
      /^[a-z]$/i.test(event.key) &&
      (() => this.#change(() => ({ letter: event.key.toUpperCase() }), true));
    const move = keys[event.key] ?? named;
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move();
  }

  #draw(focused) {
    const blocks = this.formParts.map(({ letter, bars }, n) => {
      const block = button("", () => this.#set(this.formParts, n), {
        class: "block",
        "aria-pressed": String(n === this.chosen),
        "aria-label": `${letter}, ${bars} bars`,
      });
      block.append(letter, h("small", {}, String(bars)));
      block.style.flexGrow = String(bars);
      block.style.background = `hsl(${HUES[(letter.charCodeAt(0) - 65) % HUES.length]} 65% 66%)`;
      return block;
    });
    fill(
      this.row,
      ...(blocks.length ? blocks : [h("p", { class: "quiet" }, "no parts yet: add one")]),
    );
    if (focused) blocks[this.chosen]?.focus();
  }
}
