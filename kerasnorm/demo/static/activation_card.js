// The activations of one model: a small image for each channel, histograms, and a table of statistics.

import { element } from "./dom.js";
import { extent, histogram, meanAndDeviation } from "./statistics.js";

const COLUMNS = 8; // of the small images
const UNMOVED = 0.005; // what epsilon explains
const GAP = 1; // pixels between them
const COLOURS = { negative: [64, 160, 255], positive: [255, 160, 48] }; // blue and orange, which all people tell apart

export class ActivationCard {
  /**
   * @param {HTMLElement} parent
   * @param {{name: string, title: string, description: string}} described The model in page.json.
   */
  constructor(parent, { name, title, description }) {
    this.moved = element("p", { className: "moved" });
    this.before = new Side("Before", title);
    this.after = new Side("After", title);
    this.table = element("table", { ariaLabel: `Statistics of ${name}` });
    const details = element("details", { open: true }, element("summary", {}, "Mean ± standard deviation"), this.table);
    const head = element("h3", {}, `${name}: ${title}`);
    const card = element(
      "article",
      { className: "activation-card" },
      head,
      element("p", { className: "help" }, description),
    );
    card.append(this.moved, this.before.element, this.after.element, details);
    parent.append(card);
  }

  /**
   * Show the activations of an image.
   *
   * @param {object} block The block in page.json.
   * @param {{dims: readonly number[], data: Float32Array}} before
   * @param {{dims: readonly number[], data: Float32Array}} after
   * @param {number | null} moved How far the sliders move what is after the normalization, relative to its size.
   */
  show({ sets, running }, before, after, moved) {
    this.moved.textContent =
      moved === null ? "Move a slider to see what it changes." : `The sliders change it by ${percent(moved)}.`;
    this.moved.classList.toggle("none", moved !== null && moved < UNMOVED);
    this.moved.classList.toggle("some", moved !== null && moved >= UNMOVED);
    this.before.show(before);
    this.after.show(after);
    const channels = before.dims[3];
    const head = ["", "before", ...(running ? ["running"] : []), "after"];
    const rows = [
      ["image", 0, channels],
      ...sets.filter(([a, b]) => b - a < channels).map(([a, b]) => [label(a, b), a, b]),
    ].map(([name, start, stop]) => {
      const [b, a] = [before, after].map(({ data }) => written(meanAndDeviation(data, channels, start, stop)));
      const moving =
        running && stop - start === 1 ? written({ mean: running.mean[start], std: running.std[start] }) : "";
      const cells = running ? [b, moving, a] : [b, a];
      return element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", {}, cell)));
    });
    const first = element("tr", {}, ...head.map((cell) => element("th", { scope: "col" }, cell)));
    this.table.replaceChildren(element("thead", {}, first), element("tbody", {}, ...rows));
  }
}

/** One side of a normalization: its small images and its histogram. */
class Side {
  constructor(name, title) {
    this.maps = element("canvas", {
      className: "maps",
      role: "img",
      ariaLabel: `Activations ${name.toLowerCase()} ${title}`,
    });
    this.numbers = element("span", { className: "numbers" });
    this.bars = [];
    this.histogram = element("div", { className: "histogram", ariaHidden: "true" });
    this.low = element("span");
    this.high = element("span");
    const axis = element("div", { className: "axis", ariaHidden: "true" }, this.low, this.high);
    const head = element("p", { className: "side" }, element("strong", {}, name), this.numbers);
    this.element = element("div", {}, head, this.maps, this.histogram, axis);
  }

  show({ dims, data }) {
    const range = extent(data);
    this.numbers.textContent = written(meanAndDeviation(data, dims[3]));
    this.draw(dims, data, Math.max(-range[0], range[1]) || 1);
    const shares = histogram(data, range);
    while (this.bars.length < shares.length) {
      this.bars.push(element("span"));
      this.histogram.append(this.bars.at(-1));
    }
    // The root of a share, so that a ReLU's zeros don't hide the rest.
    const tallest = Math.sqrt(Math.max(...shares));
    for (const [index, share] of shares.entries())
      this.bars[index].style.transform = `scaleY(${Math.sqrt(share) / tallest})`;
    [this.low.textContent, this.high.textContent] = range.map((value) => value.toFixed(1).replace("-", "−"));
  }

  /** Black is 0, orange is positive, blue is negative. */
  draw([, height, width, channels], data, largest) {
    const rows = Math.ceil(channels / COLUMNS);
    const [w, h] = [COLUMNS * (width + GAP) - GAP, rows * (height + GAP) - GAP];
    if (this.maps.width !== w || this.maps.height !== h) Object.assign(this.maps, { width: w, height: h });
    const image = new ImageData(w, h);
    for (let c = 0; c < channels; c++) {
      const [left, top] = [(c % COLUMNS) * (width + GAP), Math.floor(c / COLUMNS) * (height + GAP)];
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const value = data[(y * width + x) * channels + c] / largest;
          const colour = value < 0 ? COLOURS.negative : COLOURS.positive;
          const at = 4 * ((top + y) * w + left + x);
          for (let i = 0; i < 3; i++) image.data[at + i] = colour[i] * Math.abs(value) ** 0.6;
          image.data[at + 3] = 255;
        }
      }
    }
    this.maps.getContext("2d").putImageData(image, 0, 0);
  }
}

function label(start, stop) {
  return stop - start === 1 ? `channel ${start + 1}` : `channels ${start + 1}–${stop}`;
}

function written({ mean, std }) {
  return `${mean.toFixed(2).replace("-", "−")} ± ${std.toFixed(2)}`;
}

function percent(share) {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}
