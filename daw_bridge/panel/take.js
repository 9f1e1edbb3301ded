// Takes: what the daemon knows of them, their audio, and which one is shown.

import { byId, clock, fileName, fill, h } from "./dom.js";
import { player, put } from "./listen.js";
import { marksOf } from "./marks.js";
import { Recent } from "./recent.js";
import { ask, on, shown, state, tell } from "./state.js";

const KEPT_BYTES = 256 * 1024 * 1024; // of audio that stays in memory
const LISTED = 100;

const details = new Recent(LISTED);
const audio = new Recent(KEPT_BYTES);

/** Ask for the takes anew, and for the trash. */
export async function refreshTakes() {
  const [takes, trash] = await Promise.all([
    ask("takes", { limit: LISTED }),
    ask("takes", { limit: LISTED, trash: true }),
  ]);
  state.takes = takes.takes;
  for (const { take, verdict, stars, note } of takes.takes) {
    Object.assign(details.peek(take) ?? {}, { verdict, stars, note });
  }
  state.trash = trash.takes;
  tell("takes");
}

/** All about one take. @param {string} id */
export async function aboutTake(id) {
  const known = details.get(id);
  if (known) return known;
  const [take] = (await ask("takes", { take: id })).takes;
  details.set(id, take);
  return take;
}

/** Change what is known of a take, here and in the list. @param {string} id @param {any} values */
export function noteTake(id, values) {
  for (const take of [details.peek(id), ...state.takes.filter((each) => each.take === id)]) {
    if (take) Object.assign(take, values);
  }
  tell("takes");
}

/** The audio of a file of a take. @param {string} id @param {string} [stem] */
export async function audioOf(id, stem = "") {
  const key = `${id}/${stem}`;
  const known = audio.get(key);
  if (known) return known;
  const coming = shown(() => state.client.stream(id, stem || undefined));
  audio.set(key, coming, 0); // how much it is, is known when it is here
  coming.then(
    ({ channels }) => audio.set(key, coming, bytesOf(channels)),
    () => audio.delete(key),
  );
  return coming;
}

const bytesOf = (channels) => channels.reduce((sum, samples) => sum + samples.byteLength, 0);

/** A short name for a take: what it was made from, and how. @param {any} take */
export function nameOf(take) {
  return fileName(take.path).replace(/\.\w+$/, "");
}

/** Show a take and put it on side A, unless something else was chosen meanwhile. @param {string} id @param {string} [stem] */
export async function chooseTake(id, stem = "") {
  state.chosen = id;
  state.stem = stem;
  tell("chosen");
  const take = await aboutTake(id);
  const track = trackOf(take, await audioOf(id, stem), stem);
  if (state.chosen !== id || state.stem !== stem) return;
  put("a", track);
  showChosen(take);
  tell("shown", take);
}

/** Put a take on side B, or take it away from there. @param {string} id */
export async function compareTake(id) {
  if (/** @type {any} */ (player.tracks.b)?.take === id) return put("b", null);
  const take = await aboutTake(id);
  put("b", trackOf(take, await audioOf(id), ""));
}

/** Take away what is shown. */
export function chooseNothing() {
  state.chosen = null;
  put("a", null);
  put("b", null);
  byId("listen-title").textContent = "Listen";
  byId("listen-about").textContent = "";
  tell("chosen");
  tell("shown", null);
}

function trackOf(take, { channels, rateHz }, stem) {
  const marks = marksOf(take);
  return {
    key: `${take.take}/${stem}`,
    take: take.take,
    title: take.take + (stem ? ` ${stem}` : ""),
    channels,
    rateHz,
    offsetS: (take.offset_samples ?? 0) / rateHz,
    startS: 0,
    gainDb: 0,
    wraps: marks.seams.some((seam) => seam.wraps),
    marks,
  };
}

function showChosen(take) {
  const { report = {} } = take;
  byId("listen-title").textContent = `${take.take} · ${take.task}`;
  const grid = report.grid;
  const words = [
    nameOf(take),
    clock(take.length_samples / take.sample_rate_hz),
    `${take.sample_rate_hz / 1000} kHz`,
    grid ? `${Math.round(grid.bpm * 100) / 100} bpm ${grid.metre}` : "",
    report.key ?? report.heard_key ?? "",
    report.loudness_lufs !== undefined ? `${report.loudness_lufs.toFixed(1)} LUFS` : "",
  ];
  byId("listen-about").textContent = words.filter(Boolean).join(" · ");
  const names = take.files.map((file) => file.name);
  byId("stems-label").hidden = names.length < 2;
  fill(
    byId("stems"),
    ...names.map((name, n) =>
      h("option", { value: n ? name : "", selected: (n ? name : "") === state.stem }, name),
    ),
  );
}

/** Keep the takes as they are, and join the choice of a stem. */
export function startTakes() {
  on("takes-changed", () => refreshTakes().catch(() => {}));
  byId("stems").addEventListener("change", (event) => chooseTake(state.chosen, event.target.value));
}
