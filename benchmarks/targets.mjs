// Run the graphs that benchmarks/targets.py wrote for onnxruntime-web, by its WebAssembly, and write their errors.
// usage: node targets.mjs FOLDER   (in a folder with onnxruntime-web: npm install onnxruntime-web)

import fs from 'node:fs';
import path from 'node:path';
import * as ort from 'onnxruntime-web';

const ARRAYS = {
  float32: Float32Array, float64: Float64Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array,
  uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array,
  bool: Uint8Array,
};
const folder = path.join(process.argv[2], 'onnxruntime-web');
const manifest = JSON.parse(fs.readFileSync(path.join(folder, 'manifest.json')));

function values({ type, data }) {
  if (type === 'string') return data;
  const bytes = Buffer.from(data, 'base64');
  return new ARRAYS[type](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

// The largest error relative to the root mean square; infinity for another shape or for NaN.
function errorOf(got, expected) {
  if (got.dims.join() !== expected.dims.join()) return Infinity;
  const truth = values(expected);
  if (expected.type === 'string') return truth.every((text, i) => text === got.data[i]) ? 0 : Infinity;
  let squares = 0;
  let largest = 0;
  for (let i = 0; i < truth.length; i += 1) {
    const value = Number(truth[i]);
    const error = Math.abs(Number(got.data[i]) - value);
    squares += value * value;
    if (!(error <= largest)) largest = error;
  }
  const error = largest / (Math.sqrt(squares / truth.length) || 1);
  return Number.isFinite(error) ? error : Infinity;
}

async function run(entry) {
  const options = { executionProviders: ['wasm'], logSeverityLevel: 4 };
  const session = await ort.InferenceSession.create(fs.readFileSync(path.join(folder, entry.file)), options);
  let largest = 0;
  for (const { inputs, outputs } of entry.examples) {
    const feeds = {};
    for (const [name, x] of Object.entries(inputs)) feeds[name] = new ort.Tensor(x.type, values(x), x.dims);
    const results = await session.run(feeds);
    for (const [name, x] of Object.entries(outputs)) largest = Math.max(largest, errorOf(results[name], x));
  }
  return { error: largest };
}

ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'fatal';
const models = {};
for (const [name, entry] of Object.entries(manifest)) {
  if (!entry.file) continue;
  try {
    models[name] = await run(entry);
  } catch (error) {
    models[name] = { failed: String(error.message ?? error).split('\n')[0].slice(0, 200) };
  }
  console.log(name, models[name]);
}
const version = ort.env.versions?.web ?? ort.env.versions?.common;
fs.writeFileSync(path.join(folder, 'results.json'), JSON.stringify({ version, models }, null, 1));
