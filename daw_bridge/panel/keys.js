// The keyboard: every key in one table, which is also the help.

import { button, byId, fill, h } from "./dom.js";
import { focusRequest, sendRequest } from "./form.js";
import { cancelJob, currentJob, hearJob } from "./jobs.js";
import { nextLoop, pictures, swap, toggle } from "./listen.js";
import { chooseNext, removeTake } from "./list.js";
import { rate } from "./rating.js";
import { attempt, on, state, tell } from "./state.js";
import { compareTake } from "./take.js";

const HELD = ["j", "k"]; // that do more while they are held; another would do harm
const OFF = "daw-bridge-keys-off";

/** @type {[string, string, (event: KeyboardEvent) => any][]} key, what it does, how */
const KEYS = [
  [" ", "play or stop", toggle],
  ["j", "next take", () => chooseNext(1)],
  ["k", "previous take", () => chooseNext(-1)],
  [
    "b",
    "put the take on side B, or take B away",
    () => state.chosen && attempt(() => compareTake(state.chosen)),
  ],
  ["x", "hear the other side", swap],
  ["l", "repeat: all, each seam, off", () => tell("announce", `loop: ${nextLoop()}`)],
  ["f", "show the whole take", () => pictures.fit()],
  ["g", "keep it", () => rate({ verdict: "keep" })],
  ["d", "discard it", () => rate({ verdict: "discard" })],
  ...[1, 2, 3, 4, 5].map(
    (n) => /** @type {any} */ ([String(n), `${n} of 5 stars`, () => rate({ stars: n })]),
  ),
  ["n", "write a note", () => document.getElementById("note")?.focus()],
  ["Delete", "move the take to the trash", () => state.chosen && removeTake(state.chosen)],
  ["m", "go to the request", () => view("make", focusRequest)],
  ["t", "go to the takes", () => view("takes", () => document.querySelector(".take .choose"))],
  ["w", "go to the wave", () => view("listen", () => byId("wave-a"))],
  ["p", "hear the best so far of the job at work", hearBest],
  ["c", "cancel the job at work", cancelCurrent],
  ["?", "show these keys", () => openKeys()],
];

// Those that belong to a part of the page.
const MORE = [
  ["Ctrl+Enter", "send the request"],
  ["Esc", "leave a field"],
  ["← →", "on the wave: a beat, with Shift a bar"],
  ["+ − 0", "on the wave: zoom, show all"],
];

/**
 * Show one of the views; on a narrow page the others go.
 * @param {string} name @param {() => any} [focused] what gets the focus
 */
export function view(name, focused) {
  document.body.dataset.view = name;
  for (const each of document.querySelectorAll(".views button")) {
    each.setAttribute(
      "aria-pressed",
      String(/** @type {HTMLElement} */ (each).dataset.view === name),
    );
  }
  focused?.()?.focus?.();
  pictures.redraw();
}

/** Listen to keys. */
export function startKeys() {
  on("view", (name) => view(name));
  document.addEventListener("keydown", hear);
  byId("open-keys").addEventListener("click", openKeys);
  for (const each of document.querySelectorAll(".views button")) {
    each.addEventListener("click", () => view(/** @type {any} */ (each).dataset.view));
  }
}

function hear(event) {
  if (event.repeat && event.key === "Enter" && isPressed(event.target)) event.preventDefault();
  if (byId("main").inert || document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (!event.repeat) sendRequest();
    return;
  }
  if (event.key === "Escape" && document.activeElement instanceof HTMLElement) {
    document.activeElement.blur(); // out of a field, so that single keys are commands again
    return;
  }
  if (
    event.defaultPrevented ||
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    localStorage.getItem(OFF)
  )
    return;
  if (isBusy(event.target, event.key)) return;
  const found = KEYS.find(([key]) => key === event.key || key === event.key.toLowerCase());
  if (!found) return;
  event.preventDefault();
  if (!event.repeat || HELD.includes(found[0])) found[2](event);
}

/** Whether Enter that is held would press this, or send its form, again and again. */
function isPressed(target) {
  return target instanceof Element && target.matches("button, summary, a, input");
}

/** Whether an element has its own use for a key. */
function isBusy(target, key) {
  if (!(target instanceof Element)) return false;
  if (target.matches("textarea, select, input:not([type=checkbox]):not([type=range])")) return true;
  if (target.closest("[data-keys]")) return true;
  return key === " " && target.matches("button, summary, a, input");
}

function hearBest() {
  const job = currentJob();
  if (job?.preview) hearJob(job.job);
  else tell("announce", job ? "there is nothing to hear yet" : "no job is at work");
}

function cancelCurrent() {
  const job = currentJob();
  if (job) cancelJob(job);
  else tell("announce", "no job is at work");
}

function openKeys() {
  const names = { " ": "Space" };
  const words = (key) => names[key] ?? (key.length > 1 ? key : key.toUpperCase());
  const own = KEYS.map(([key, what]) => [words(key), what]);
  const rows = [...own, ...MORE].map(([key, what]) =>
    h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, key)), h("td", {}, what)),
  );
  const isOff = Boolean(localStorage.getItem(OFF));
  const off = h("input", { type: "checkbox", id: "keys-off", checked: isOff });
  off.addEventListener("change", () =>
    off.checked ? localStorage.setItem(OFF, "1") : localStorage.removeItem(OFF),
  );
  const close = button("Close", () => byId("keys").close());
  fill(
    byId("keys"),
    h("header", {}, h("h2", { id: "keys-title" }, "Keys"), h("span", { class: "spring" }), close),
    h("table", {}, h("tbody", {}, ...rows)),
    h("p", { class: "inline" }, off, h("label", { for: "keys-off" }, "leave single keys alone")),
  );
  byId("keys").showModal();
}
