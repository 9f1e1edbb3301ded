// What the musician thinks of the take that is shown.

import { button, byId, fill, h, keepFocus } from "./dom.js";
import { ask, attempt, on, state, tell } from "./state.js";
import { noteTake } from "./take.js";

/** @type {{take: string, element: any} | null} the note that is shown, and what it is about */
let note = null;

/** Show the rating of whatever take is shown. */
export function startRating() {
  on("shown", show);
}

/**
 * Rate a take, by itself the one that is shown.
 * @param {{verdict?: string, stars?: number, note?: string}} values @param {string | null} [take]
 */
export function rate(values, take = state.chosen) {
  if (!take) return undefined;
  return attempt(async () => {
    const { verdict, stars, note: text } = await ask("rate", { take, ...values });
    noteTake(take, { verdict, stars, note: text });
    if (note?.take === take) show({ take, verdict, stars, note: text });
    tell(
      "announce",
      `${take}: ${[verdict, stars && `${stars} of 5 stars`, text].filter(Boolean).join(", ")}`,
    );
  });
}

function show(take) {
  const box = byId("rating");
  if (take?.take !== note?.take) {
    note?.element.blur(); // what was typed is told, about the take that it was typed for
    note = take ? { take: take.take, element: noteFor(take.take) } : null;
    if (note) fill(box, h("h2", {}, "Rating"), h("div", { class: "row" }), note.element);
    else fill(box);
  }
  if (!take || !note) return;
  keepWriting(note.element, take.note ?? "");
  const row = /** @type {Element} */ (box.querySelector(".row"));
  keepFocus(row, () => fill(row, ...marksFor(take)));
}

/** Show what the daemon has; what is being written, or did not reach it, stays as it is. */
function keepWriting(element, kept) {
  const isKept = element.value === element.defaultValue;
  element.defaultValue = kept;
  if (isKept && element !== document.activeElement) element.value = kept;
}

function marksFor(take) {
  const verdict = (name, text, key) =>
    button(text, () => rate({ verdict: name }, take.take), {
      class: `verdict-${name}`,
      "aria-pressed": String(take.verdict === name),
      "aria-label": text,
      title: key,
    });
  const stars = [1, 2, 3, 4, 5].map((number) =>
    button("★", () => rate({ stars: number }, take.take), {
      "aria-pressed": String(number <= (take.stars ?? 0)),
      "aria-label": `${number} of 5 stars`,
      title: String(number),
    }),
  );
  const group = h("span", { class: "stars", role: "group", "aria-label": "Stars" }, ...stars);
  return [verdict("keep", "Keep", "G"), verdict("discard", "Discard", "D"), group];
}

function noteFor(take) {
  const label = { "aria-label": "Note", placeholder: "a note…" };
  const element = h("textarea", { id: "note", ...label, rows: 1, maxlength: 2000 });
  element.addEventListener("change", () => rate({ note: element.value }, take));
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    element.blur();
  });
  return element;
}
