// Means, standard deviations and histograms of activations of one image, (1, height, width, channels).

const BINS = 40;

/**
 * The mean and the standard deviation of some channels.
 *
 * @param {ArrayLike<number>} values
 * @param {number} channels How many there are.
 * @param {number} start The first one that counts.
 * @param {number} stop The last one + 1.
 */
export function meanAndDeviation(values, channels, start = 0, stop = channels) {
  let [sum, count] = [0, 0];
  for (let i = 0; i < values.length; i += channels) for (let c = start; c < stop; c++) sum += values[i + c];
  count = (values.length / channels) * (stop - start);
  const mean = sum / count;
  let squares = 0;
  for (let i = 0; i < values.length; i += channels) {
    for (let c = start; c < stop; c++) squares += (values[i + c] - mean) ** 2;
  }
  return { mean, std: Math.sqrt(squares / count) };
}

/** The smallest and the largest value. */
export function extent(values) {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

/** The share of values in each of some bins between two numbers. */
export function histogram(values, [low, high]) {
  const counts = new Array(BINS).fill(0);
  const width = (high - low) / BINS || 1;
  for (const value of values) counts[Math.min(BINS - 1, Math.max(0, Math.floor((value - low) / width)))] += 1;
  return counts.map((count) => count / values.length);
}

/** How far values are from others, relative to the others' size. */
export function movedBy(values, others) {
  let [moved, size] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    moved += (values[i] - others[i]) ** 2;
    size += others[i] ** 2;
  }
  return Math.sqrt(moved / (size || 1));
}
