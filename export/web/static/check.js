// The check: runs the inputs that a model's file carries, and compares the outputs with the true ones.

import { readFile } from "./files.js";
import { firstLine, Model } from "./model.js";
import { compare } from "./rule.js";
import { availableBuilds, loadRuntime } from "./runtime.js";

const ARRAYS = {
  bool: Uint8Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
  float32: Float32Array,
  float64: Float64Array,
};

/**
 * Check models, each with every build that this browser has.
 *
 * @param {object} page page.json.
 * @param {(message: string) => void} report Called with what is done at the moment.
 * @returns {Promise<object>} The result, as it is copied.
 */
export async function check(page, report) {
  const results = [];
  for (const build of await availableBuilds(page.runtime)) {
    report(`Loading the runtime for ${build} ...`);
    const ort = await loadRuntime(page.runtime, build);
    for (const record of page.models.filter((model) => model.check)) {
      report(`Checking ${record.name} on ${build} ...`);
      await new Promise((resolve) => setTimeout(resolve)); // let the browser show it
      results.push(await checkModel(record, ort, build));
    }
  }
  return {
    passed: results.length > 0 && results.every((result) => result.passed),
    runtime: `onnxruntime-web ${page.runtime.version}`,
    browser: navigator.userAgent,
    results,
  };
}

async function checkModel(record, ort, provider) {
  const { oracle, file, sets } = record.check;
  const result = { model: record.name, integrity: record.file.integrity, provider, oracle };
  try {
    const model = await Model.open(record, await readFile(record.file), ort, provider);
    const content = await readFile(file);
    const differences = [];
    for (const set of sets) differences.push(...(await checkSet(model, set, content)));
    await model.session.release();
    return { ...result, passed: differences.every(({ within }) => within), differences };
  } catch (error) {
    return { ...result, passed: false, error: firstLine(error), differences: [] };
  }
}

async function checkSet({ session, ort }, set, content) {
  const feeds = {};
  for (const input of set.inputs) {
    feeds[input.name] = new ort.Tensor(input.dtype, arrayOf(input, content), input.shape);
  }
  const outputs = await session.run(feeds);
  return set.outputs.map((truth) => {
    const got = outputs[truth.name];
    if (String(got.dims) !== String(truth.shape)) {
      throw new Error(`output '${truth.name}': expected shape (${truth.shape}), got (${got.dims})`);
    }
    return compare(truth.name, set.kind, numbers(got), arrayOf(truth, content), truth.shape, truth.allowance);
  });
}

/** An array of the check. */
function arrayOf({ dtype, shape, offset, values }, content) {
  if (values) return values;
  const size = shape.reduce((product, length) => product * length, 1);
  return new ARRAYS[dtype](content, offset, size);
}

/** The values of an output; a browser without Float16Array has the bits of a float16. */
function numbers({ type, data }) {
  return type === "float16" && data instanceof Uint16Array ? Array.from(data, fromFloat16) : data;
}

function fromFloat16(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}
