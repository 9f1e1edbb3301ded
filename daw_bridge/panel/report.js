// The report of the take that is shown: seams as traffic lights with words, facts, and the loss.

import { drawLosses } from "./curve.js";
import { button, byId, clock, fill, h } from "./dom.js";
import { chooseLoop } from "./listen.js";
import { factsOf, marksOf } from "./marks.js";
import { on } from "./state.js";

const VERDICTS = { good: "cannot be heard", fair: "may be heard", poor: "can be heard" };

/** Show the report of whatever take is shown. */
export function startReport() {
  on("shown", show);
}

function show(take) {
  const report = take?.report;
  if (!report) {
    fill(byId("lights"));
    fill(byId("facts"));
    return;
  }
  const { seams } = marksOf(take);
  fill(
    byId("lights"),
    h("h2", {}, "Report"),
    h(
      "div",
      { class: "lights" },
      ...seams.map(seamCard),
      h("ul", { class: "facts" }, ...factsOf(report).map((fact) => light(fact.light, fact.words))),
    ),
  );
  showFacts(take, report);
}

function seamCard(seam, n) {
  const where = seam.wraps ? "End to start" : `Seam at ${clock(seam.atS)}`;
  const level = `${seam.level_step_db >= 0 ? "+" : "−"}${Math.abs(seam.level_step_db).toFixed(1)} dB`;
  return h(
    "article",
    { class: "seam-card", "aria-label": where },
    h(
      "header",
      {},
      h(
        "span",
        { class: "light", "data-light": seam.light },
        h("b", {}, `${where} ${VERDICTS[seam.light]}`),
      ),
      h("span", { class: "spring" }),
      button("Loop it", () => chooseLoop(`seam-${n}`), {
        class: "small",
        "aria-label": `Loop across: ${where}`,
      }),
    ),
    h(
      "ul",
      {},
      ...seam.figures.map((figure) =>
        light(figure.light, figure.words, `${figure.name} ${figure.value.toFixed(2)}`),
      ),
      light("", "level across it", level),
    ),
  );
}

/** A light, or none, with words; a ratio is 1 where the seam is as rough as the roughest beside it. */
function light(name, words, figure = "") {
  const said = name && `${name}: `;
  return h(
    "li",
    { class: "light", "data-light": name },
    h("span", { class: "unseen" }, said),
    words,
    figure && h("span", { class: "figure" }, figure),
  );
}

function showFacts(take, report) {
  const resolved = take.recipe?.resolved ?? {};
  const fact = (name, value) =>
    value !== undefined &&
    value !== null &&
    value !== "" &&
    h("span", {}, `${name} `, h("b", { class: "figure" }, value));
  const curve =
    report.loss_curve?.length > 1 &&
    h("canvas", { role: "img", "aria-label": "Loss of each step of the refinement" });
  fill(
    byId("facts"),
    h(
      "div",
      { class: "facts-line" },
      fact("seed", report.seed),
      fact("variation", resolved.variation ?? report.variation),
      fact("steps", resolved.steps),
      fact("refine", resolved.refine),
      fact("method", resolved.method),
      fact("device", report.device),
      fact("model", report.model?.name),
      fact("took", report.timings_s?.total && `${report.timings_s.total.toFixed(1)} s`),
      fact(
        "true peak",
        report.true_peak_dbfs !== undefined && `${report.true_peak_dbfs.toFixed(1)} dBFS`,
      ),
    ),
    curve,
  );
  if (curve) new ResizeObserver(() => drawLosses(curve, report.loss_curve)).observe(curve);
}
