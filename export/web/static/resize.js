// Resizing as Pillow does it, to the same bits, so that the page and export.infer give a model the same picture.
//
// A pixel of the result is a weighted mean of those around its centre. The weights fall linearly to 0 over the distance of
// one pixel of the smaller of the two pictures. Rows are resized first, then columns, each rounded to 0..255.

const SCALE = 2 ** 22; // of Pillow's weights, which are integers

/**
 * Resize an image.
 *
 * @param {Uint8Array} pixels Of shape (height, width, channels).
 * @param {number[]} from [height, width, channels]
 * @param {number[]} to [height, width]
 * @returns {Uint8Array} Of shape (to[0], to[1], channels).
 */
export function resize(pixels, from, to) {
  const [height, width, channels] = from;
  let result = pixels;
  if (to[1] !== width) result = resizeAxis(result, [height, width, channels], to[1]);
  if (to[0] !== height) result = resizeAxis(result, [1, height, to[1] * channels], to[0]);
  return result;
}

/** Resize the middle one of three axes. */
function resizeAxis(pixels, [outer, size, inner], wanted) {
  const result = new Uint8Array(outer * wanted * inner);
  const all = weights(size, wanted);
  for (let o = 0; o < outer; o++) {
    for (let position = 0; position < wanted; position++) {
      const { start, factors } = all[position];
      const source = (o * size + start) * inner;
      const target = (o * wanted + position) * inner;
      for (let i = 0; i < inner; i++) {
        let sum = SCALE / 2;
        for (let k = 0; k < factors.length; k++) sum += factors[k] * pixels[source + k * inner + i];
        result[target + i] = Math.min(255, Math.max(0, Math.floor(sum / SCALE)));
      }
    }
  }
  return result;
}

function weights(size, wanted) {
  const scale = size / wanted;
  const reach = Math.max(1, scale);
  return Array.from({ length: wanted }, (_, position) => {
    const centre = (position + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(size, Math.trunc(centre + reach + 0.5));
    const factors = [];
    let total = 0;
    for (let index = start; index < end; index++) {
      const factor = Math.max(0, 1 - Math.abs((index - centre + 0.5) / reach));
      factors.push(factor);
      total += factor;
    }
    return { start, factors: factors.map((factor) => Math.trunc(0.5 + (factor / total) * SCALE)) };
  });
}
