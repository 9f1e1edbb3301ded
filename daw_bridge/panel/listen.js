// Listening: what lies on the two sides, at which loudness, and what is repeated.

import { byId, clock, fill, h } from "./dom.js";
import { SILENCE_LUFS, loudnessLufs } from "./loudness.js";
import { Pictures } from "./pictures.js";
import { Player } from "./player.js";
import { tell } from "./state.js";

const LOOP_OFF = "off";

export const player = new Player();
export let pictures = /** @type {Pictures} */ (/** @type {unknown} */ (null));

/** @type {{chosen: string, selection: import("./player.js").Region | null}} */
const loops = { chosen: LOOP_OFF, selection: null };
const loudness = new WeakMap();

/** Join the controls of the stage to the player. */
export function startListening() {
  pictures = new Pictures(player, selectRegion);
  byId("play").addEventListener("click", toggle);
  byId("hear-a").addEventListener("click", () => hear("a"));
  byId("hear-b").addEventListener("click", () => hear("b"));
  byId("zoom-in").addEventListener("click", () => pictures.zoom(0.6));
  byId("zoom-out").addEventListener("click", () => pictures.zoom(1 / 0.6));
  byId("loop").addEventListener("change", (event) => chooseLoop(event.target.value));
  byId("around").addEventListener("change", () => chooseLoop(loops.chosen));
  player.addEventListener("change", showTransport);
  listLoops();
}

/** Play, or stop here. */
export function toggle() {
  if (player.playing) player.stop();
  else player.play();
}

/** Let a side be heard. @param {string} side */
export function hear(side) {
  const { loop } = player;
  player.hear(side);
  const own = regionOf(loops.chosen, player.tracks[player.heard]);
  if (loop && (own?.startS !== loop.startS || own?.endS !== loop.endS)) {
    // A seam of the other side: the same stretch goes on, by its place.
    loops.selection = loop;
    loops.chosen = "selection";
  }
  listLoops();
  pictures.redraw();
}

/** Hear the other side. */
export function swap() {
  hear(player.heard === "a" ? "b" : "a");
}

/**
 * Put a track on a side, null for none.
 * @param {"a" | "b"} side
 * @param {any} track with `title`, `offsetS` from the source's first sample, and `marks`
 */
export function put(side, track) {
  const before = { key: player.tracks[side]?.key, lengthS: player.endS - player.startS };
  const other = player.tracks[side === "a" ? "b" : "a"];
  const tracks = /** @type {any[]} */ ([track, other].filter(Boolean));
  // Takes of one clip lie beside each other as they do beside the clip.
  const originS = Math.min(...tracks.map((each) => each.offsetS), Infinity);
  const loudnesses = tracks.length > 1 ? tracks.map(lufsOf) : [];
  const quietest = Math.min(...loudnesses.filter((lufs) => lufs > SILENCE_LUFS));
  for (const each of tracks) {
    each.startS = (each.fromS ?? 0) + each.offsetS - originS;
    each.gainDb = tracks.length > 1 && lufsOf(each) > SILENCE_LUFS ? quietest - lufsOf(each) : 0;
  }
  player.load(side, track);
  dropSelection();
  sayMatched(tracks, quietest);
  listLoops();
  const longer = Math.abs(player.endS - player.startS - before.lengthS) > 0.01;
  if (longer || (side === "a" && track?.key !== before.key)) pictures.fit();
  pictures.redraw();
  tell("sides");
}

/** A region that lies on nothing any more is nothing to repeat. */
function dropSelection() {
  const { selection } = loops;
  if (selection && selection.endS <= player.endS && selection.startS >= player.startS) return;
  loops.selection = null;
}

function lufsOf(track) {
  if (!loudness.has(track.channels))
    loudness.set(track.channels, loudnessLufs(track.channels, track.rateHz));
  return loudness.get(track.channels);
}

function sayMatched(tracks, quietest) {
  const text =
    tracks.length < 2 || !Number.isFinite(quietest)
      ? ""
      : `A and B are matched at ${quietest.toFixed(1)} LUFS (ITU-R BS.1770-4, integrated): ${[
          "a",
          "b",
        ]
          .map((side) => `${side.toUpperCase()} ${signed(player.tracks[side]?.gainDb ?? 0)} dB`)
          .join(", ")}`;
  byId("matched").textContent = text;
}

const signed = (value) => (Math.abs(value) < 0.05 ? "0.0" : value.toFixed(1).replace("-", "−"));

function showTransport() {
  const play = byId("play");
  play.textContent = player.playing ? "Stop" : "Play";
  play.setAttribute("aria-pressed", String(player.playing));
  for (const side of ["a", "b"]) {
    const button = byId(`hear-${side}`);
    const track = /** @type {any} */ (player.tracks[side]);
    button.disabled = !track;
    button.setAttribute("aria-pressed", String(Boolean(track) && player.heard === side));
    const name = track ? `${side.toUpperCase()} ${track.title}` : side.toUpperCase();
    if (button.textContent !== name) button.textContent = name;
  }
}

/** What can be repeated: nothing, all, across each seam of what is heard, and what was selected. */
function listLoops() {
  const track = /** @type {any} */ (player.tracks[player.heard] ?? player.tracks.a);
  const seams = track?.marks?.seams ?? [];
  const options = [
    [LOOP_OFF, "off"],
    ["all", "all"],
  ];
  seams.forEach((seam, n) =>
    options.push([`seam-${n}`, seam.wraps ? "end to start" : `seam at ${clock(seam.atS)}`]),
  );
  if (loops.selection)
    options.push([
      "selection",
      `${clock(loops.selection.startS)} to ${clock(loops.selection.endS)}`,
    ]);
  if (!options.some(([value]) => value === loops.chosen)) loops.chosen = LOOP_OFF;
  fill(
    byId("loop"),
    ...options.map(([value, text]) =>
      h("option", { value, selected: value === loops.chosen }, text),
    ),
  );
  const region = regionOf(loops.chosen, track);
  if (region?.startS !== player.loop?.startS || region?.endS !== player.loop?.endS)
    player.setLoop(region);
}

/** Repeat something from the list. @param {string} chosen */
export function chooseLoop(chosen) {
  loops.chosen = chosen;
  byId("loop").value = chosen;
  const region = regionOf(chosen, player.tracks[player.heard]);
  player.setLoop(region);
  if (region && chosen.startsWith("seam")) {
    player.seek(region.startS);
    pictures.frame(region);
  } else {
    pictures.redraw();
  }
}

/** Repeat the next thing in the list. */
export function nextLoop() {
  const values = Array.from(byId("loop").options, (option) => option.value);
  chooseLoop(values[(values.indexOf(loops.chosen) + 1) % values.length]);
  return byId("loop").selectedOptions[0]?.textContent ?? "";
}

function regionOf(chosen, track) {
  if (!track || chosen === LOOP_OFF) return null;
  if (chosen === "all") return { startS: player.startS, endS: player.endS };
  if (chosen === "selection") return loops.selection;
  const seam = track.marks.seams[Number(chosen.slice("seam-".length))];
  if (!seam) return null;
  const around = Number(byId("around").value);
  const at = track.startS + seam.atS;
  const lengthS = track.channels[0].length / track.rateHz;
  if (seam.wraps)
    return { startS: at - Math.min(around, lengthS / 2), endS: at + Math.min(around, lengthS / 2) };
  return {
    startS: Math.max(track.startS, at - around),
    endS: Math.min(track.startS + lengthS, at + around),
  };
}

function selectRegion(region) {
  loops.selection = region;
  tell("selected", region);
  loops.chosen = "selection";
  listLoops();
  player.setLoop(region);
  pictures.redraw();
}
