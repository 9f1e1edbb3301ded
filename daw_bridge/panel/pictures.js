// The pictures of what is heard: two waves and a spectrogram on one axis, and what mouse and keys do
// on them.

import { byId, clock } from "./dom.js";
import { drawPlayhead, drawWave, peakOf } from "./wave.js";
import { drawSpectrum } from "./spectrum.js";

const LEAST_VIEW_S = 0.05;
const DRAG_PIXELS = 4;

/** Pictures of a player's tracks. */
export class Pictures {
  /** @param {import("./player.js").Player} player @param {(region: any) => void} onSelect */
  constructor(player, onSelect) {
    this.player = player;
    this.onSelect = onSelect;
    this.view = { startS: 0, endS: 1 };
    this.selection = null;
    this.waiting = false;
    this.ticking = false;
    this.slider = byId("wave-a");
    for (const id of ["wave-a", "wave-b", "spectrum"]) this.#listen(byId(id));
    this.slider.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.redraw()).observe(byId("pictures"));
    player.addEventListener("change", () => this.#tick());
  }

  /** Show everything. */
  fit() {
    const { startS, endS } = this.player;
    this.view = { startS, endS: Math.max(endS, startS + LEAST_VIEW_S) };
    this.redraw();
  }

  /** Show more or less, around a place. @param {number} factor over 1 shows more @param {number} [atS] */
  zoom(factor, atS = this.player.positionS) {
    const { startS, endS } = this.view;
    const middle = atS >= startS && atS <= endS ? atS : (startS + endS) / 2;
    this.#show(middle - (middle - startS) * factor, middle + (endS - middle) * factor);
  }

  /** Show a stretch with some room around it. */
  frame(region) {
    const room = Math.max(0.3, region.endS - region.startS) * 0.35;
    this.#show(region.startS - room, region.endS + room);
  }

  #show(startS, endS) {
    const length = Math.max(
      LEAST_VIEW_S,
      Math.min(endS - startS, this.player.endS - this.player.startS),
    );
    const first = Math.min(
      Math.max(startS, this.player.startS),
      Math.max(this.player.startS, this.player.endS - length),
    );
    this.view = { startS: first, endS: first + length };
    this.redraw();
  }

  /** Draw soon. */
  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.#draw();
    });
  }

  #draw() {
    const { tracks, heard, loop } = this.player;
    byId("empty").hidden = Boolean(tracks.a || tracks.b);
    byId("picture-b").hidden = !tracks.b;
    const both = Boolean(tracks.a && tracks.b);
    // Quiet takes are drawn taller, both alike.
    const scale = Math.max(
      1,
      0.9 / Math.max(0.01, ...this.player.loaded.map((track) => peakOf(track.channels))),
    );
    drawWave(byId("wave-a"), tracks.a, this.view, { loop, scale, dim: both && heard !== "a" });
    if (tracks.b)
      drawWave(byId("wave-b"), tracks.b, this.view, { loop, scale, dim: heard !== "b" });
    drawSpectrum(byId("spectrum"), tracks[heard], this.view);
    this.#heads();
  }

  #tick() {
    this.#heads();
    if (this.ticking || !this.player.playing) return; // one chain, however often it changes
    this.ticking = true;
    requestAnimationFrame(() => {
      this.ticking = false;
      this.#tick();
    });
  }

  #heads() {
    const atS = this.player.positionS;
    for (const id of ["head-a", "head-b", "head-s"])
      drawPlayhead(byId(id), this.view, atS, this.selection);
    byId("position").textContent = `${clock(atS)} / ${clock(this.player.endS)}`;
    this.slider.setAttribute("aria-valuemax", this.player.endS.toFixed(1));
    this.slider.setAttribute("aria-valuenow", atS.toFixed(1));
    this.slider.setAttribute("aria-valuetext", `${clock(atS)} of ${clock(this.player.endS)}`);
  }

  #listen(canvas) {
    /** @type {{x: number, atS: number} | null} */
    let from = null;
    const at = (event) => {
      const share = event.offsetX / Math.max(1, canvas.clientWidth);
      return (
        this.view.startS + Math.min(1, Math.max(0, share)) * (this.view.endS - this.view.startS)
      );
    };
    canvas.addEventListener("pointerdown", (event) => {
      from = { x: event.offsetX, atS: at(event) };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from || Math.abs(event.offsetX - from.x) < DRAG_PIXELS) return;
      this.selection = {
        startS: Math.min(from.atS, at(event)),
        endS: Math.max(from.atS, at(event)),
      };
      this.#heads();
    });
    const release = (event) => {
      if (this.selection) this.onSelect(this.selection);
      else if (from && event.type === "pointerup") this.player.seek(at(event));
      from = null;
      this.selection = null;
      this.#heads();
    };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("dblclick", () => this.fit());
    canvas.addEventListener("wheel", (event) => this.#wheel(event, at(event)), { passive: false });
  }

  #wheel(event, atS) {
    if (event.ctrlKey || event.altKey) {
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, atS);
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
      event.preventDefault();
      const share = (event.deltaX || event.deltaY) / Math.max(1, event.target.clientWidth);
      const by = share * (this.view.endS - this.view.startS);
      this.#show(this.view.startS + by, this.view.endS + by);
    }
  }

  #key(event) {
    const marks = /** @type {any} */ (this.player.tracks[this.player.heard])?.marks;
    const stepS = (marks?.beatS ?? 0.1) * (event.shiftKey ? 4 : 1);
    const moves = {
      ArrowRight: () => this.player.seek(this.player.positionS + stepS),
      ArrowLeft: () => this.player.seek(this.player.positionS - stepS),
      Home: () => this.player.seek(this.player.startS),
      End: () => this.player.seek(this.player.endS),
      "+": () => this.zoom(0.7),
      "-": () => this.zoom(1 / 0.7),
      0: () => this.fit(),
    };
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    move();
  }
}
