// Integrated loudness after ITU-R BS.1770-4: K-weighted, gated at -70 LUFS and 10 LU under the mean.

const BLOCK_S = 0.4;
const STEPS_PER_BLOCK = 4;
export const SILENCE_LUFS = -120;

/**
 * Loudness in LUFS, SILENCE_LUFS for silence. Audio shorter than 400 ms is one block.
 * @param {Float32Array[]} channels @param {number} rateHz
 */
export function loudnessLufs(channels, rateHz) {
  const sums = runningPower(channels, rateHz);
  const count = sums.length - 1;
  const block = Math.min(Math.round(BLOCK_S * rateHz), count);
  if (block < 1) return SILENCE_LUFS;
  const step = Math.max(1, Math.round(block / STEPS_PER_BLOCK));
  const blocks = [];
  for (let at = 0; at + block <= count; at += step)
    blocks.push((sums[at + block] - sums[at]) / block);
  const loud = blocks.filter((power) => lufs(power) >= -70);
  if (!loud.length) return SILENCE_LUFS;
  const gate = lufs(mean(loud)) - 10;
  return lufs(mean(loud.filter((power) => lufs(power) >= gate)));
}

const lufs = (power) => -0.691 + 10 * Math.log10(Math.max(power, 1e-12));
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Sums of the weighted power up to each sample, over all channels. */
function runningPower(channels, rateHz) {
  const count = channels[0].length;
  const power = new Float64Array(count);
  channels.forEach((samples, channel) => {
    // Of six (L R C LFE Ls Rs) the LFE is left out and the surrounds count 1.5 dB more.
    const weight = channels.length === 6 ? [1, 1, 1, 0, 1.41, 1.41][channel] : 1;
    const weighted = Float64Array.from(samples);
    for (const section of kWeighting(rateHz)) filter(weighted, section);
    for (let n = 0; n < count; n += 1) power[n] += weight * weighted[n] * weighted[n];
  });
  const sums = new Float64Array(count + 1);
  for (let n = 0; n < count; n += 1) sums[n + 1] = sums[n] + power[n];
  return sums;
}

/** The K filter at any rate, from the analogue prototypes behind the table (De Man 2018). */
function kWeighting(rateHz) {
  let k = Math.tan((Math.PI * 1681.974450955533) / rateHz);
  let q = 0.7071752369554196;
  const high = 10 ** (3.999843853973347 / 20);
  const band = high ** 0.4996667741545416;
  let norm = 1 + k / q + k * k;
  const shelf = [
    (high + (band * k) / q + k * k) / norm,
    (2 * (k * k - high)) / norm,
    (high - (band * k) / q + k * k) / norm,
    (2 * (k * k - 1)) / norm,
    (1 - k / q + k * k) / norm,
  ];
  k = Math.tan((Math.PI * 38.13547087602444) / rateHz);
  q = 0.5003270373238773;
  norm = 1 + k / q + k * k;
  return [shelf, [1, -2, 1, (2 * (k * k - 1)) / norm, (1 - k / q + k * k) / norm]];
}

/**
 * A second-order section in place (transposed direct form II).
 * @param {Float64Array} samples @param {number[]} section
 */
function filter(samples, [b0, b1, b2, a1, a2]) {
  let first = 0;
  let second = 0;
  for (let n = 0; n < samples.length; n += 1) {
    const input = samples[n];
    const output = b0 * input + first;
    first = b1 * input - a1 * output + second;
    second = b2 * input - a2 * output;
    samples[n] = output;
  }
}
