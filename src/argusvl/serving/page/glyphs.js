// Chinese, Japanese and Korean glyphs for a reader whose system has none: the server makes a font of just those that are shown.

import { bytesOf } from "./api.js";

/** Stands before the system's fonts in `page.css` and on canvases; it only has glyphs that the system lacks. */
export const FAMILY = "Argus glyphs";
const AT_ONCE = 512; // characters in a request: the server takes no more

// A sparse and a dense letter of each script: who lacks the script draws about the same box for both.
const SCRIPTS = [
  { has: /\p{Script=Hangul}/u, sparse: "으", dense: "뷁" },
  { has: /[\p{Script=Hiragana}\p{Script=Katakana}]/u, sparse: "へ", dense: "ぼ" },
  { has: /[\u2e80-\u{10ffff}]/u, sparse: "一", dense: "鬱" },
];
const LETTERS = /[\u2e80-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\u{20000}-\u{3ffff}]/gu; // no emoji among them

const ink = (letter) => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 40, height: 40 });
  const pen = canvas.getContext("2d");
  pen.font = "32px system-ui, sans-serif";
  pen.fillText(letter, 2, 34);
  return pen.getImageData(0, 0, 40, 40).data.reduce((sum, value, i) => (i % 4 === 3 ? sum + value : sum), 0);
};

const lacking = new Map();
const isLacking = (letter) => {
  const script = SCRIPTS.find(({ has }) => has.test(letter));
  if (!lacking.has(script)) lacking.set(script, ink(script.dense) <= 1.5 * ink(script.sparse));
  return lacking.get(script);
};

const asked = new Set();

/** Brings the glyphs of texts that the system lacks. Returns whether letters look otherwise now. */
export const bringGlyphs = async (texts) => {
  const letters = [...new Set(texts.join("").match(LETTERS))].filter((letter) => !asked.has(letter) && isLacking(letter));
  let isNew = false;
  for (let start = 0; start < letters.length; start += AT_ONCE) {
    const some = letters.slice(start, start + AT_ONCE);
    for (const letter of some) asked.add(letter);
    try {
      const font = await bytesOf(`/glyphs.woff?${new URLSearchParams({ text: some.join("") })}`);
      if (!font.byteLength) continue; // the server has none either
      const unicodeRange = some.map((letter) => `U+${letter.codePointAt(0).toString(16)}`).join(",");
      // From bytes: an address in a style could not carry the token.
      document.fonts.add(await new FontFace(FAMILY, font, { unicodeRange }).load());
      isNew = true;
    } catch {
      for (const letter of some) asked.delete(letter); // boxes are shown until the next picture asks again
    }
  }
  return isNew;
};
