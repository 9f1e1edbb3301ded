// What is drawn on canvases has the colours of the style sheet, which stand here once more as
// canvases cannot read it cheaply; frame.css has the same values.

export const COLOURS = {
  ground: "#0d0f12",
  grid: "#2a303a",
  bar: "#3d4654",
  text: "#a9b2bf",
  kept: "#5aa9e6", // audio of the musician
  made: "#f2994a", // audio that was made
  seam: "#ffffff",
  playhead: "#fff3b0",
  loop: "#8bd17c",
  a: "#4fd1b5",
  b: "#e58bd0",
  good: "#6fcf7f",
  fair: "#f2c94c",
  poor: "#ff7b72",
};

// From silence to loud, in equal steps of lightness: dark violet, red, orange, pale yellow.
const HEAT = [
  [10, 10, 18],
  [31, 17, 62],
  [78, 22, 97],
  [130, 38, 99],
  [181, 54, 84],
  [224, 84, 58],
  [245, 130, 42],
  [251, 184, 72],
  [250, 236, 170],
];

/** Red, green and blue of a share between 0 and 1. @param {number} share */
export function heat(share) {
  const place = Math.min(0.9999, Math.max(0, share)) * (HEAT.length - 1);
  const low = Math.floor(place);
  return HEAT[low].map((value, n) => value + (HEAT[low + 1][n] - value) * (place - low));
}
