// Writes WAV files of 32-bit floats, which hold takes of 16 and 24 bits and of such floats to the
// bit. Samples of 32-bit integers and doubles come rounded.

const HEAD_BYTES = 58;

/**
 * A WAV file: format 3 (IEEE float), with the `fact` chunk that this format asks for.
 * @param {Float32Array[]} channels @param {number} rateHz
 * @returns {Blob}
 */
export function wavOf(channels, rateHz) {
  const count = channels[0].length;
  const frameBytes = 4 * channels.length;
  const view = new DataView(new ArrayBuffer(HEAD_BYTES + count * frameBytes));
  const text = (at, letters) =>
    [...letters].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEAD_BYTES - 8 + count * frameBytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 18, true);
  view.setUint16(20, 3, true);
  view.setUint16(22, channels.length, true);
  view.setUint32(24, rateHz, true);
  view.setUint32(28, rateHz * frameBytes, true);
  view.setUint16(32, frameBytes, true);
  view.setUint16(34, 32, true);
  view.setUint16(36, 0, true);
  text(38, "fact");
  view.setUint32(42, 4, true);
  view.setUint32(46, count, true);
  text(50, "data");
  view.setUint32(54, count * frameBytes, true);
  channels.forEach((samples, channel) => {
    for (let n = 0; n < count; n += 1)
      view.setFloat32(HEAD_BYTES + frameBytes * n + 4 * channel, samples[n], true);
  });
  return new Blob([view.buffer], { type: "audio/wav" });
}
