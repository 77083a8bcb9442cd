// The drawing area: by mouse, finger, pen and keyboard.

const WIDTH = 0.08; // of the pen, relative to the canvas
const STEP = 0.02; // of the keyboard's pen, likewise
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Drawing {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{ink: string, paper: string}} colours
   * @param {HTMLElement} cursor Shows where the pen of the keyboard is.
   * @param {() => void} changed Called after each change by the user.
   */
  constructor(canvas, { ink, paper }, cursor, changed) {
    this.canvas = canvas;
    this.cursor = cursor;
    this.ink = ink;
    this.paper = paper;
    this.changed = changed;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.clear();
    this.listen();
  }

  /** Begin anew. */
  clear() {
    this.fill(this.paper);
    this.isDrawing = true; // rather than showing a picture
    this.isEmpty = true;
    this.lift();
  }

  /** What is drawn. */
  get picture() {
    return this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
  }

  /** Show a picture in place of the drawing, as large as it fits. */
  async show(picture) {
    const bitmap = await createImageBitmap(new ImageData(picture.data, picture.width, picture.height));
    const { width, height } = this.canvas;
    const scale = Math.min(width / picture.width, height / picture.height);
    const size = [picture.width * scale, picture.height * scale];
    this.fill("black");
    this.context.imageSmoothingEnabled = scale < 1;
    this.context.drawImage(bitmap, (width - size[0]) / 2, (height - size[1]) / 2, ...size);
    this.isDrawing = this.isEmpty = false;
    this.lift();
  }

  /** Put the pen of the keyboard back into the middle. */
  lift() {
    this.pen = { at: [this.canvas.width / 2, this.canvas.height / 2], down: false };
    this.cursor.hidden = true;
  }

  fill(colour) {
    this.context.fillStyle = colour;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  /** Draw a line, or a dot where both ends are the same. */
  stroke(from, to, pressure = 1) {
    if (!this.isDrawing) this.clear(); // what is drawn replaces a picture
    const { context } = this;
    context.lineCap = "round";
    context.lineWidth = WIDTH * this.canvas.width * pressure;
    context.strokeStyle = this.ink;
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    this.isEmpty = false;
    this.changed();
  }

  listen() {
    const { canvas } = this;
    let last = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      canvas.setPointerCapture(event.pointerId);
      last = this.position(event);
      this.stroke(last, last, pressure(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last || !event.isPrimary) return;
      const all = event.getCoalescedEvents?.() ?? [];
      for (const one of all.length ? all : [event]) {
        const next = this.position(one);
        this.stroke(last, next, pressure(one));
        last = next;
      }
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => {
        last = null;
      });
    }
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  position(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return [(x / box.width) * this.canvas.width, (y / box.height) * this.canvas.height];
  }

  /** Move the pen by the arrow keys; Space puts it down and lifts it, Delete clears. */
  key(event) {
    const { width, height } = this.canvas;
    if (event.key === "Delete" || event.key === "Backspace") {
      this.clear();
      this.changed();
    } else if (event.key === " ") {
      this.move(this.pen.at, !this.pen.down);
    } else if (event.key in ARROWS) {
      const [dx, dy] = ARROWS[event.key];
      const step = STEP * width * (event.shiftKey ? 3 : 1);
      const [x, y] = this.pen.at;
      const next = [Math.min(width, Math.max(0, x + dx * step)), Math.min(height, Math.max(0, y + dy * step))];
      this.move(next, this.pen.down);
    } else {
      return;
    }
    event.preventDefault();
  }

  move(to, down) {
    const from = this.pen.at;
    if (down) this.stroke(from, to);
    this.pen = { at: to, down };
    this.cursor.hidden = false;
    this.cursor.classList.toggle("down", down);
    this.cursor.style.left = `${(100 * to[0]) / this.canvas.width}%`;
    this.cursor.style.top = `${(100 * to[1]) / this.canvas.height}%`;
  }
}

/** A pen that is pressed draws wider; a mouse and most fingers have no pressure. */
function pressure(event) {
  return event.pointerType === "pen" && event.pressure ? 0.5 + event.pressure : 1;
}
