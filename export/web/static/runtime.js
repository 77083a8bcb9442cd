// onnxruntime-web, from files whose hashes are right.

import { readFile } from "./files.js";

const loaded = new Map();

/**
 * Load a build of onnxruntime-web, once.
 *
 * Its module, its loader and its code are fetched with their hashes and handed over as blobs, because the runtime itself
 * would fetch the last two without.
 *
 * @param {object} record `runtime` of page.json.
 * @param {string} build "wasm" or "webgpu".
 */
export function loadRuntime(record, build) {
  if (!loaded.has(build)) loaded.set(build, load(record.builds[build]));
  return loaded.get(build);
}

/** The builds that this browser can run. */
export async function availableBuilds(record) {
  const builds = ["wasm"];
  if (record.builds.webgpu && (await navigator.gpu?.requestAdapter().catch(() => null))) builds.push("webgpu");
  return builds;
}

async function load(files) {
  if (typeof WebAssembly !== "object") {
    throw new Error("This browser has no WebAssembly. Use a current Firefox, Chrome, Edge or Safari.");
  }
  const [module, loader, binary] = await Promise.all(
    [files.module, files.loader, files.binary].map((file) => readFile(file)),
  );
  const ort = await import(moduleAddress(module));
  ort.env.logLevel = "fatal"; // what fails is an exception, too
  ort.env.wasm.numThreads = 1; // more need headers that simple web servers don't send
  ort.env.wasm.wasmBinary = binary;
  ort.env.wasm.wasmPaths = { mjs: moduleAddress(loader) };
  return ort;
}

function moduleAddress(content) {
  return URL.createObjectURL(new Blob([content], { type: "text/javascript" }));
}
