// The page: reads what it consists of, opens the models, and runs them on each new picture.

import { showCheck } from "./check_view.js";
import { byId } from "./dom.js";
import { readFile, readJson } from "./files.js";
import { firstLine, Model } from "./model.js";
import { Results } from "./results.js";
import { loadRuntime } from "./runtime.js";
import { Source } from "./source.js";

const QUIET = 700; // milliseconds without a change before a screen reader is told the classes

/**
 * The page for other modules: page.json, the runtime, the source of the picture, and `onPicture`, to which functions are
 * added that are called for each new picture; or null if the page could not start.
 */
export const page = await start().catch((error) => {
  say(firstLine(error), true);
  return null;
});

async function start() {
  byId("stuck").remove();
  say("Loading the models ...");
  const record = await readJson({ name: "page.json" });
  const onPicture = [];
  const update = once(async () => {
    for (const show of onPicture) await show(source);
  });
  const source = new Source(record, say, update);
  const results = record.models.map((model) => new Results(byId("models"), model));
  showPreview(source, record.models[0].input);
  await source.showSamples(record.samples);
  document.body.classList.add("shown");

  const ort = await loadRuntime(record.runtime, "wasm");
  const models = [];
  for (const model of record.models) models.push(await Model.open(model, await readFile(model.file), ort, "wasm"));
  for (const model of models) await model.classify(source.pixels(model.record.input)); // the first run is slow
  byId("runtime").textContent = `It runs onnxruntime-web ${record.runtime.version}.`;
  onPicture.push((current) => showClasses(current, models, results));
  showCheck(record);
  byId("page").setAttribute("aria-busy", "false");
  say("");
  update();
  return { record, ort, source, update, onPicture };
}

/** Run the models one after the other, and show their classes. */
async function showClasses(source, models, results) {
  showPreview(source, models[0].record.input);
  const answers = [];
  for (const [index, model] of models.entries()) {
    if (source.isEmpty) {
      results[index].clear();
      continue;
    }
    const values = await model.classify(source.pixels(model.record.input));
    answers.push(`${model.record.name}: ${results[index].show(values, model.milliseconds)}`);
  }
  announce(answers.join("; "));
}

/** Show what the first model gets. */
function showPreview(source, input) {
  const { height, width, channels, pixels } = source.pixels(input);
  const canvas = byId("preview");
  Object.assign(canvas, { height, width });
  const image = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[i * channels + (channels === 1 ? 0 : c)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Tell the user something. */
function say(message, isError = false) {
  const status = byId("status");
  status.textContent = message;
  status.classList.toggle("error", isError);
}

let waiting;

function announce(answers) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    byId("answers").textContent = answers;
  }, QUIET);
}

/** A function that is called at most once for each frame, and again if it was called while it ran. */
function once(work) {
  let [isRunning, isWanted] = [false, false];
  return async () => {
    isWanted = true;
    if (isRunning) return;
    isRunning = true;
    while (isWanted) {
      await new Promise(requestAnimationFrame);
      isWanted = false;
      try {
        await work();
      } catch (error) {
        say(firstLine(error), true);
      }
    }
    isRunning = false;
  };
}
