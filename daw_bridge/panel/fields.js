// A control for each kind of field that the protocol table knows.

import { h } from "./dom.js";
import { editorOf } from "./editors.js";
import { Place } from "./given.js";
import { spanOf } from "./span.js";
import { shown, state } from "./state.js";

// The parts that `engine.spec.ROLES` names; a test compares them.
export const ROLES = ["drums", "bass", "chords", "lead"];
const WORDS = {
  bpm: "tempo",
  bars: "bars",
  seconds: "seconds",
  crossfade_ms: "crossfade",
  sample_rate_hz: "sample rate",
  position_beats: "place in the song",
  tempo_from: "tempo from",
  intensity_from: "intensity from",
  structure_from: "structure from",
};
const EXAMPLES = {
  tempo: "0:120,16:90",
  metre: "4/4",
  lane: "0:-30,3:-12",
  form: "A4 B4 A4",
  key: "A minor",
  slot: "track 2, bar 9",
  prompt: "warm jazz trio, brushes",
};

const ALONE = {
  value: () => "",
  span: () => spanOf({ task: "", side: "", askedS: 0, givenS: null }),
};

let number = 0;

/**
 * @typedef {{name: string, element: HTMLElement, wide: boolean, values: () => any, raw: () => any,
 *   restore: (raw: any) => void, check: () => string, give?: (file: File) => Promise<void>}} Control
 *   `values` may be a promise; it is {} where nothing was said
 */

/**
 * The control of a field.
 * @param {any} field of protocol.json @param {string} command
 * @param {any} [surroundings] `value(name)` says what others say, `span()` what is made anew
 * @returns {Control}
 */
export function controlOf(field, command, surroundings = ALONE) {
  number += 1;
  const id = `${command}-${field.name}-${number}`;
  const make = MAKERS[field.kind] ?? textControl;
  return make(field, id, surroundings);
}

const MAKERS = {
  number: numberControl,
  integer: numberControl,
  flag: flagControl,
  choice: choiceControl,
  roles: rolesControl,
  path: pathControl,
  lane: drawnControl,
  form: drawnControl,
};

const label = (field, id) =>
  h(
    "label",
    { for: id, title: field.doc },
    WORDS[field.name] ?? field.name.replaceAll("_", " "),
    field.required && h("span", { class: "unit" }, "needed"),
    field.unit &&
      !["takes", "bars", "beats"].includes(field.unit) &&
      h("span", { class: "unit" }, field.unit),
  );

/** What most controls are: one input in a labelled field. */
function simple(
  field,
  id,
  input,
  { wide = false, said = () => input.value.trim(), parts = [input] } = {},
) {
  const element = h(
    "div",
    { class: "field", "data-field": field.name },
    label(field, id),
    h("div", { class: "row" }, ...parts),
  );
  return {
    name: field.name,
    element,
    wide,
    values: () => (said() === "" ? {} : { [field.name]: said() }),
    raw: () => input.value,
    restore: (raw) => {
      input.value = raw;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    },
    check: () => (input.checkValidity() ? "" : input.validationMessage),
  };
}

function textControl(field, id) {
  const placeholder = field.default ?? EXAMPLES[field.name] ?? EXAMPLES[field.kind] ?? "";
  const input = h("input", {
    id,
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    placeholder,
    title: field.doc,
    maxlength: 2000,
  });
  return simple(field, id, input, {
    wide: ["prompt", "tempo", "metre"].includes(field.name) || field.kind === "tempo",
  });
}

function numberControl(field, id) {
  const share = field.low === 0 && field.high === 1;
  const input = h("input", {
    id,
    type: "number",
    class: share ? "number" : "",
    min: field.low,
    max: field.high,
    step: field.kind === "integer" ? 1 : "any",
    placeholder: field.default ?? "auto",
    title: field.doc,
    inputmode: "decimal",
  });
  const said = () => (input.value === "" ? "" : Number(input.value));
  if (!share) return simple(field, id, input, { said });
  const range = h("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.05,
    value: field.default ?? 0.4,
    "aria-label": `${field.name}, by hand`,
  });
  range.addEventListener("input", () => (input.value = range.value));
  input.addEventListener("input", () => input.value !== "" && (range.value = input.value));
  return simple(field, id, input, { said, wide: true, parts: [range, input] });
}

function flagControl(field, id) {
  if (field.default === undefined)
    return choiceControl(
      { ...field, choices: ["yes", "no"] },
      id,
      undefined,
      (text) => text === "yes",
    );
  const input = h("input", { id, type: "checkbox", title: field.doc });
  input.checked = field.default;
  const element = h(
    "div",
    { class: "field", "data-field": field.name },
    h(
      "div",
      { class: "row" },
      input,
      h("label", { for: id, title: field.doc }, field.name.replaceAll("_", " ")),
    ),
  );
  return {
    name: field.name,
    element,
    wide: false,
    check: () => "",
    values: () => (input.checked === field.default ? {} : { [field.name]: input.checked }),
    raw: () => input.checked,
    restore: (raw) => (input.checked = raw),
  };
}

function choiceControl(field, id, _surroundings, cast = (/** @type {any} */ text) => text) {
  const none = field.required
    ? []
    : [h("option", { value: "" }, field.default ? `${field.default} (default)` : "as it is")];
  const input = h(
    "select",
    { id, title: field.doc },
    ...none,
    ...field.choices
      .filter((choice) => choice !== field.default || field.required)
      .map((choice) => h("option", { value: choice }, choice)),
  );
  return simple(field, id, input, { said: () => (input.value === "" ? "" : cast(input.value)) });
}

function rolesControl(field, id) {
  const boxes = ROLES.map((role) =>
    h("button", { type: "button", "aria-pressed": "false", "data-role": role }, role),
  );
  const isOn = (box) => box.getAttribute("aria-pressed") === "true";
  const set = (box, on) => box.setAttribute("aria-pressed", String(on));
  for (const box of boxes) box.addEventListener("click", () => set(box, !isOn(box)));
  const chosen = () => boxes.filter(isOn).map((box) => box.dataset.role);
  const hint = h("span", { class: "unit" }, "none chosen: as the words say");
  const element = h(
    "div",
    { class: "field", "data-field": field.name, role: "group", "aria-label": "parts" },
    h("span", { class: "label", id, title: field.doc }, "parts ", hint),
    h("div", { class: "chips" }, ...boxes),
  );
  return {
    name: field.name,
    element,
    wide: true,
    check: () => "",
    values: () => (chosen().length ? { [field.name]: chosen().join(",") } : {}),
    raw: chosen,
    restore: (raw) => boxes.forEach((box) => set(box, raw.includes(box.dataset.role))),
  };
}

/** A text with an editor that draws it. */
function drawnControl(field, id, surroundings) {
  const control = textControl(field, id);
  const input = /** @type {HTMLInputElement} */ (control.element.querySelector("input"));
  const editor = editorOf(field.kind, input, surroundings);
  control.element.append(editor.element);
  control.element.querySelector(".row")?.append(editor.opener);
  return { ...control, wide: true };
}

/** A path, typed, or a file given to the page, which is sent when it is given. */
function pathControl(field, id, surroundings) {
  const input = h("input", {
    id,
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "path, or drop a file",
    title: field.doc,
  });
  const control = simple(field, id, input);
  const place = new Place(field.name, input);
  const give = (/** @type {File} */ file) => place.give(file);
  const row = h("div", { class: "row" }, input, ...pickerOf(field, give));
  const drop = h("div", { class: "drop" }, row, ...place.parts);
  control.element.lastElementChild?.replaceWith(drop);
  acceptFiles(drop, give);
  const path = {
    ...control,
    wide: true,
    give,
    values: async () => {
      const given = await place.settled();
      return given ? { [field.name]: given.path } : control.values();
    },
    raw: () => ({ value: input.value, given: place.given }),
    restore: (raw) => {
      input.value = raw.value;
      place.adopt(raw.given);
    },
  };
  return field.name === "melody" ? withRoll(path, input, row, surroundings, place) : path;
}

/** A button and the input that it stands for. */
function pickerOf(field, give) {
  const label = `${field.name}: choose a file`;
  const picker = h("input", { type: "file", hidden: true, "aria-label": label });
  picker.addEventListener("change", () => picker.files[0] && give(picker.files[0]));
  const click = () => picker.click();
  const look = { type: "button", class: "small", "aria-label": label };
  return [h("button", { ...look, onclick: click }, "File…"), picker];
}

/** A path whose file can be drawn in a piano roll, too: what came last counts. @returns {Control} */
function withRoll(path, input, row, surroundings, place) {
  const roll = editorOf("melody", input, surroundings);
  row.append(roll.opener);
  path.element.append(roll.element);
  place.taken = roll.close;
  return {
    ...path,
    values: async () => {
      const drawn = roll.file?.();
      if (!drawn) return path.values();
      return { [path.name]: await shown(() => state.client.upload(drawn, drawn.name)) };
    },
    raw: () => ({ ...path.raw(), drawn: roll.raw?.() }),
    restore: (raw) => {
      path.restore(raw);
      roll.restore?.(raw.drawn);
    },
  };
}

/**
 * Take files that are dropped on an element.
 * @param {HTMLElement} element @param {(file: File) => any} give
 */
export function acceptFiles(element, give) {
  let depth = 0;
  const over = (by) => element.classList.toggle("over-it", (depth = Math.max(0, depth + by)) > 0);
  element.addEventListener("dragenter", () => over(1));
  element.addEventListener("dragleave", () => over(-1));
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    over(-depth);
    const file = event.dataTransfer?.files[0];
    if (file) give(file);
  });
}
