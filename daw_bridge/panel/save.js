// A take leaves the page: by dragging, as a download, as a path, or as a file that the daemon writes.

import { button, byId, fill, fileName, h } from "./dom.js";
import { controlOf } from "./fields.js";
import { ask, attempt, on, state, tell } from "./state.js";
import { audioOf } from "./take.js";
import { wavOf } from "./wav.js";

const links = new Map(); // addresses of WAV files of this page, by take and stem
const KEPT = 4;
const LARGE_BYTES = 100e6; // a file of this size is made when it is wanted

/** Offer whatever take is shown. */
export function startSaving() {
  on("shown", (take) => {
    if (!take) return fill(byId("save"));
    const file = take.files.find((each) => each.name === state.stem) ?? take.files[0];
    return attempt(() => show(take, file));
  });
}

async function show(take, file, wanted = false) {
  const name = fileName(file.path);
  if (!wanted && 4 * file.channels * file.length_samples > LARGE_BYTES) {
    fill(
      byId("save"),
      h("h2", {}, "Take it"),
      h(
        "div",
        { class: "row" },
        button("Prepare the file", () => attempt(() => show(take, file, true))),
        button("Copy path", () => copyPath(file.path)),
      ),
      exportForm(take),
    );
    return;
  }
  const address = await addressOf(take.take, state.stem ?? "");
  if (state.chosen !== take.take) return;
  const drag = h(
    "span",
    { class: "drag-out", draggable: "true", title: "Drag it into the DAW or onto the desktop" },
    "⠿ Drag to the DAW",
  );
  drag.addEventListener("dragstart", (event) => setFile(event, name, file.path, address));
  fill(
    byId("save"),
    h("h2", {}, "Take it"),
    h(
      "div",
      { class: "row" },
      drag,
      h("a", { class: "button", href: address, download: name }, "Download"),
      button("Copy path", () => copyPath(file.path)),
    ),
    h("p", { class: "path", title: file.path }, file.path.split(/[\\/]/).slice(-2).join("/")),
    exportForm(take),
  );
}

/** The address of a WAV file of the take, made in the page from the stream. */
async function addressOf(id, stem) {
  const key = `${id}/${stem}`;
  if (!links.has(key)) {
    const { channels, rateHz } = await audioOf(id, stem);
    if (links.has(key)) return links.get(key);
    for (const [old, link] of [...links].slice(0, Math.max(0, links.size + 1 - KEPT))) {
      URL.revokeObjectURL(link);
      links.delete(old);
    }
    links.set(key, URL.createObjectURL(wavOf(channels, rateHz)));
  }
  return links.get(key);
}

/**
 * Give a drag the take. One that is not shown yet has its path only.
 * @param {DragEvent} event @param {any} take
 */
export function dragOut(event, take) {
  setFile(event, fileName(take.path), take.path, links.get(`${take.take}/`));
}

function setFile(event, name, path, address) {
  const data = event.dataTransfer;
  if (!data) return;
  data.effectAllowed = "copy";
  if (address) data.setData("DownloadURL", `audio/wav:${name}:${address}`); // Chromium makes a file of it
  data.setData("text/uri-list", fileAddress(path)); // others hand on the daemon's own file
  data.setData("text/plain", path);
}

/** @param {string} path */
function fileAddress(path) {
  const parts = path.replaceAll("\\", "/").split("/").map(encodeURIComponent).join("/");
  return path.startsWith("/") ? `file://${parts}` : `file:///${parts.replace("%3A", ":")}`;
}

async function copyPath(path) {
  try {
    await navigator.clipboard.writeText(path);
    tell("announce", "the path is copied");
  } catch {
    tell("problem", {
      message: "the browser does not let the page copy",
      hint: `select the path yourself: ${path}`,
    });
  }
}

/** The command `export`, with the fields that the protocol gives it. */
function exportForm(take) {
  const command = state.table.commands.find((each) => each.name === "export");
  const fields = command.fields.filter((field) => !["take", "stem"].includes(field.name));
  const controls = fields.map((field) => controlOf(field, "export"));
  const said = h("p", { class: "path", role: "status" });
  const write = () =>
    attempt(async () => {
      const values = Object.assign({}, ...controls.map((control) => control.values()));
      const told = await ask("export", {
        take: take.take,
        ...(state.stem ? { stem: state.stem } : {}),
        ...values,
      });
      said.textContent = `${told.path} · peak ${told.peak_db.toFixed(1)} dB`;
      tell("announce", `written: ${fileName(told.path)}`);
    });
  return h(
    "details",
    { id: "export" },
    h("summary", {}, "Write a file in another format"),
    h(
      "div",
      { class: "group" },
      h("div", { class: "pairs" }, ...controls.map((control) => control.element)),
      h("div", { class: "row" }, button("Write the file", write)),
      said,
    ),
  );
}
