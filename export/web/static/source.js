// Where the picture comes from: the drawing, a file, or a sample. Each kind has its own options.

import { byId, element } from "./dom.js";
import { Drawing } from "./drawing.js";
import { readFile } from "./files.js";
import { decode, looksLikeInkOnPaper, prepare } from "./pictures.js";

export class Source {
  /**
   * @param {object} page page.json.
   * @param {(message: string) => void} say Tells the user.
   * @param {() => void} changed Called when there is another picture.
   */
  constructor(page, say, changed) {
    const { smallAndGrey, channels } = page.models[0].input;
    this.say = say;
    this.changed = changed;
    this.smallAndGrey = smallAndGrey;
    this.kind = "drawing";
    // A drawing has any size and place; models of digits were trained on centred ones.
    this.options = { drawing: { centre: smallAndGrey }, file: {}, sample: {} };
    const colours = channels === 1 ? { ink: "white", paper: "black" } : { ink: "black", paper: "white" };
    this.drawing = new Drawing(byId("drawing"), colours, byId("pen"), () => this.drawn());
    this.listen();
    this.showOptions();
  }

  /** Whether there is no picture. */
  get isEmpty() {
    return this.kind === "drawing" && this.drawing.isEmpty;
  }

  /** The pixels that a model gets. */
  pixels(input) {
    const picture = this.kind === "drawing" ? this.drawing.picture : this.picture;
    return prepare(picture, input, this.options[this.kind]);
  }

  /** Offer the samples. */
  async showSamples(samples) {
    for (const { label, file } of samples) {
      const blob = new Blob([await readFile(file)], { type: "image/png" });
      const image = element("img", { src: URL.createObjectURL(blob), alt: "" });
      const button = element("button", { type: "button", className: "sample", title: label, ariaLabel: label }, image);
      button.addEventListener("click", () => this.take(blob, "sample"));
      byId("sample-list").append(button);
    }
    byId("samples").hidden = !samples.length;
  }

  drawn() {
    this.kind = "drawing";
    this.say("");
    this.showOptions();
    this.changed();
  }

  /** Take a picture from a file. */
  async take(blob, kind) {
    try {
      const picture = await decode(blob);
      await this.drawing.show(picture);
      this.picture = picture;
    } catch (error) {
      this.say(error.message, true);
      return;
    }
    this.kind = kind;
    const isInk = kind === "file" && this.smallAndGrey && looksLikeInkOnPaper(this.picture);
    if (kind === "file") this.options.file = { centre: isInk, invert: isInk };
    this.say(isInk ? "This looks like dark ink on light paper, so it is inverted, centred and scaled." : "");
    this.showOptions();
    this.changed();
  }

  listen() {
    byId("clear").addEventListener("click", () => {
      this.drawing.clear();
      this.drawn();
    });
    const file = byId("file");
    file.addEventListener("change", () => {
      if (file.files.length) this.take(file.files[0], "file");
      file.value = ""; // the same file can be chosen again
    });
    addEventListener("paste", (event) => this.takeFirst(event.clipboardData));
    addEventListener("dragover", (event) => {
      event.preventDefault();
      document.body.classList.add("dragging");
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.body.classList.remove("dragging");
    });
    addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dragging");
      this.takeFirst(event.dataTransfer);
    });
    for (const name of ["centre", "invert"]) {
      byId(name).addEventListener("change", (event) => {
        this.options[this.kind][name] = event.target.checked;
        this.changed();
      });
    }
  }

  takeFirst(transfer) {
    if (transfer.files.length) this.take(transfer.files[0], "file");
    else this.say("Expected a picture, got something else. Drop or paste an image file.", true);
  }

  /** A sample is taken as it is. */
  showOptions() {
    for (const name of ["centre", "invert"]) {
      byId(name).checked = Boolean(this.options[this.kind][name]);
      byId(name).disabled = this.kind === "sample";
    }
    byId("centre").closest("label").hidden = !this.smallAndGrey;
  }
}
