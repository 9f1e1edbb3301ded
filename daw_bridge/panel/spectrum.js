// Draws a spectrogram: a column of a Hann-windowed Fourier transform for every pixel, on a
// logarithmic axis of frequency.

import { COLOURS, heat } from "./colours.js";
import { prepared } from "./dom.js";

const SIZE = 2048;
const LOW_HZ = 50;
const HIGH_HZ = 16_000;
const FLOOR_DB = -88;
const CEILING_DB = -20;
const TILT_DB = 3; // an octave, from 1 kHz on: music falls by about so much
const LABELS_HZ = [100, 1000, 10_000];

const WINDOW = Float64Array.from(
  { length: SIZE },
  (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / SIZE),
);
const COSINES = Float64Array.from({ length: SIZE / 2 }, (_, n) =>
  Math.cos((2 * Math.PI * n) / SIZE),
);
const SINES = Float64Array.from({ length: SIZE / 2 }, (_, n) => Math.sin((2 * Math.PI * n) / SIZE));
const REVERSED = Uint32Array.from({ length: SIZE }, (_, n) => {
  let turned = 0;
  for (let bit = 1, at = n; bit < SIZE; bit <<= 1, at >>= 1) turned = (turned << 1) | (at & 1);
  return turned;
});

/** Fourier transform in place; `SIZE` samples. @param {Float64Array} real @param {Float64Array} imaginary */
export function transform(real, imaginary) {
  for (let n = 0; n < SIZE; n += 1) {
    const other = REVERSED[n];
    if (other > n) {
      [real[n], real[other]] = [real[other], real[n]];
      [imaginary[n], imaginary[other]] = [imaginary[other], imaginary[n]];
    }
  }
  for (let half = 1; half < SIZE; half *= 2) {
    const stride = SIZE / (2 * half);
    for (let start = 0; start < SIZE; start += 2 * half) {
      for (let n = 0; n < half; n += 1)
        butterfly(real, imaginary, start + n, start + n + half, n * stride);
    }
  }
}

function butterfly(real, imaginary, low, high, turn) {
  const cosine = COSINES[turn];
  const sine = -SINES[turn];
  const re = real[high] * cosine - imaginary[high] * sine;
  const im = real[high] * sine + imaginary[high] * cosine;
  real[high] = real[low] - re;
  imaginary[high] = imaginary[low] - im;
  real[low] += re;
  imaginary[low] += im;
}

/**
 * Levels in dB against a full-scale sine of the window centred at a sample.
 * @param {Float32Array[]} channels @param {number} centre
 * @returns {Float64Array} of SIZE / 2 bins
 */
export function levels(channels, centre) {
  const real = new Float64Array(SIZE);
  const imaginary = new Float64Array(SIZE);
  const first = Math.round(centre) - SIZE / 2;
  for (let n = 0; n < SIZE; n += 1) {
    let sum = 0;
    for (const samples of channels) sum += samples[first + n] ?? 0;
    real[n] = (WINDOW[n] * sum) / channels.length;
  }
  transform(real, imaginary);
  return Float64Array.from({ length: SIZE / 2 }, (_, bin) => {
    const power = (real[bin] ** 2 + imaginary[bin] ** 2) / (SIZE / 4) ** 2;
    return 10 * Math.log10(power + 1e-20);
  });
}

/**
 * Draw the spectrogram of a track.
 * @param {HTMLCanvasElement} canvas @param {any} track
 * @param {{startS: number, endS: number}} view
 */
export function drawSpectrum(canvas, track, view) {
  const { draw, width, height } = prepared(canvas);
  draw.fillStyle = COLOURS.ground;
  draw.fillRect(0, 0, width, height);
  if (!track) return;
  const image = new ImageData(Math.round(width), Math.round(height));
  const bins = rows(image.height, track.rateHz);
  const tilts = bins.map((bin) => TILT_DB * Math.log2((bin * track.rateHz) / SIZE / 1000));
  for (let column = 0; column < image.width; column += 1) {
    const atS = view.startS + ((column + 0.5) / image.width) * (view.endS - view.startS);
    const centre = (atS - track.startS) * track.rateHz;
    if (centre < 0 || centre >= track.channels[0].length) continue;
    paint(image, column, levels(track.channels, centre), bins, tilts);
  }
  const picture = new OffscreenCanvas(image.width, image.height);
  /** @type {any} */ (picture.getContext("2d")).putImageData(image, 0, 0);
  draw.drawImage(picture, 0, 0, width, height);
  labels(draw, height, track.rateHz);
}

const highest = (rateHz) => Math.min(HIGH_HZ, rateHz / 2);

/** The bin, as a fraction, of each row of pixels from the top. */
function rows(height, rateHz) {
  const ratio = highest(rateHz) / LOW_HZ;
  return Float64Array.from(
    { length: height },
    (_, row) => ((LOW_HZ * ratio ** (1 - (row + 0.5) / height)) / rateHz) * SIZE,
  );
}

function paint(image, column, found, bins, tilts) {
  for (let row = 0; row < bins.length; row += 1) {
    const bin = Math.min(found.length - 2, Math.floor(bins[row]));
    const level = found[bin] + (found[bin + 1] - found[bin]) * (bins[row] - bin);
    const [red, green, blue] = heat((level + tilts[row] - FLOOR_DB) / (CEILING_DB - FLOOR_DB));
    const at = 4 * (row * image.width + column);
    image.data.set([red, green, blue, 255], at);
  }
}

function labels(draw, height, rateHz) {
  draw.font = "10px system-ui, sans-serif";
  draw.textBaseline = "middle";
  for (const hz of LABELS_HZ.filter((each) => each < highest(rateHz))) {
    const at = height * (1 - Math.log(hz / LOW_HZ) / Math.log(highest(rateHz) / LOW_HZ));
    const text = hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`;
    draw.fillStyle = "#00000090";
    draw.fillRect(2, at - 7, draw.measureText(text).width + 6, 14);
    draw.fillStyle = COLOURS.text;
    draw.fillText(text, 5, at);
  }
}
