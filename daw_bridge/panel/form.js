// The request: for each task the fields that the protocol table gives it, those that matter first.

import { button, byId, fill, h, size } from "./dom.js";
import { acceptFiles, controlOf } from "./fields.js";
import { noteOwnJob, refreshJobs } from "./jobs.js";
import { barsS, spanOf } from "./span.js";
import { ask, attempt, on, shown, state, tell } from "./state.js";

const AGAIN = "rerender";
const FIRST = [
  "take",
  "seconds",
  "bars",
  "side",
  "start",
  "end",
  "bpm",
  "key",
  "prompt",
  "roles",
  "variation",
  "fresh",
];
const GROUPS = [
  ["Draw", ["intensity", "structure"]],
  ["Song", ["metre", "position_beats", "tempo_map", "tempo_from", "context"]],
  ["Wishes", ["intensity_match", "intensity_from", "structure_from", "balance"]],
  ["Result", ["stems", "seamless", "sample_rate_hz", "channels", "sample_format"]],
  [
    "Refinement",
    [
      "refine",
      "steps",
      "method",
      "candidates",
      "seed",
      "model",
      "noise",
      "overlap",
      "crossfade_ms",
    ],
  ],
  ["Queue", ["takes", "slot", "priority"]],
];
const OPEN = ["Draw"]; // stand beside "more", closed by themselves

let task = "extend";
/** @type {import("./fields.js").Control[]} */
let controls = [];
const typed = new Map(); // what was said for a field, kept from task to task
const opened = new Set();
let sending = false;

/** Build the form once the table is there. */
export function startForm() {
  const tasks = state.table.commands.filter((command) => command.replies.includes("accepted"));
  fill(
    byId("tasks"),
    ...tasks.map((command) =>
      button(command.name === AGAIN ? "again" : command.name, () => chooseTask(command.name), {
        "data-task": command.name,
        "aria-pressed": "false",
      }),
    ),
  );
  byId("request").addEventListener("submit", (event) => {
    event.preventDefault();
    sendRequest();
  });
  acceptFiles(byId("pictures"), giveClip);
  acceptFiles(document.body, giveClip);
  on("chosen", () => task === AGAIN && state.chosen && restore("take", state.chosen));
  on("clip", () => restore("intensity", value("intensity"))); // its axis is another one now
  chooseTask(task);
}

/** Show the fields of a task. @param {string} name */
export function chooseTask(name) {
  keep();
  task = name;
  for (const each of byId("tasks").children)
    each.setAttribute("aria-pressed", String(each.dataset.task === name));
  const command = state.table.commands.find((each) => each.name === name);
  byId("task-about").textContent = `${command.doc[0].toUpperCase()}${command.doc.slice(1)}.`;
  const byName = new Map(
    command.fields.map((field) => [field.name, controlOf(field, name, { value, span })]),
  );
  controls = [...byName.values()];
  for (const control of controls)
    if (typed.has(control.name) && (name !== AGAIN || control.name === "take"))
      control.restore(typed.get(control.name));
  if (name === AGAIN && state.chosen) restore("take", state.chosen);
  lay(command, byName);
}

function lay(command, byName) {
  const { first, beside, under } = grouped(command.fields);
  const rows = (names) => arranged(names, byName);
  fill(
    byId("request"),
    ...rows(first),
    ...beside.map(([title, names]) =>
      folded(title, `${title}: ${names.join(", ")}`, h("div", { class: "group" }, ...rows(names))),
    ),
    folded(
      "more",
      "More",
      ...under.map(([title, names]) =>
        h("div", { class: "group" }, h("h3", {}, title), ...rows(names)),
      ),
    ),
    h("p", { class: "wrong", id: "wrong", role: "alert" }),
    h("p", { class: "estimate", id: "estimate", role: "status" }),
    buttons(command.name === AGAIN),
  );
}

/** The names of fields: those that matter first, those that are drawn, and the rest by group. */
function grouped(fields) {
  const names = fields.map((field) => field.name);
  const needed = fields.filter((field) => field.required).map((field) => field.name);
  const first = [...new Set([...needed, ...FIRST])].filter((name) => names.includes(name));
  const known = [...FIRST, ...GROUPS.flatMap(([, group]) => group)];
  const groups = [...GROUPS, ["Other", names.filter((name) => !known.includes(name))]]
    .map(([title, group]) => [
      title,
      group.filter((name) => names.includes(name) && !first.includes(name)),
    ])
    .filter(([, group]) => group.length);
  return {
    first,
    beside: groups.filter(([title]) => OPEN.includes(title)),
    under: groups.filter(([title]) => !OPEN.includes(title)),
  };
}

function buttons(again) {
  const send = { type: "submit", class: "strong", id: "send", title: "Ctrl+Enter" };
  const about = { id: "ask-estimate", title: "What it would take: memory, work, time" };
  return h(
    "div",
    { class: "send" },
    h("button", send, again ? "Make again" : "Make it"),
    !again && button("Estimate", estimate, about),
    h("span", { class: "spring" }),
    button("Clear", clear, { class: "plain" }),
  );
}

/** A part that is folded, unless it was open before. */
function folded(id, words, ...parts) {
  const details = h("details", { id, open: opened.has(id) }, h("summary", {}, words), ...parts);
  details.addEventListener("toggle", () => (details.open ? opened.add(id) : opened.delete(id)));
  return details;
}

/** Small fields two in a row, wide ones alone, in the order given. */
function arranged(names, byName) {
  const rows = [];
  /** @type {HTMLElement | null} */
  let pair = null;
  for (const control of names.map((name) => byName.get(name))) {
    if (control.wide) {
      pair = null;
      rows.push(control.element);
    } else if (pair) {
      pair.append(control.element);
      pair = null;
    } else {
      pair = h("div", { class: "pairs" }, control.element);
      rows.push(pair);
    }
  }
  return rows;
}

/** What was said stays for other tasks; what "again" leaves as the take has it was not said. */
function keep() {
  for (const control of controls)
    if (task !== AGAIN || control.name === "take") typed.set(control.name, control.raw());
}

function value(name) {
  const input = byId("request").querySelector(
    `[data-field="${name}"] input, [data-field="${name}"] select`,
  );
  return input?.value ?? "";
}

/** What the request makes anew, as far as the page can tell. */
function span() {
  const asked = barsS(value("bars"), value("bpm"), value("metre"));
  const askedS = Number(value("seconds")) || asked;
  return spanOf({ task, side: value("side"), askedS, givenS: givenS() });
}

/** Length of the clip that was given to the page, or of the take that is made again. */
function givenS() {
  if (task === AGAIN) {
    const take = state.takes.find((each) => each.take === value("take"));
    return take ? take.length_samples / take.sample_rate_hz : null;
  }
  const file = controls.find((control) => control.name === "source")?.raw().given?.file;
  return file && file === state.clip?.file ? state.clip.lengthS : null;
}

function restore(name, raw) {
  controls.find((control) => control.name === name)?.restore(raw);
}

function clear() {
  for (const control of controls) typed.set(control.name, control.raw());
  for (const raw of typed.values()) if (raw?.given) raw.given.dropped = true; // on its way for nothing
  typed.clear();
  controls = [];
  chooseTask(task);
}

/** What was said, checked as far as the browser can. */
async function fields() {
  const wrong = controls.filter((control) => control.check());
  for (const control of controls)
    control.element.classList.toggle("invalid", wrong.includes(control));
  byId("wrong").textContent = wrong
    .map((control) => `${control.name}: ${control.check()}`)
    .join(" ");
  if (wrong.length) return null;
  return Object.assign({}, ...(await Promise.all(controls.map((control) => control.values()))));
}

/** Send the request. */
export async function sendRequest() {
  if (sending) return;
  sending = true;
  byId("send").disabled = true;
  const asked = task; // another may be chosen while a file is on its way
  try {
    const given = await fields();
    if (!given) return;
    const told = await shown(() => state.client.ask(asked, given));
    noteOwnJob(told.job);
    tell("announce", `${told.job} is accepted`);
    tell("view", "takes");
    await refreshJobs();
  } catch (error) {
    byId("wrong").textContent = [error.message, error.hint].filter(Boolean).join(": ");
  } finally {
    sending = false;
    byId("send").disabled = false;
  }
}

function estimate() {
  const asked = task;
  return attempt(async () => {
    const given = await fields();
    if (!given) return;
    const allowed = new Set(
      state.table.commands
        .find((each) => each.name === "estimate")
        .fields.map((field) => field.name),
    );
    const about = Object.fromEntries(Object.entries(given).filter(([name]) => allowed.has(name)));
    byId("estimate").textContent = "asking…";
    try {
      byId("estimate").textContent = worded(await ask("estimate", { ...about, task: asked }));
    } catch (error) {
      byId("estimate").textContent = "";
      throw error;
    }
  });
}

function worded(told) {
  if (told.cached) return "It was made before and is at hand.";
  const { evaluations_least: least, evaluations_most: most } = told;
  const parts = [`${least === most ? most : `${least} to ${most}`} evaluations of the network`];
  if (told.needed_bytes)
    parts.push(
      `${size(told.needed_bytes)} of memory${told.free_bytes ? ` of ${size(told.free_bytes)} free` : ""}`,
    );
  parts.push(
    told.seconds === null
      ? "no time known yet"
      : `about ${Math.max(1, Math.round(told.seconds))} s`,
  );
  return `${parts.join(", ")}.`;
}

/** Take a file that was dropped: a melody or a clip. @param {File} file */
export function giveClip(file) {
  const wanted = /\.midi?$/i.test(file.name) ? "melody" : "source";
  if (!controls.some((control) => control.name === wanted))
    chooseTask(wanted === "melody" ? "melody" : "extend");
  tell("view", "make");
  return controls.find((control) => control.name === wanted)?.give?.(file);
}

/**
 * The region that is selected on a clip, for the task that replaces it.
 * @param {{startS: number, endS: number}} region
 */
export function giveRegion({ startS, endS }) {
  if (task !== "inpaint") return;
  restore("start", startS.toFixed(3));
  restore("end", endS.toFixed(3));
}

/** The first field of the request, to be focused. */
export function focusRequest() {
  return byId("request").querySelector("input, select, textarea");
}
