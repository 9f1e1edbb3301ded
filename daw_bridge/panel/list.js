// The list of takes, and the trash.

import { button, byId, clock, fill, h, keepFocus } from "./dom.js";
import { player, put } from "./listen.js";
import { dragOut } from "./save.js";
import { ask, attempt, on, state, tell } from "./state.js";
import { chooseNothing, chooseTake, compareTake, nameOf, refreshTakes } from "./take.js";

let trashShown = false;

/** Show the takes and keep them as they are. */
export function startList() {
  on("takes", show);
  on("chosen", show);
  on("sides", show);
  byId("show-trash").addEventListener("click", () => showTrash(!trashShown));
}

function showTrash(wanted) {
  trashShown = wanted;
  byId("show-trash").setAttribute("aria-pressed", String(wanted));
  byId("takes-title").textContent = wanted ? "Trash" : "Takes";
  show();
}

function show() {
  const entries = trashShown ? state.trash : state.takes;
  const none = trashShown ? "The trash is empty." : "No takes yet: make one.";
  byId("show-trash").textContent =
    state.trash.length && !trashShown ? `Trash (${state.trash.length})` : "Trash";
  const rows = entries.length
    ? entries.map(trashShown ? removedRow : row)
    : [h("li", { class: "quiet" }, none)];
  keepFocus(byId("take-list"), () => fill(byId("take-list"), ...rows));
}

function row(take) {
  const chosen = take.take === state.chosen;
  const beside = /** @type {any} */ (player.tracks.b)?.take === take.take;
  const item = h(
    "li",
    { class: chosen ? "take chosen" : "take", draggable: "true", "data-take": take.take },
    h(
      "button",
      {
        type: "button",
        class: "choose",
        id: `choose-${take.take}`,
        "aria-pressed": String(chosen),
        onclick: () => listenTo(take.take),
      },
      h("span", { class: "name" }, h("b", {}, take.take), ` ${nameOf(take)}`),
      h("span", { class: "more" }, ...about(take)),
    ),
    h(
      "span",
      { class: "tail" },
      button("B", () => attempt(() => compareTake(take.take)), {
        class: "small side-b",
        "aria-pressed": String(beside),
        "aria-label": `Compare with ${take.take} on B`,
        title: "Compare on side B",
      }),
      button("×", () => removeTake(take.take), {
        class: "small plain",
        "aria-label": `Remove ${take.take}`,
        title: "To the trash",
      }),
    ),
  );
  item.addEventListener("dragstart", (event) => dragOut(event, take));
  return item;
}

function listenTo(id) {
  tell("view", "listen");
  return attempt(() => chooseTake(id));
}

function about(take) {
  const parts = [`${take.task} · ${clock(take.length_samples / take.sample_rate_hz)}`];
  const said = [];
  if (take.verdict)
    said.push(h("span", { class: `verdict-mark ${take.verdict}` }, ` · ${take.verdict}`));
  if (take.stars)
    said.push(
      " · ",
      h(
        "span",
        { class: "stars-said", role: "img", "aria-label": `${take.stars} of 5 stars` },
        "★".repeat(take.stars),
      ),
    );
  if (take.note) said.push(` · ${take.note}`);
  return [...parts, ...said];
}

function removedRow(take) {
  return h(
    "li",
    { class: "take" },
    h(
      "div",
      {},
      h("p", { class: "name" }, h("b", {}, take.take), ` ${nameOf(take)}`),
      h("p", { class: "more" }, `removed ${new Date(take.removed).toLocaleString()}`),
    ),
    h(
      "span",
      { class: "tail" },
      button("Restore", () => restoreTake(take.take), {
        class: "small",
        "aria-label": `Restore ${take.take}`,
      }),
    ),
  );
}

/** Move a take to the trash. @param {string} id */
export async function removeTake(id) {
  await attempt(async () => {
    const at = state.takes.findIndex((take) => take.take === id);
    await ask("remove", { take: id });
    if (/** @type {any} */ (player.tracks.b)?.take === id) put("b", null);
    await refreshTakes();
    if (state.chosen === id) {
      const next = state.takes[Math.min(at, state.takes.length - 1)];
      if (next) await chooseTake(next.take);
      else chooseNothing();
    }
    tell("announce", `${id} is in the trash`);
  });
}

async function restoreTake(id) {
  await attempt(async () => {
    await ask("restore", { take: id });
    await refreshTakes();
    tell("announce", `${id} is back`);
    if (!state.trash.length) showTrash(false);
  });
}

/** Choose the take so many places further down. @param {number} by */
export function chooseNext(by) {
  if (!state.takes.length) return;
  const at = state.takes.findIndex((take) => take.take === state.chosen);
  const next = at < 0 ? 0 : Math.min(Math.max(0, at + by), state.takes.length - 1);
  attempt(() => chooseTake(state.takes[next].take));
  document.getElementById(`choose-${state.takes[next].take}`)?.scrollIntoView({ block: "nearest" });
}
