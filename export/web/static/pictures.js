// Pictures, and what a model gets of them: the same pixels as export.infer gives it.

import { resize } from "./resize.js";

const LARGEST = 2 ** 26; // pixels
const LIGHT = 128; // grey levels: of paper, its unevenness, and how much darker ink is
const EVEN = 48;
const INK = 80;
const NOISE = 24; // grey levels, of a background that is not black
const LARGEST_DYNAMIC = 1024; // pixels of height or width, where the model takes any
const DIGIT = 20 / 28; // how much of MNIST's images their digits fill

/**
 * A picture: RGBA, 0..255, of shape (height, width, 4).
 *
 * @typedef {{width: number, height: number, data: Uint8ClampedArray}} Picture
 */

/**
 * Read a picture from a file. The browser turns it upright by its EXIF orientation.
 *
 * @param {Blob} file
 * @returns {Promise<Picture>}
 */
export async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new Error("This file can't be read as a picture. Try a PNG or a JPEG.");
  }
  const { width, height } = bitmap;
  if (width * height > LARGEST) {
    throw new Error(`This picture has ${width} x ${height} pixels, which is too large. Make it smaller.`);
  }
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

/**
 * The pixels that a model gets.
 *
 * @param {Picture} picture
 * @param {object} input `input` of a model in page.json.
 * @param {{centre: boolean, invert: boolean}} options Make the ink white on black, of the size and at the place that
 *     MNIST's digits have; replace each pixel by 255 minus the pixel.
 * @returns {{height: number, width: number, channels: number, pixels: Uint8Array}}
 */
export function prepare(picture, input, { centre = false, invert = false } = {}) {
  const { channels } = input;
  let { height, width } = picture;
  let pixels = channels === 1 ? grey(picture, invert) : rgb(picture, invert);
  if (invert) pixels = pixels.map((value) => 255 - value);
  const wanted = [input.height ?? Math.min(height, LARGEST_DYNAMIC), input.width ?? Math.min(width, LARGEST_DYNAMIC)];
  if (centre && channels === 1) {
    const square = centred(onBlack(pixels, height, width), height, width);
    if (square) {
      pixels = square.pixels;
      height = width = square.size;
    }
  }
  pixels = resize(pixels, [height, width, channels], wanted);
  return { height: wanted[0], width: wanted[1], channels, pixels };
}

/**
 * Whether a picture looks like dark ink on light paper, by export.infer's rule: its border is light and even, and some of
 * the pixels are much darker.
 *
 * @param {Picture} picture
 */
export function looksLikeInkOnPaper(picture) {
  const { width, height } = picture;
  if (Math.min(width, height) < 3) return false;
  const pixels = grey(picture);
  const border = borderOf(pixels, height, width);
  const paper = median(border);
  const even = border.filter((value) => Math.abs(value - paper) <= EVEN).length / border.length;
  const ink = pixels.filter((value) => value < paper - INK).length / pixels.length;
  return paper >= LIGHT && even >= 0.9 && ink >= 0.01 && ink <= 0.5;
}

/** The pixels at the edges of a grey image. */
function borderOf(pixels, height, width) {
  const border = [];
  for (let x = 0; x < width; x++) border.push(pixels[x], pixels[(height - 1) * width + x]);
  for (let y = 1; y < height - 1; y++) border.push(pixels[y * width], pixels[y * width + width - 1]);
  return border;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** Grey levels by the weights of ITU-R 601-2 in integers, as Pillow has them. Behind transparent pixels is black or white. */
function grey(picture, onWhite = false) {
  const colours = rgb(picture, onWhite);
  const result = new Uint8Array(picture.width * picture.height);
  for (let i = 0; i < result.length; i++) {
    const sum = colours[3 * i] * 19595 + colours[3 * i + 1] * 38470 + colours[3 * i + 2] * 7471;
    result[i] = (sum + 0x8000) >> 16;
  }
  return result;
}

function rgb({ width, height, data }, onWhite = false) {
  const background = onWhite ? 255 : 0;
  const result = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    const alpha = data[4 * i + 3] / 255;
    for (let c = 0; c < 3; c++) result[3 * i + c] = Math.round(data[4 * i + c] * alpha + background * (1 - alpha));
  }
  return result;
}

/** The image with a black background, which may be uneven, and white as its lightest pixel. */
function onBlack(pixels, height, width) {
  const background = median(borderOf(pixels, height, width));
  const black = background + (background && NOISE);
  const white = pixels.reduce((largest, value) => Math.max(largest, value), 0);
  if (white <= black) return pixels;
  return pixels.map((value) => Math.max(0, Math.round((255 * (value - black)) / (white - black))));
}

/**
 * A square with the ink in it: its centre of mass in the middle, and its longer side as long as MNIST's digits are.
 *
 * @returns {{size: number, pixels: Uint8Array} | null} null if there is no ink.
 */
function centred(pixels, height, width) {
  let [top, bottom, left, right, mass, sumX, sumY] = [height, -1, width, -1, 0, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = pixels[y * width + x];
      mass += value;
      sumX += value * x;
      sumY += value * y;
      if (value >= LIGHT) {
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
        [left, right] = [Math.min(left, x), Math.max(right, x)];
      }
    }
  }
  if (bottom < 0) return null;
  const size = Math.max(1, Math.round(Math.max(bottom - top + 1, right - left + 1) / DIGIT));
  const [x0, y0] = [Math.round(sumX / mass - (size - 1) / 2), Math.round(sumY / mass - (size - 1) / 2)];
  const result = new Uint8Array(size * size);
  for (let y = Math.max(0, -y0); y < Math.min(size, height - y0); y++) {
    for (let x = Math.max(0, -x0); x < Math.min(size, width - x0); x++) {
      result[y * size + x] = pixels[(y + y0) * width + x + x0];
    }
  }
  return { size, pixels: result };
}
