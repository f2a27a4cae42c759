// Boxes over the picture: on the page as SVG, so that each can be pointed at, and in a file on a canvas.

import { colourOf, css, inkOn } from "./colours.js";
import { shape } from "./dom.js";
import { FAMILY } from "./glyphs.js";
import { drawSkeleton, skeleton } from "./hands.js";
import { label } from "./placing.js";

const INK = "rgb(24, 26, 30)", PAPER = "rgb(250, 250, 248)", FAINT = "rgb(110, 114, 120)";
const LEGIBLE_SIDE_PX = 1080, MOST_PIXELS = 16e6; // what telephones can hold on a canvas
const LETTERS_PX = 13; // on the page
const FONT = `"${FAMILY}", system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif`;

const ruler = document.createElement("canvas").getContext("2d");
const measuring = (size) => {
  return (text) => { ruler.font = `${size}px ${FONT}`; return ruler.measureText(text).width; };
};

const area = ([x1, y1, x2, y2]) => Math.max(0, x2 - x1) * Math.max(0, y2 - y1);

const fit = ([x1, y1, x2, y2], { width, height }) => [
  Math.min(Math.max(x1, 0), width), Math.min(Math.max(y1, 0), height), Math.min(Math.max(x2, 0), width), Math.min(Math.max(y2, 0), height),
];

/** "red blood cell 0.91". */
const tagOf = (object) => (object.score === undefined ? object.description : `${object.description} ${object.score.toFixed(2)}`);

/** What a screen reader says of an object. */
const wordsOf = (object) => (object.score === undefined ? object.description : `${object.description}, score ${object.score.toFixed(2)}`);

/**
 * Draws objects over the picture.
 *
 * @param overlay an SVG element, as large as the picture is shown
 * @param objects `{index, box_xyxy_px, description, label, score}`, those that are shown
 * @param hands whose bones are drawn
 * @param size `{width, height}` of the picture
 * @param shown width at which the picture is shown, CSS pixels
 * @returns whether numbers stand at the boxes in place of texts
 */
export const drawOverlay = (overlay, objects, hands, size, shown) => {
  overlay.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  const unit = size.width / Math.max(shown, 1); // of the picture's pixels in one of the screen
  const letters = { size: LETTERS_PX * unit, measure: (text) => measuring(LETTERS_PX)(text) * unit };
  const boxes = objects.map((object) => fit(object.box_xyxy_px, size));
  const { texts, plates, numbered } = label(objects.map(tagOf), boxes, size, letters);
  const parts = objects.map((object, i) => {
    const [x, y, right, bottom] = boxes[i], [left, top, end, foot] = plates[i];
    const place = { x, y, width: right - x, height: bottom - y };
    const colour = colourOf(object.label);
    const group = shape("g", { class: "object", "data-object": object.index, tabindex: -1, role: "img", "aria-label": wordsOf(object), stroke: css(colour), fill: css(colour) });
    group.append(
      shape("rect", { class: "rim", ...place }), shape("rect", { class: "box", ...place }),
      shape("rect", { class: "plate", x: left, y: top, width: end - left, height: foot - top, "stroke-width": unit }),
      shape("text", { x: (left + end) / 2, y: (top + foot) / 2, "font-size": letters.size, fill: inkOn(colour) }, texts[i]));
    return { group, area: area(boxes[i]) };
  });
  // Large boxes first, so that small ones inside them can be reached.
  overlay.replaceChildren(...parts.sort((a, b) => b.area - a.area).map(({ group }) => group), ...hands.map((hand) => skeleton(hand.joints_px, size)));
  return numbered;
};

const listing = (objects, letters, height) => {
  const step = letters.size * 1.75, margin = letters.size * 0.8;
  const rows = Math.max(1, Math.floor((height - 2 * margin) / step));
  const badge = letters.measure("000") + letters.size * 0.5;
  const columns = [];
  for (let start = 0; start < objects.length; start += rows) columns.push(objects.slice(start, start + rows));
  const widths = columns.map((column) => {
    const widest = (texts) => Math.max(...texts.map(letters.measure));
    const tails = column.map((object) => (object.score === undefined ? "" : object.score.toFixed(2)));
    return badge + widest(column.map((object) => object.description)) + widest(tails) + letters.size * 2.6;
  });
  return { columns, widths, step, margin, badge, rows, width: widths.reduce((a, b) => a + b, margin) };
};

const drawListing = (pen, { columns, widths, step, margin, badge, rows, width }, letters, left, height) => {
  pen.fillStyle = PAPER;
  pen.fillRect(left, 0, width, height);
  let x = left + margin;
  columns.forEach((column, number) => {
    column.forEach((object, row) => {
      const y = margin + row * step, colour = colourOf(object.label);
      pen.fillStyle = css(colour);
      pen.fillRect(x, y + 2, badge, step - 5);
      pen.fillStyle = inkOn(colour);
      pen.textAlign = "center";
      pen.fillText(String(number * rows + row + 1), x + badge / 2, y + step / 2);
      pen.textAlign = "left";
      pen.fillStyle = INK;
      pen.fillText(object.description, x + badge + letters.size * 0.5, y + step / 2);
      if (object.score === undefined) return;
      pen.textAlign = "right";
      pen.fillStyle = FAINT;
      pen.fillText(object.score.toFixed(2), x + widths[number] - letters.size, y + step / 2);
    });
    x += widths[number];
  });
};

/**
 * The picture with what is shown, as a PNG.
 *
 * @param image an `<img>` that is loaded
 * @returns a promise of a Blob
 */
export const drawnPicture = (image, objects, hands) => {
  const whole = { width: image.naturalWidth, height: image.naturalHeight };
  const enlarged = Math.min(4, Math.max(1, LEGIBLE_SIDE_PX / Math.max(whole.width, whole.height)));
  const factor = Math.min(enlarged, Math.sqrt(MOST_PIXELS / (whole.width * whole.height)));
  const size = { width: Math.round(whole.width * factor), height: Math.round(whole.height * factor) };
  const height = Math.max(15, Math.round(Math.max(size.width, size.height) / 62));
  const letters = { size: height, measure: measuring(height) };
  const boxes = objects.map((object) => fit(object.box_xyxy_px.map((value) => value * factor), size));
  const { texts, plates, numbered } = label(objects.map(tagOf), boxes, size, letters);
  const list = numbered ? listing(objects, letters, size.height) : null;
  const canvas = document.createElement("canvas");
  canvas.width = size.width + (list ? Math.ceil(list.width) : 0);
  canvas.height = size.height;
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, size.width, size.height);
  pen.font = `${letters.size}px ${FONT}`;
  pen.textBaseline = "middle";
  const line = Math.max(2, Math.round(height / 8));
  const order = objects.map((_, i) => i).sort((a, b) => area(boxes[b]) - area(boxes[a]));
  for (const i of order) {
    const [x, y, right, bottom] = boxes[i];
    for (const [colour, width] of [[INK, line + 2], [css(colourOf(objects[i].label)), line]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.strokeRect(x, y, right - x, bottom - y);
    }
  }
  for (const i of order) {
    const [x, y, right, bottom] = plates[i], colour = colourOf(objects[i].label);
    pen.fillStyle = css(colour);
    pen.strokeStyle = INK;
    pen.lineWidth = 1;
    pen.fillRect(x, y, right - x, bottom - y);
    pen.strokeRect(x, y, right - x, bottom - y);
    pen.fillStyle = inkOn(colour);
    pen.textAlign = "center";
    pen.fillText(texts[i], (x + right) / 2, (y + bottom) / 2);
  }
  for (const hand of hands) drawSkeleton(pen, hand.joints_px.map((joint) => joint.map((value) => value * factor)), size);
  if (list) drawListing(pen, list, letters, size.width, size.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
};
