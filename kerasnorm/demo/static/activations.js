// The section 'Activations': what the normalization of a block gets and returns, for each model.

import { ActivationCard } from "./activation_card.js";
import { byId, element } from "./dom.js";
import { readFile } from "./files.js";
import { page } from "./main.js";
import { Model } from "./model.js";
import { movedBy } from "./statistics.js";

if (page) await start(page);

async function start({ record, ort, source, update, onPicture }) {
  const { models, pixelMean } = record["activations.js"];
  const parts = [];
  for (const [index, described] of models.entries()) {
    const card = new ActivationCard(byId("activation-cards"), described);
    // The graph takes what the classifier takes.
    const graph = { name: described.name, file: described.file, input: record.models[index].input };
    parts.push({ card, described, model: await Model.open(graph, await readFile(described.file), ort, "wasm") });
  }
  const adjustment = listen(source, pixelMean, update);
  const count = Math.min(...models.map(({ blocks }) => blocks.length));
  for (let block = 0; block < count; block++)
    byId("block").append(element("option", { value: block }, `of block ${block + 1}`));
  byId("block").addEventListener("change", update);
  onPicture.push(async () => {
    const block = Number(byId("block").value);
    for (const { card, described, model } of parts) {
      const { before, after } = described.blocks[block];
      const outputs = await model.run(source.pixels(model.record.input));
      let moved = null;
      if (adjustment.isOn)
        moved = movedBy(outputs[after].data, (await model.run(source.pixels(model.record.input, false)))[after].data);
      card.show(described.blocks[block], outputs[before], outputs[after], moved);
    }
  });
  update();
}

/** Make the sliders change the pixels that the models get. */
function listen(source, pixelMean, update) {
  const [contrast, brightness] = [byId("contrast"), byId("brightness")];
  const adjustment = { isOn: false };
  const changed = () => {
    const [factor, added] = [contrast.valueAsNumber, brightness.valueAsNumber];
    adjustment.isOn = factor !== 1 || added !== 0;
    byId("contrast-value").textContent = `${factor.toFixed(2)}×`;
    byId("brightness-value").textContent = added > 0 ? `+${added}` : String(added).replace("-", "−");
    const adjust = (value, index) => {
      const mean = pixelMean[index % pixelMean.length];
      return mean + factor * (value - mean) + added;
    };
    source.adjust = (pixels) => (adjustment.isOn ? Float32Array.from(pixels, adjust) : pixels);
    update();
  };
  for (const slider of [contrast, brightness]) slider.addEventListener("input", changed);
  byId("reset").addEventListener("click", () => {
    [contrast.value, brightness.value] = ["1", "0"];
    changed();
  });
  changed();
  return adjustment;
}
