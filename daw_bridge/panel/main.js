// Joins the parts of the page: token, connection, views.

import { startClips } from "./clip.js";
import { Client } from "./client.js";
import { button, byId, fill, h } from "./dom.js";
import { startForm } from "./form.js";
import { refreshStatus, startHome } from "./home.js";
import { hearEvent, hearPreview, noteOwnJob, refreshJobs, startJobs } from "./jobs.js";
import { startKeys } from "./keys.js";
import { player, startListening } from "./listen.js";
import { startList } from "./list.js";
import { forgetToken, ownToken } from "./proof.js";
import { startRating } from "./rating.js";
import { startReport } from "./report.js";
import { startSaving } from "./save.js";
import { on, state, tell } from "./state.js";
import { chooseTake, refreshTakes, startTakes } from "./take.js";

const LOOK_EVERY_MS = 4000;
const STARTING_MS = 700;
const PROBLEM_MS = 15_000;

async function start() {
  on("problem", showProblem);
  on("announce", (text) => (byId("announcer").textContent = text));
  const token = ownToken();
  if (!token) return explain("This page needs the key of your daemon.");
  const answer = await fetch("/protocol.json");
  state.table = await answer.json();
  startListening();
  startTakes();
  startJobs();
  startList();
  startReport();
  startRating();
  startSaving();
  startHome();
  startForm();
  startKeys();
  startClips();
  state.client = new Client(token, state.table, {
    onState: connection,
    onMessage: message,
    onPreview: hearPreview,
  });
  await state.client.connect();
  look();
  return undefined;
}

function connection(name, version = "") {
  state.connection = name;
  state.version = version;
  tell("connection");
  byId("main").inert = name === "refused";
  if (name === "refused") {
    forgetToken();
    explain("The daemon does not know the key that this page has.");
  }
  if (name === "open") arrive();
}

/** What changed while the page was not connected. */
async function arrive() {
  try {
    await refreshStatus(); // whether a job is at work says how many are asked for
    await Promise.all([refreshJobs(), refreshTakes()]);
    if (!state.chosen && !player.tracks.a && state.takes.length)
      await chooseTake(state.takes[0].take);
  } catch {
    // It was shown, or the connection is lost again and the next one asks anew.
  }
}

/** Look again and again; an engine that starts is looked at more often. */
async function look() {
  if (state.connection === "open" && !document.hidden) {
    await refreshStatus()
      .then(refreshJobs)
      .catch(() => {}); // it was shown
  }
  setTimeout(look, state.status?.engine === "starting" ? STARTING_MS : LOOK_EVERY_MS);
}

function message(told) {
  if (told.reply === "accepted") {
    noteOwnJob(told.job);
    if (!state.jobs.has(told.job)) {
      const entry = { job: told.job, task: "", state: "queued", fraction: 0, losses: [] };
      state.jobs = new Map([[told.job, entry], ...state.jobs]);
      tell("jobs");
    }
  } else if (told.event) {
    hearEvent(told);
  } else if (told.reply === "failed" && !told.id) {
    tell("problem", told);
  }
}

/** What the daemon said, as it said it. */
function showProblem({ message: text, hint, code }) {
  const known = [...byId("problems").children].find((each) => each.dataset.text === text);
  known?.remove();
  const box = h(
    "div",
    { class: "problem", "data-text": text, "data-code": code ?? "" },
    h("p", {}, text),
    hint && h("p", { class: "hint" }, hint),
    button("×", () => box.remove(), { class: "small plain", "aria-label": "Dismiss" }),
  );
  byId("problems").append(box);
  setTimeout(() => box.remove(), PROBLEM_MS);
}

function explain(why) {
  byId("closed").hidden = false;
  byId("main").hidden = true;
  fill(
    byId("closed"),
    h("h2", {}, "Not connected"),
    h("p", {}, why),
    h("p", {}, "Type this in a terminal; it opens the panel with the key:"),
    h("pre", {}, "daw-bridge panel"),
    h(
      "p",
      { class: "quiet" },
      "The key stays in this tab until you close it. It is never part of a request for a page.",
    ),
  );
  byId("connection").textContent = "no key";
  byId("connection").dataset.light = "poor";
}

start().catch((error) =>
  showProblem({ message: "the page could not start", hint: String(error), code: "page" }),
);
