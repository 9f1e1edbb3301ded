// Draws a track: its wave with what was kept and what was made, bars, seams and rulers.

import { COLOURS } from "./colours.js";
import { prepared } from "./dom.js";

const BLOCK = 128; // samples of one entry of the overview
export const RULER = 18; // pixels at the top for bars and seams

const overviews = new WeakMap();

/** Least and largest sample of each block, over all channels. @param {Float32Array[]} channels */
function overview(channels) {
  const known = overviews.get(channels);
  if (known) return known;
  const count = Math.ceil(channels[0].length / BLOCK);
  const low = new Float32Array(count);
  const high = new Float32Array(count);
  for (const samples of channels) {
    for (let n = 0; n < samples.length; n += 1) {
      const block = (n / BLOCK) | 0;
      if (samples[n] < low[block]) low[block] = samples[n];
      if (samples[n] > high[block]) high[block] = samples[n];
    }
  }
  overviews.set(channels, { low, high });
  return { low, high };
}

/** The largest sample, either way. @param {Float32Array[]} channels */
export function peakOf(channels) {
  const { low, high } = overview(channels);
  let peak = 0;
  for (let block = 0; block < low.length; block += 1)
    peak = Math.max(peak, -low[block], high[block]);
  return peak;
}

/** Least and largest sample between two samples. */
function extent(channels, from, to) {
  let least = 0;
  let largest = 0;
  if (to - from > 4 * BLOCK) {
    const { low, high } = overview(channels);
    for (
      let block = Math.floor(from / BLOCK);
      block < to / BLOCK && block < low.length;
      block += 1
    ) {
      if (low[block] < least) least = low[block];
      if (high[block] > largest) largest = high[block];
    }
    return [least, largest];
  }
  for (const samples of channels) {
    for (let n = from; n < to; n += 1) {
      if (samples[n] < least) least = samples[n];
      if (samples[n] > largest) largest = samples[n];
    }
  }
  return [least, largest];
}

/**
 * Draw a track.
 * @param {HTMLCanvasElement} canvas
 * @param {any} track a track of the player with its `marks`
 * @param {{startS: number, endS: number}} view the stretch of the axis that is shown
 * @param {{loop?: any, dim?: boolean, scale?: number}} [options] `scale`: how much taller than life
 */
export function drawWave(canvas, track, view, { loop = null, dim = false, scale = 1 } = {}) {
  const { draw, width, height } = prepared(canvas);
  const x = (atS) => ((atS - view.startS) / (view.endS - view.startS)) * width;
  draw.fillStyle = COLOURS.ground;
  draw.fillRect(0, 0, width, height);
  if (!track) return;
  const marks = track.marks ?? { seams: [], bars: [], made: null };
  ground(draw, height, track, marks, x);
  bars(draw, width, height, track, marks, x);
  if (loop) {
    draw.fillStyle = COLOURS.loop + "26";
    draw.fillRect(x(loop.startS), 0, x(loop.endS) - x(loop.startS), height);
  }
  draw.globalAlpha = dim ? 0.45 : 1;
  wave(draw, width, height, track, marks, view, scale);
  draw.globalAlpha = 1;
  if (scale > 1.05) {
    draw.font = "10px system-ui, sans-serif";
    draw.textAlign = "right";
    draw.fillStyle = COLOURS.text;
    draw.fillText(`shown ${(20 * Math.log10(scale)).toFixed(0)} dB taller`, width - 6, height - 9);
    draw.textAlign = "left";
  }
  for (const seam of marks.seams) seamMark(draw, height, x(track.startS + seam.atS), seam);
}

/** What was kept and what was made, as tints. */
function ground(draw, height, track, marks, x) {
  const lengthS = track.channels[0].length / track.rateHz;
  const [from, to] = marks.made ?? [0, marks.source ? 0 : lengthS];
  const tint = (colour, start, end) => {
    draw.fillStyle = colour + "14";
    draw.fillRect(
      x(track.startS + start),
      RULER,
      x(track.startS + end) - x(track.startS + start),
      height - RULER,
    );
  };
  tint(COLOURS.kept, 0, from);
  tint(COLOURS.made, from, to);
  tint(COLOURS.kept, to, lengthS);
}

function bars(draw, width, height, track, marks, x) {
  draw.font = "10px system-ui, sans-serif";
  draw.textBaseline = "middle";
  let lastLabel = -100;
  let lastLine = -100;
  for (const { atS, number } of marks.bars) {
    const at = x(track.startS + atS);
    if (at < -1 || at > width || at - lastLine < 4) continue; // too near to be told apart
    lastLine = at;
    draw.fillStyle = COLOURS.bar;
    draw.fillRect(Math.round(at), 0, 1, height);
    if (at - lastLabel < 26) continue;
    lastLabel = at;
    draw.fillStyle = COLOURS.text;
    const beside = marks.seams.some((seam) => Math.abs(x(track.startS + seam.atS) - at) < 10);
    draw.fillText(String(number), Math.round(at) + (beside ? 10 : 4), RULER / 2);
  }
}

/** The wave, each column in the colour of what it is. */
function wave(draw, width, height, track, marks, view, scale) {
  const middle = RULER + (height - RULER) / 2;
  const reach = (height - RULER) / 2 - 3;
  const rate = track.rateHz;
  const perPixel = ((view.endS - view.startS) * rate) / width;
  const [from, to] = marks.made ?? [0, marks.source ? 0 : Infinity];
  draw.fillStyle = COLOURS.grid;
  draw.fillRect(0, Math.round(middle), width, 1);
  for (let column = 0; column < width; column += 1) {
    const first = Math.floor((view.startS - track.startS) * rate + column * perPixel);
    const last = Math.max(first + 1, Math.floor(first + perPixel));
    if (last <= 0 || first >= track.channels[0].length) continue;
    const [least, largest] = extent(
      track.channels,
      Math.max(0, first),
      Math.min(last, track.channels[0].length),
    );
    const atS = first / rate;
    draw.fillStyle = atS >= from && atS < to ? COLOURS.made : COLOURS.kept;
    const top = middle - Math.min(1, scale * largest) * reach;
    draw.fillRect(column, top, 1, Math.max(1, middle - Math.max(-1, scale * least) * reach - top));
  }
}

function seamMark(draw, height, at, seam) {
  draw.strokeStyle = COLOURS.seam;
  draw.setLineDash([3, 3]);
  draw.lineWidth = 1;
  draw.beginPath();
  draw.moveTo(Math.round(at) + 0.5, RULER);
  draw.lineTo(Math.round(at) + 0.5, height);
  draw.stroke();
  draw.setLineDash([]);
  draw.fillStyle = COLOURS[seam.light];
  draw.beginPath();
  draw.arc(Math.max(6, at), RULER / 2, 5, 0, 2 * Math.PI);
  draw.fill();
  draw.strokeStyle = COLOURS.ground;
  draw.lineWidth = 1.5;
  draw.stroke();
}

/**
 * Draw where the player is, and a selection under way.
 * @param {HTMLCanvasElement} canvas @param {{startS: number, endS: number}} view @param {number} atS
 * @param {any} [selection]
 */
export function drawPlayhead(canvas, view, atS, selection = null) {
  const { draw, width, height } = prepared(canvas);
  const x = (at) => ((at - view.startS) / (view.endS - view.startS)) * width;
  if (selection) {
    draw.fillStyle = COLOURS.loop + "40";
    draw.fillRect(x(selection.startS), 0, x(selection.endS) - x(selection.startS), height);
  }
  const at = Math.round(x(atS));
  if (at < 0 || at > width) return;
  draw.fillStyle = COLOURS.playhead;
  draw.fillRect(at, 0, 1.5, height);
}
