// A clip that the musician gave to the page: it can be heard and seen, and a region of it chosen.

import { byId, clock } from "./dom.js";
import { giveRegion } from "./form.js";
import { player, put } from "./listen.js";
import { on, state, tell } from "./state.js";

export const CLIP = "clip";
const RATE_HZ = 44_100; // to look at and listen to; the daemon has the file itself

/** Show the clips that are given to the page. */
export function startClips() {
  on("given", ({ name, file }) => name === "source" && show(file));
  on("selected", choose);
}

/** What was selected on the axis of both sides, in seconds of the clip. */
function choose({ startS, endS }) {
  const track = /** @type {any} */ (player.tracks.a);
  if (track?.key !== CLIP) return;
  const inside = (s) => Math.min(Math.max(0, s - track.startS), track.channels[0].length / RATE_HZ);
  if (inside(endS) > inside(startS)) giveRegion({ startS: inside(startS), endS: inside(endS) });
}

async function show(file) {
  let audio;
  try {
    audio = await new OfflineAudioContext(2, 1, RATE_HZ).decodeAudioData(await file.arrayBuffer());
  } catch {
    return; // a browser knows fewer formats than the engine
  }
  state.clip = { file, lengthS: audio.duration };
  tell("clip");
  state.chosen = null;
  tell("chosen");
  tell("shown", null);
  const channels = Array.from({ length: audio.numberOfChannels }, (_, n) =>
    audio.getChannelData(n),
  );
  const marks = { made: null, seams: [], bars: [], bpm: null, beatS: null, source: true };
  put("a", {
    key: CLIP,
    title: file.name,
    channels,
    rateHz: RATE_HZ,
    offsetS: 0,
    startS: 0,
    gainDb: 0,
    wraps: false,
    marks,
  });
  byId("listen-title").textContent = file.name;
  byId("listen-about").textContent =
    `your clip, ${clock(audio.duration)}; drag over it to choose what inpaint replaces`;
}
