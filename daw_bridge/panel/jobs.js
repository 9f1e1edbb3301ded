// Jobs: how far each is, what its loss does, and its best result so far, to be heard.

import { spread } from "./binary.js";
import { drawLosses } from "./curve.js";
import { button, byId, clock, fill, h, keepFocus } from "./dom.js";
import { chooseLoop, player, put } from "./listen.js";
import { ask, attempt, on, state, tell } from "./state.js";
import { chooseTake, refreshTakes } from "./take.js";

const LISTED = 30;
const MOST_LISTED = 500; // that the daemon tells at once
const SHOWN_ENDED = 6;
const OVER = ["done", "failed", "cancelled"];

const changed = new Set(); // jobs that are shown anew with the next frame
const mine = new Set(); // jobs that this page asked for

/** @type {Promise<void> | null} */
let refreshing = null;

/** Ask for the jobs anew. */
export async function refreshJobs() {
  let { jobs } = await ask("jobs", { limit: LISTED });
  if (jobs.length === LISTED && isLonger(jobs))
    ({ jobs } = await ask("jobs", { limit: MOST_LISTED }));
  const before = state.jobs;
  state.jobs = new Map(
    jobs.map((job) => [job.job, { losses: [], ...keptOf(before.get(job.job), job.state), ...job }]),
  );
  tell("jobs");
}

/** Whether the job at work must be older than all of these: those that wait are newer. */
function isLonger(jobs) {
  if (jobs.some((job) => job.state === "running")) return false;
  return Boolean(state.status?.running) || jobs.some((job) => !OVER.includes(job.state));
}

/** What is known of a job beside its entry; nobody hears what one that is over had so far. */
function keptOf(job, now) {
  if (!job) return {};
  const { losses, stage, step, steps } = job;
  return { losses, stage, step, steps, preview: OVER.includes(now) ? null : job.preview };
}

/** The same for events that come faster than answers: one asks for all. */
function refreshOnce() {
  refreshing ??= refreshJobs()
    .catch(() => {}) // it was shown
    .finally(() => (refreshing = null));
}

/** Remember that a job is this page's own. @param {string} id */
export function noteOwnJob(id) {
  mine.add(id);
}

/** An event of a job. @param {any} event */
export function hearEvent(event) {
  const job = state.jobs.get(event.job);
  if (!job) {
    refreshOnce(); // somebody else's, which is new
    if (event.event === "done") finish(event);
    return;
  }
  if (event.event === "progress") {
    const isLoss = event.loss !== null && event.loss !== undefined;
    const isNew = event.step !== job.step || event.stage !== job.stage;
    if (isLoss && isNew) job.losses.push(event.loss);
    Object.assign(job, {
      state: "running",
      stage: event.stage,
      fraction: event.fraction,
      eta_s: event.eta_s,
      step: event.step,
      steps: event.steps,
    });
  } else if (OVER.includes(event.event)) {
    Object.assign(job, {
      state: event.event,
      fraction: event.event === "done" ? 1 : job.fraction,
      take: event.take ?? null,
      reason: event.reason ?? "",
      preview: null,
    });
    if (event.event === "failed")
      job.error = { code: event.code, message: event.message, hint: event.hint };
    if (event.event === "done") finish(event);
    else tell("announce", `${event.job} ${event.event}`);
  }
  tell("job", job);
}

async function finish({ job, take }) {
  tell("announce", `${job} is done: ${take}`);
  await attempt(refreshTakes);
  const heard = /** @type {any} */ (player.tracks.a);
  if (document.activeElement?.id === "note") return; // a hand is writing about another take
  if (heard?.key === job || (mine.has(job) && !player.playing)) attempt(() => chooseTake(take));
}

/** A part of what a job has so far. @param {import("./binary.js").Frame} frame */
export function hearPreview(frame) {
  const job = [...state.jobs.values()].find(
    (each) => Number(each.job.split("-")[1]) === frame.stream,
  );
  if (!job || OVER.includes(job.state) || frame.format !== "float32" || !frame.channels) return;
  const count = frame.data.byteLength / 4 / frame.channels;
  const known = job.preview ?? {
    channels: [],
    rateHz: frame.sample_rate_hz,
    from: frame.offset,
    to: frame.offset,
  };
  const to = Math.max(known.to, frame.offset + count);
  job.preview = {
    ...known,
    revision: frame.revision,
    from: Math.min(known.from, frame.offset),
    to,
    channels: grown(known.channels, frame.channels, to),
  };
  spread(job.preview.channels, frame.offset, frame.data);
  if (!frame.last) return;
  if (/** @type {any} */ (player.tracks.a)?.key === job.job) audition(job);
  tell("job", job);
}

/** Channels with room for so many samples. */
function grown(channels, number, length) {
  if (channels.length === number && channels[0].length >= length) return channels;
  return Array.from({ length: number }, (_, channel) => {
    const wider = new Float32Array(Math.max(length, 2 * (channels[channel]?.length ?? 0)));
    wider.set(channels[channel] ?? []);
    return wider;
  });
}

/** Put the best so far of a job on side A. */
function audition(job) {
  const { channels, rateHz, from, to, revision } = job.preview;
  const marks = {
    made: [0, (to - from) / rateHz],
    seams: [],
    bars: [],
    bpm: null,
    beatS: null,
    source: false,
  };
  const parts = channels.map((samples) => samples.slice(from, to));
  put("a", {
    key: job.job,
    title: job.job,
    channels: parts,
    rateHz,
    offsetS: 0,
    fromS: from / rateHz,
    startS: 0,
    gainDb: 0,
    wraps: false,
    marks,
  });
  byId("listen-title").textContent = `${job.job} · best so far`;
  byId("listen-about").textContent =
    `${job.task} · revision ${revision + 1} · ${clock((to - from) / rateHz)} so far; it is replaced as it improves`;
}

/** Hear the best so far of a job. @param {string} id */
export function hearJob(id) {
  const job = state.jobs.get(id);
  state.chosen = null;
  tell("chosen");
  tell("shown", null);
  audition(job);
  tell("view", "listen");
  chooseLoop("all"); // so that it is heard to improve
  player.seek(job.preview.from / job.preview.rateHz);
  player.play();
}

/** The job that is at work, or the first that waits. */
export function currentJob() {
  const alive = [...state.jobs.values()].filter((job) => !OVER.includes(job.state));
  return alive.find((job) => job.state === "running") ?? alive.at(-1) ?? null;
}

/** Stop a job. @param {any} job */
export function cancelJob(job) {
  return attempt(() => ask("cancel", { job: job.job }));
}

/** Show the jobs and keep them as they are. */
export function startJobs() {
  on("jobs", showAll);
  on("job", (job) => {
    // Steps can come faster than a screen shows them.
    if (!changed.size) requestAnimationFrame(showChanged);
    changed.add(job.job);
  });
}

function showChanged() {
  const ids = [...changed];
  changed.clear();
  for (const id of ids) if (state.jobs.has(id)) showOne(state.jobs.get(id));
}

function showAll() {
  const jobs = [...state.jobs.values()];
  const ended = jobs.filter((job) => OVER.includes(job.state)).slice(0, SHOWN_ENDED);
  // The one at work first, then those that wait, in their order.
  const alive = jobs
    .filter((job) => !OVER.includes(job.state))
    .reverse()
    .sort((one, other) => Number(other.state === "running") - Number(one.state === "running"));
  const rows = [...alive, ...ended].map(rowOf);
  const list = byId("job-list");
  if (!rows.length) fill(list, h("li", { class: "quiet" }, "Nothing is at work."));
  else if (rows.length !== list.children.length || rows.some((row, n) => row !== list.children[n]))
    keepFocus(list, () => fill(list, ...rows));
}

function showOne(job) {
  const old = document.getElementById(`row-${job.job}`);
  if (!old) return showAll();
  const row = rowOf(job);
  if (row !== old) keepFocus(byId("job-list"), () => old.replaceWith(row));
  drawCurve(job);
  return undefined;
}

/** The row of a job: the one that is there with what is new in it, for its buttons are being used. */
function rowOf(job) {
  const alive = !OVER.includes(job.state);
  const shape = [
    job.state,
    alive && Boolean(job.preview),
    alive && job.losses.length > 1,
    job.take,
    job.task,
  ].join();
  const old = document.getElementById(`row-${job.job}`);
  const row = old?.dataset.shape === shape ? old : newRow(job, alive, shape);
  const told = row.querySelector(".standing");
  if (told.textContent !== standing(job)) told.textContent = standing(job);
  const progress = row.querySelector("progress");
  if (progress) {
    progress.value = job.fraction;
    progress.setAttribute(
      "aria-label",
      `${job.job} ${job.task}: ${Math.round(100 * job.fraction)} %`,
    );
  }
  if (row !== old) requestAnimationFrame(() => drawCurve(job));
  return row;
}

function newRow(job, alive, shape) {
  const small = (label) => ({ class: "small", "aria-label": label });
  return h(
    "li",
    { class: "job", id: `row-${job.job}`, "data-state": job.state, "data-shape": shape },
    h(
      "div",
      { class: "row" },
      h("h3", {}, `${job.job} ${job.task}`),
      h("span", { class: "quiet standing" }),
      h("span", { class: "spring" }),
      job.preview &&
        alive &&
        button("Hear", () => hearJob(job.job), {
          ...small(`Hear ${job.job}, best so far`),
          title: "Hear the best so far (P)",
        }),
      job.state === "done" &&
        job.take &&
        button("Show", () => showTake(job.take), small(`Show ${job.take}`)),
      alive && button("Cancel", () => cancelJob(job), small(`Cancel ${job.job}`)),
    ),
    alive && h("progress", { max: 1 }),
    alive &&
      job.losses.length > 1 &&
      h("canvas", { id: `losses-${job.job}`, role: "img", "aria-label": `Loss of ${job.job}` }),
    job.error && h("p", { class: "bad" }, job.error.message),
    job.error?.hint && h("p", { class: "said" }, job.error.hint),
    job.reason && h("p", { class: "said" }, job.reason),
  );
}

function showTake(id) {
  tell("view", "listen");
  return attempt(() => chooseTake(id));
}

function standing(job) {
  if (job.state !== "running") return job.state === "done" ? `done, ${job.take}` : job.state;
  const parts = [job.stage, `${Math.round(100 * job.fraction)} %`];
  if (job.steps) parts.push(`step ${job.step} of ${job.steps}`);
  if (job.eta_s !== null && job.eta_s !== undefined) parts.push(`${Math.ceil(job.eta_s)} s left`);
  return parts.filter(Boolean).join(" · ");
}

function drawCurve(job) {
  const canvas = document.getElementById(`losses-${job.job}`);
  if (canvas) drawLosses(/** @type {HTMLCanvasElement} */ (canvas), job.losses);
}
