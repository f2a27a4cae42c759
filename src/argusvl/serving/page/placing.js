// Where labels stand: the rules of argusvl/visual/drawing.py, so that a page and a drawn file look the same.

const common = (a, b) =>
  Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
const within = (value, most) => Math.min(Math.max(value, 0), Math.max(most, 0));

/**
 * Finds a place for each text at its box, in the picture, with as little overlap as can be.
 *
 * @param texts what is written
 * @param boxes `[x1, y1, x2, y2]` of each, in the units of the picture
 * @param picture `{width, height}`
 * @param letters `{size, measure}`: height of the letters, and the width of a text, in the same units
 * @returns `{plates, crowding, cover}`: a rectangle for each; share of them that overlaps others; share of the picture under them
 */
export const place = (texts, boxes, { width, height }, { size, measure }) => {
  const pad = size * 0.28, tall = size * 1.42;
  const plates = [];
  let overlap = 0;
  texts.forEach((text, i) => {
    const wide = Math.min(measure(text) + 2 * pad, width);
    const [x0, y0, x1, y1] = boxes[i];
    let best = [0, 0, wide, tall], least = Infinity;
    [
      [x0, y0 - tall], [x1 - wide, y0 - tall], [x0, y1], [x1 - wide, y1], [x1, y0], [x0 - wide, y0],
      [x0, y0], [x1 - wide, y0], [x0, y1 - tall], [x1 - wide, y1 - tall],
    ].forEach(([left, top], order) => {
      const x = within(left, width - wide), y = within(top, height - tall);
      const plate = [x, y, x + wide, y + tall];
      const cost = plates.reduce((sum, other) => sum + common(plate, other), 0.01 * order);
      if (cost < least) [best, least] = [plate, cost];
    });
    overlap += Math.max(0, least - 0.1);
    plates.push(best);
  });
  const area = plates.reduce((sum, p) => sum + (p[2] - p[0]) * (p[3] - p[1]), 0);
  return { plates, crowding: area ? overlap / area : 0, cover: area / (width * height) };
};

/** Texts at the boxes where there is room for them, numbers (of the list beside the picture) elsewhere. */
export const label = (texts, boxes, picture, letters) => {
  const inline = place(texts, boxes, picture, letters);
  if (inline.crowding < 0.02 && inline.cover < 0.1) return { texts, plates: inline.plates, numbered: false };
  const numbers = texts.map((_, i) => String(i + 1));
  return { texts: numbers, plates: place(numbers, boxes, picture, letters).plates, numbered: true };
};
