// A model: what it takes and returns, and how it is run.

const SUM_TOLERANCE = 1e-3; // of probabilities; as in export.classifier
const RECENT = 15; // runs, of which the median time is shown
const ARRAYS = { float32: Float32Array, float64: Float64Array, uint8: Uint8Array };

export class Model {
  /**
   * @param {object} record The model in page.json.
   * @param {object} ort onnxruntime-web.
   * @param {object} session Its session for the model.
   */
  constructor(record, ort, session) {
    this.record = record;
    this.ort = ort;
    this.session = session;
    this.times = [];
  }

  /** Open a model's file. */
  static async open(record, content, ort, build) {
    const options = { executionProviders: [build], logSeverityLevel: 4 };
    try {
      return new Model(record, ort, await ort.InferenceSession.create(new Uint8Array(content), options));
    } catch (error) {
      throw new Error(`${record.name} can't be run in this browser: ${firstLine(error)}`);
    }
  }

  /** The median time of the last runs, in milliseconds. */
  get milliseconds() {
    return this.times.toSorted((a, b) => a - b)[this.times.length >> 1];
  }

  /**
   * Compute the outputs for one image.
   *
   * @param {{height: number, width: number, channels: number, pixels: ArrayLike<number>}} image Pixels 0..255.
   * @returns {Promise<Record<string, {dims: readonly number[], data: ArrayLike<number>}>>} The outputs by name.
   */
  async run(image) {
    const { input } = this.record;
    const values = inputValues(image, input);
    const { height, width, channels } = image;
    const shape = input.layout === "nchw" ? [channels, height, width] : [height, width, channels];
    const tensor = new this.ort.Tensor(input.dtype, values, [input.batch ?? 1, ...shape]);
    const start = performance.now();
    const outputs = await this.session.run({ [input.name]: tensor });
    this.times = [performance.now() - start, ...this.times].slice(0, RECENT);
    return outputs;
  }

  /** Compute the value of each class: probabilities, or scores such as logits. */
  async classify(image) {
    const output = (await this.run(image))[this.record.output];
    return Array.from(output.data.slice(0, output.dims.at(-1)));
  }
}

/**
 * What the input has for an image: in its range, of its dtype, in its layout, once for each row of a fixed batch.
 */
export function inputValues({ height, width, channels, pixels }, input) {
  const { low, high, dtype, layout } = input;
  const takesPixels = dtype === "uint8" || (low === 0 && high === 255);
  const size = height * width * channels;
  const result = new ARRAYS[dtype](size * (input.batch ?? 1));
  const factor = Math.fround((high - low) / 255);
  for (let i = 0; i < size; i++) {
    const index = layout === "nchw" ? (i % channels) * height * width + Math.floor(i / channels) : i;
    const value = takesPixels ? pixels[i] : Math.fround(low + Math.fround(pixels[i] * factor));
    result[index] = dtype === "uint8" ? Math.min(255, Math.max(0, Math.round(value))) : value;
  }
  for (let row = 1; row < (input.batch ?? 1); row++) result.copyWithin(row * size, 0, size);
  return result;
}

/** Whether values of classes are probabilities: within 0..1, with a sum of 1. */
export function areProbabilities(values) {
  const sum = values.reduce((total, value) => total + value, 0);
  return values.every((value) => value >= 0 && value <= 1 + SUM_TOLERANCE) && Math.abs(sum - 1) <= SUM_TOLERANCE;
}

/** The first line of what a library says. */
export function firstLine(error) {
  return String(error?.message ?? error)
    .split("\n")[0]
    .slice(0, 300);
}
