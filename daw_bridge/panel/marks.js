// What a take's report says, as marks on its axis of time and as words.

const FAIR = 1; // as rough as the roughest of the music around
// What docs/extensions.md allows the worst of many seams.
const POOR = { step_ratio: 1.2, flux_ratio: 1.4, timbre_ratio: 1.6 };
const SEAM_WORDS = {
  step_ratio: ["no click", "a small step in the wave", "a click may be heard"],
  flux_ratio: ["no cut", "an accent at the join", "a cut may be heard"],
  timbre_ratio: ["one colour", "the colour shifts a little", "the colour changes"],
};

/**
 * @typedef {"good" | "fair" | "poor"} Light
 * @typedef {{atS: number, wraps: boolean, light: Light, figures: {name: string, value: number,
 *   light: Light, words: string}[], level_step_db: number}} Seam
 * @typedef {{made: [number, number] | null, seams: Seam[], bars: {atS: number, number: number}[],
 *   bpm: number | null, beatS: number | null, source: boolean}} Marks
 */

/** The marks of a take whose report is known. @param {any} take @returns {Marks} */
export function marksOf(take) {
  const report = take.report ?? {};
  const rate = take.sample_rate_hz;
  const made = report.new_samples ? report.new_samples.map((at) => at / rate) : null;
  const grid = report.grid;
  return {
    made,
    source:
      report.source_samples_identical !== null && report.source_samples_identical !== undefined,
    seams: (report.seams ?? []).map((seam) => seamOf(seam, rate)),
    bars: trusted(report) ? barsOf(grid, take.length_samples / rate) : [],
    bpm: grid?.bpm ?? null,
    beatS: grid?.bpm ? 60 / grid.bpm : null,
  };
}

/** Bars are drawn where the tempo was given or clearly heard. */
function trusted(report) {
  return (
    Boolean(report.grid) &&
    (report.grid.given || Boolean(report.grid.bar_lines_s) || report.length_beats !== null)
  );
}

function seamOf(seam, rate) {
  const figures = Object.keys(SEAM_WORDS).map((name) => {
    const value = seam[name];
    const light = lightOf(value, POOR[name]);
    return {
      name: name.replace("_ratio", ""),
      value,
      light,
      words: SEAM_WORDS[name][["good", "fair", "poor"].indexOf(light)],
    };
  });
  return {
    atS: seam.at_sample / rate,
    wraps: seam.at_sample === 0,
    light: worst(figures.map((figure) => figure.light)),
    figures,
    level_step_db: seam.level_step_db,
  };
}

/** @returns {Light} */
function lightOf(value, poor) {
  return value <= FAIR ? "good" : value <= poor ? "fair" : "poor";
}

/** The worst of several lights. @param {Light[]} lights @returns {Light} */
export function worst(lights) {
  return lights.includes("poor") ? "poor" : lights.includes("fair") ? "fair" : "good";
}

function barsOf(grid, lengthS) {
  if (grid.bar_lines_s) return grid.bar_lines_s.map((atS, n) => ({ atS, number: n + 1 }));
  const [beats, unit] = String(grid.metre).split("/").map(Number);
  const barS = ((60 / grid.bpm) * 4 * beats) / unit;
  if (!(barS > 0)) return [];
  const bars = [];
  for (let n = 0; grid.first_beat_s + n * barS < lengthS - 0.002; n += 1) {
    bars.push({ atS: grid.first_beat_s + n * barS, number: n + 1 });
  }
  return bars;
}

/**
 * The report in words: a light and a sentence for each thing that was measured.
 * @param {any} report
 * @returns {{light: Light, words: string}[]}
 */
export function factsOf(report) {
  const facts = [];
  const say = (light, words) => facts.push({ light, words });
  if (report.source_samples_identical === true)
    say("good", "your audio is kept, sample for sample");
  if (report.source_samples_identical === false) say("poor", "samples of your audio were changed");
  const error = report.length_error_samples;
  if (error === 0) say("good", "its length is exact to the sample");
  else if (error) say("poor", `its length is off by ${error} samples`);
  if (report.headroom_db > 0)
    say("fair", `turned down by ${report.headroom_db.toFixed(1)} dB to stay under full scale`);
  const peak = report.true_peak_dbfs;
  if (peak > 0) say("fair", `its true peak is ${peak.toFixed(1)} dB over full scale`);
  const grid = report.grid ?? {};
  if (grid.tempo_error_percent !== undefined && grid.tempo_error_percent !== null) {
    const off = Math.abs(grid.tempo_error_percent);
    say(
      off < 0.5 ? "good" : off < 2 ? "fair" : "poor",
      `its tempo is ${off.toFixed(2)} % off the grid`,
    );
  }
  if (grid.confidence < 0.5 && !grid.given)
    say("fair", `the tempo, ${grid.bpm.toFixed(1)}, is a guess: give bpm if you know it`);
  if (report.melody_accuracy !== undefined && report.melody_accuracy !== null) {
    const share = report.melody_accuracy;
    say(
      share > 0.7 ? "good" : share > 0.4 ? "fair" : "poor",
      `${Math.round(100 * share)} % of the melody is heard in it`,
    );
  }
  if (report.unknown_words?.length)
    say("fair", `words that the model does not know: ${report.unknown_words.join(", ")}`);
  if (report.unused_wishes?.includes("context"))
    say("fair", "the model does not hear the clip beside: only what it starts from goes by it");
  return facts;
}
