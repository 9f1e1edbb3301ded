// Draws a loss curve: each step, and the best so far.

import { COLOURS } from "./colours.js";
import { prepared } from "./dom.js";

/**
 * Draw losses on a logarithmic axis, as they fall by powers.
 * @param {HTMLCanvasElement} canvas @param {number[]} losses
 */
export function drawLosses(canvas, losses) {
  const { draw, width, height } = prepared(canvas);
  const logs = losses.map((loss) => Math.log10(Math.max(loss, 1e-12)));
  if (!logs.length) return;
  const low = Math.min(...logs);
  const span = Math.max(...logs) - low || 1;
  const right = width - 64;
  const x = (n) => 3 + (logs.length > 1 ? (n / (logs.length - 1)) * (right - 6) : 0);
  const y = (log) => 4 + (1 - (log - low) / span) * (height - 8);
  let best = Infinity;
  draw.strokeStyle = COLOURS.grid;
  for (const at of [4, height / 2, height - 4])
    line(draw, [
      [0, at],
      [right, at],
    ]);
  draw.strokeStyle = COLOURS.good;
  line(
    draw,
    logs.map((log, n) => [x(n), y((best = Math.min(best, log)))]),
  );
  draw.strokeStyle = COLOURS.made;
  line(
    draw,
    logs.map((log, n) => [x(n), y(log)]),
  );
  draw.fillStyle = COLOURS.made;
  for (const [n, log] of logs.entries()) {
    draw.beginPath();
    draw.arc(x(n), y(log), logs.length > 60 ? 0.8 : 2, 0, 2 * Math.PI);
    draw.fill();
  }
  label(draw, width, height, Math.min(...losses));
}

function line(draw, points) {
  draw.lineWidth = 1.3;
  draw.beginPath();
  points.forEach(([x, y], n) => (n ? draw.lineTo(x, y) : draw.moveTo(x, y)));
  draw.stroke();
}

function label(draw, width, height, best) {
  draw.font = "11px system-ui, sans-serif";
  draw.textAlign = "right";
  draw.textBaseline = "middle";
  draw.fillStyle = COLOURS.text;
  draw.fillText("best loss", width - 2, height / 2 - 7);
  draw.fillText(best.toPrecision(3), width - 2, height / 2 + 7);
  draw.textAlign = "left";
}
