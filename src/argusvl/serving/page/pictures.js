// Pictures that the reader brings: taken in, looked at once, refused before they travel where the server would refuse them.

import { counted } from "./dom.js";

const MIB = 1 << 20;
let number = 0;

const mebibytes = (bytes) => (bytes < MIB / 10 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / MIB).toFixed(1)} MiB`);
const megapixels = (pixels) => `${(pixels / 1e6).toFixed(pixels < 1e7 ? 2 : 0)} megapixels`;

/** What the server takes, in words. */
export const limitsInWords = ({ bytes, pixels }) => `Up to ${mebibytes(bytes)} and ${megapixels(pixels)} each.`;

/** Files of a drop or of the clipboard; texts and folders are none. */
export const filesOf = (transfer) => [...((transfer && transfer.files) || [])];

// Width and height as the browser shows it, upright; `null` where it cannot.
const look = (source) => new Promise((done) => {
  const image = new Image();
  image.onload = () => done({ width: image.naturalWidth, height: image.naturalHeight });
  image.onerror = () => done(null);
  image.src = source;
});

/**
 * A picture, ready to be asked about.
 *
 * @param limits `{bytes, pixels}` of the server
 * @returns `{id, file, name, source, size, refusal, answers, boxes}`; `size` is `null` where the browser cannot show it, `refusal`
 *   says in a sentence why it is not sent
 */
export const takeIn = async (file, limits) => {
  number += 1;
  const name = file.name && file.name !== "image.png" ? file.name : `picture ${number}`;
  const source = URL.createObjectURL(file);
  const picture = { id: number, file, name, source, size: null, refusal: null, answers: new Map(), side: "", box: null };
  if (file.size === 0) picture.refusal = "The file is empty.";
  else if (file.type && !file.type.startsWith("image/")) picture.refusal = `The file is no picture (${file.type}).`;
  else if (file.size > limits.bytes) {
    picture.refusal = `It has ${mebibytes(file.size)}; this server takes ${mebibytes(limits.bytes)} at most. Save it smaller.`;
  } else {
    picture.size = await look(source);
    const pixels = picture.size ? picture.size.width * picture.size.height : 0;
    if (pixels > limits.pixels) {
      const { width, height } = picture.size;
      picture.refusal = `It has ${width}×${height} = ${megapixels(pixels)}; this server takes ${megapixels(limits.pixels)} at most.`;
    }
  }
  return picture;
};

/** Frees what a picture holds. */
export const letGo = (picture) => URL.revokeObjectURL(picture.source);

/** "3 pictures", for the live region. */
export const pictureCount = (pictures) => counted(pictures.length, "picture");
