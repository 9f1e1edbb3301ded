// The daemon and its engine: what they are doing, on what device, with which models.

import { button, byId, fill, h, size } from "./dom.js";
import { ask, attempt, on, state, tell } from "./state.js";

const ENGINE_LIGHTS = { ready: "good", starting: "fair", broken: "poor", stopped: "poor" };
const CONNECTIONS = {
  connecting: ["fair", "connecting"],
  open: ["good", "connected"],
  away: ["poor", "no daemon: waiting for it"],
  full: ["poor", "the daemon has too many clients: waiting"],
  strange: ["poor", "who listens here does not know the key: run daw-bridge panel"],
  refused: ["poor", "the token is not the daemon's"],
};

/** Ask how things are. */
export async function refreshStatus() {
  const before = state.status;
  state.status = await ask("status");
  // Somebody else made, removed or restored a take.
  const { takes_bytes, trash_bytes } = state.status;
  if (before && (before.takes_bytes !== takes_bytes || before.trash_bytes !== trash_bytes))
    tell("takes-changed");
  if (state.status.engine === "ready") state.models = (await ask("models")).models;
  tell("status");
}

/** Show how things are. */
export function startHome() {
  on("status", show);
  on("connection", show);
  byId("open-machine").addEventListener("click", openMachine);
}

function show() {
  const [light, words] = CONNECTIONS[state.connection];
  mark(byId("connection"), light, words);
  const status = state.connection === "open" ? state.status : null;
  mark(byId("engine"), ENGINE_LIGHTS[status?.engine] ?? "fair", engineWords(status));
  byId("room").textContent = status
    ? status.warning || `${size(status.takes_bytes ?? 0)} of takes`
    : "";
  if (byId("machine").open) fillMachine();
}

function engineWords(status) {
  if (!status) return "";
  const device = status.engine_info?.device;
  return status.engine === "ready" && device ? `ready on ${device}` : `engine ${status.engine}`;
}

function mark(pill, light, words) {
  pill.dataset.light = light;
  if (pill.textContent === words) return;
  pill.textContent = words;
  pill.title = words;
}

function openMachine() {
  const close = button("Close", () => byId("machine").close());
  fill(
    byId("machine"),
    h(
      "header",
      {},
      h("h2", { id: "machine-title" }, "Machine"),
      h("span", { class: "spring" }),
      close,
    ),
    h("table", {}, h("tbody", { id: "machine-rows" })),
    h("p", {}, button("Free the models' memory", unload, { id: "unload" })),
  );
  fillMachine();
  byId("machine").showModal();
  attempt(refreshStatus);
}

function fillMachine() {
  const status = state.status;
  const row = (name, ...said) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, ...said));
  const error = status?.engine_error;
  const rows = status
    ? [
        row(
          "Daemon",
          `version ${status.version}, up ${Math.round(status.uptime_s / 60)} min, ${status.clients} clients`,
        ),
        row("Engine", `${status.engine}${status.models_loaded ? ", models in memory" : ""}`),
        error &&
          row("Why", h("p", {}, error.message ?? ""), h("p", { class: "quiet" }, error.hint ?? "")),
        row("Device", String(status.engine_info?.device ?? "unknown yet")),
        row(
          "Queue",
          status.running
            ? `${status.running} runs, ${status.queued} wait`
            : `${status.queued} wait`,
        ),
        row("Takes", size(status.takes_bytes ?? 0)),
        row("Trash", size(status.trash_bytes ?? 0)),
        status.warning && row("Room", status.warning),
        ...state.models.map((model) =>
          row("Model", `${model.name} `, h("code", {}, String(model.digest ?? "").slice(0, 16))),
        ),
      ]
    : [row("Daemon", "not connected")];
  fill(byId("machine-rows"), ...rows.filter(Boolean));
  byId("unload").disabled = !status?.models_loaded;
}

function unload() {
  return attempt(async () => {
    await ask("unload");
    tell("announce", "the models are given back after the render that runs");
    await refreshStatus();
  });
}
