// The section 'Classes': a card for each model, with a bar for each class.

import { bytes, element } from "./dom.js";
import { areProbabilities } from "./model.js";

const ALL = 12; // up to so many classes, each has its own row; of more, those with the largest values are shown
const TOP = 5;
const SHORT = 4; // characters

export class Results {
  /**
   * @param {HTMLElement} parent
   * @param {object} record The model in page.json.
   */
  constructor(parent, record) {
    const count = record.classes.length;
    this.names = record.classes;
    this.showsAll = count <= ALL;
    this.rows = Array.from({ length: this.showsAll ? count : TOP }, () => {
      const [name, bar, value] = [element("th", { scope: "row" }), element("span"), element("td")];
      const track = element("td", { className: "track", ariaHidden: "true" }, element("div", {}, bar));
      return { name, bar, value, row: element("tr", {}, name, track, value) };
    });
    this.answer = element("p", { className: "answer" });
    this.time = element("span");
    const facts = element("p", { className: "facts" }, this.time, bytes(record.file.size));
    const table = element("table", { ariaLabel: `Classes of ${record.name}` }, ...this.rows.map(({ row }) => row));
    const title = element("h3", {}, record.name);
    const card = element("article", { className: "card" }, title, this.answer, table, facts);
    const longest = Math.max(...this.names.map((name) => name.length));
    if (longest <= SHORT) card.style.setProperty("--names", `${longest + 1}ch`);
    else parent.classList.remove("short"); // cards with short names fit beside each other on a phone
    parent.append(card);
    this.clear();
  }

  /** Show no classes. */
  clear() {
    this.answer.replaceChildren(element("span", { className: "class" }, "–"));
    for (const [index, row] of this.rows.entries()) this.fill(row, this.showsAll ? this.names[index] : "–", 0, "");
    this.time.textContent = "";
  }

  /**
   * Show the value of each class.
   *
   * @param {number[]} values Probabilities or scores.
   * @param {number} milliseconds The time of a run.
   * @returns {string} The class, in words.
   */
  show(values, milliseconds) {
    const order = values.map((_, index) => index).sort((a, b) => values[b] - values[a] || a - b);
    const best = order[0];
    const written = scale(values);
    this.rows.forEach((row, position) => {
      const index = this.showsAll ? position : order[position];
      this.fill(row, this.names[index], written.length(values[index]), written.text(values[index]));
      row.row.classList.toggle("best", index === best);
    });
    const value = element("span", { className: "value" }, written.text(values[best]));
    this.answer.replaceChildren(element("span", { className: "class" }, this.names[best]), " ", value);
    this.time.textContent = `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms a run`;
    return `${this.names[best]}, ${written.text(values[best])}`;
  }

  fill({ name, bar, value }, label, length, text) {
    name.textContent = label;
    name.title = label;
    bar.style.transform = `scaleX(${length})`;
    value.textContent = text;
  }
}

/** How values are written and how long their bars are: probabilities as percentages, scores between their extremes. */
function scale(values) {
  if (areProbabilities(values)) {
    return { text: (value) => `${(100 * value).toFixed(1)} %`, length: (value) => Math.min(1, value) };
  }
  const finite = values.filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const length = (value) => (high > low && Number.isFinite(value) ? (value - low) / (high - low) : 0);
  return { text: (value) => value.toFixed(2), length };
}
