// Colours of labels, the same as `argus predict --draw` gives them (argusvl/visual/drawing.py).

// BLAKE2s (RFC 7693), without a key: the first words of its state, and the order of the message's words in each round.
const START = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
const ROUNDS = [
  "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
  "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
].map((row) => [...row].map((digit) => parseInt(digit, 16)));
const MIXED = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15], [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];
const BLOCK = 64;
const SIZE = 4; // bytes of the digest

const turned = (word, by) => (word >>> by) | (word << (32 - by));

/** The first four bytes of BLAKE2s with a digest of four bytes. */
const digest = (bytes) => {
  const state = Int32Array.from(START);
  state[0] ^= 0x01010000 ^ SIZE;
  const blocks = Math.max(1, Math.ceil(bytes.length / BLOCK));
  const padded = new Uint8Array(blocks * BLOCK);
  padded.set(bytes);
  const words = new DataView(padded.buffer);
  for (let block = 0; block < blocks; block++) {
    const last = block === blocks - 1;
    const v = Int32Array.from([...state, ...START]);
    v[12] ^= last ? bytes.length : (block + 1) * BLOCK;
    if (last) v[14] = ~v[14];
    const message = Array.from({ length: 16 }, (_, i) => words.getInt32(block * BLOCK + 4 * i, true));
    for (const order of ROUNDS) {
      MIXED.forEach(([a, b, c, d], i) => {
        v[a] += v[b] + message[order[2 * i]];
        v[d] = turned(v[d] ^ v[a], 16);
        v[c] += v[d];
        v[b] = turned(v[b] ^ v[c], 12);
        v[a] += v[b] + message[order[2 * i + 1]];
        v[d] = turned(v[d] ^ v[a], 8);
        v[c] += v[d];
        v[b] = turned(v[b] ^ v[c], 7);
      });
    }
    for (let i = 0; i < 8; i++) state[i] ^= v[i] ^ v[i + 8];
  }
  return [0, 8, 16, 24].map((by) => (state[0] >>> by) & 255);
};

const part = (low, high, hue) => {
  const turn = ((hue % 1) + 1) % 1;
  if (turn < 1 / 6) return low + (high - low) * turn * 6;
  if (turn < 1 / 2) return high;
  if (turn < 2 / 3) return low + (high - low) * (2 / 3 - turn) * 6;
  return low;
};

const known = new Map();

/** `[red, green, blue]` of a label: always the same, bright enough to be seen on a photograph. */
export const colourOf = (label) => {
  if (!known.has(label)) {
    const bytes = digest(new TextEncoder().encode(label));
    const hue = (256 * bytes[0] + bytes[1]) / 65536;
    const lightness = [0.5, 0.58, 0.66][bytes[2] % 3];
    const high = lightness <= 0.5 ? lightness * 1.85 : lightness + 0.85 - lightness * 0.85;
    const low = 2 * lightness - high;
    known.set(label, [1 / 3, 0, -1 / 3].map((shift) => Math.round(255 * part(low, high, hue + shift))));
  }
  return known.get(label);
};

export const css = ([red, green, blue]) => `rgb(${red}, ${green}, ${blue})`;

/** Black or white, whichever can be read on the colour. */
export const inkOn = ([red, green, blue]) => (0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#000" : "#fff");

// Thumb to little finger (argusvl/manipulation/report/drawing.py).
const FINGERS = [[230, 80, 60], [240, 170, 40], [70, 180, 90], [60, 140, 230], [170, 90, 210]];

/** Of a joint, and of the bone that leads to it; the wrist is grey. */
export const fingerColour = (joint) => (joint === 0 ? [120, 120, 120] : FINGERS[Math.floor((joint - 1) / 4)]);
