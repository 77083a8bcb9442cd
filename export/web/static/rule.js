// The rule of export.verify: how far an output is from its true values. tests/export/web compares the two.

/**
 * Compare an output with its true values.
 *
 * @param {string} output Its name.
 * @param {string} data What the inputs are.
 * @param {ArrayLike<number | bigint | string | boolean>} got
 * @param {ArrayLike<number | bigint | string | boolean>} truth
 * @param {readonly number[]} shape Of both.
 * @param {readonly [number, number]} allowance a and b: a value may be off by a + b |true value|.
 * @returns {object} As `Verified` of export.verify.
 */
export function compare(output, data, got, truth, shape, [absolute, relative]) {
  const rows = shape[0];
  if (typeof truth[0] === "string") {
    const wrong = Array.from(truth).some((value, index) => value !== got[index]);
    return verdict({ output, data, rows, size: 0, max_abs: Number(wrong), allowance: 0, within: !wrong });
  }
  let [squares, largest, nan, within] = [0, 0, 0, true];
  for (let i = 0; i < truth.length; i++) {
    const [g, t] = [Number(got[i]), Number(truth[i])];
    const size = Number.isFinite(t) ? Math.abs(t) : 0;
    squares += size * size;
    if (Number.isFinite(g) && Number.isFinite(t)) {
      const error = Math.abs(g - t);
      largest = Math.max(largest, error);
      within &&= error <= absolute + relative * size;
    } else if (!(g === t || (Number.isNaN(g) && Number.isNaN(t)))) {
      nan += 1;
    }
  }
  return verdict({
    output,
    data,
    rows,
    size: truth.length ? Math.sqrt(squares / truth.length) : 0,
    max_abs: largest,
    allowance: absolute,
    argmax_agreement: agreement(got, truth, shape),
    nan,
    within: within && nan === 0,
  });
}

/** All of `Verified`, in its order. */
function verdict({ output, data, rows, size, max_abs, allowance, argmax_agreement = null, nan = 0, within }) {
  return { output, data, rows, size, max_abs, allowance, argmax_agreement, nan, within };
}

/** The share of rows whose largest value is in the same position; null where there is but one. */
function agreement(got, truth, shape) {
  const width = shape.at(-1);
  if (shape.length < 2 || width < 2 || !truth.length) return null;
  let same = 0;
  for (let start = 0; start < truth.length; start += width) {
    if (argmax(got, start, width) === argmax(truth, start, width)) same += 1;
  }
  return (same * width) / truth.length;
}

/** The position of the first largest value; of the first NaN, if there is one, as in NumPy. */
function argmax(values, start, width) {
  let best = 0;
  for (let i = 0; i < width; i++) {
    const value = Number(values[start + i]);
    if (Number.isNaN(value)) return i;
    if (value > Number(values[start + best])) best = i;
  }
  return best;
}
