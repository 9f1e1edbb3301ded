// Which seconds of the result a request makes anew, as far as the page can tell.

const USUAL_S = 8;

/**
 * What a lane lies on: seconds count from the result's start.
 * @typedef {{lengthS: number, fromS: number, toS: number, clipUnknown: boolean}} Span
 *   `fromS` to `toS` is new, and `clipUnknown` that a clip comes first whose length is not known
 */

/**
 * @param {{task: string, side: string, askedS: number, givenS: number | null}} request `askedS` of
 *   new audio, 0 where nothing is said; `givenS` of the clip, or of the take that is made again
 * @returns {Span}
 */
export function spanOf({ task, side, askedS, givenS }) {
  if (task === "extend") {
    const keptS = givenS ?? 0;
    const newS = askedS || USUAL_S;
    const fromS = side === "start" ? 0 : keptS;
    const clipUnknown = side !== "start" && givenS === null;
    return { lengthS: keptS + newS, fromS, toS: fromS + newS, clipUnknown };
  }
  const lengthS = (task === "rerender" && givenS) || askedS || givenS || USUAL_S;
  return { lengthS, fromS: 0, toS: lengthS, clipUnknown: false };
}

/**
 * Seconds of so many bars; of 4/4 and 120 bpm where nothing is said.
 * @param {string} bars @param {string} bpm @param {string} metre such as 7/8
 */
export function barsS(bars, bpm, metre) {
  const [beats, unit] = metre.split("/").map(Number);
  const barBeats = beats > 0 && unit > 0 ? (4 * beats) / unit : 4;
  return (Number(bars) * barBeats * 60) / (Number(bpm) || 120);
}
