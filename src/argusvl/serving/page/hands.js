// Hands: their bones over the picture, and the same hand in space, which can be turned.

import { css, fingerColour } from "./colours.js";
import { shape } from "./dom.js";

export const JOINTS = [
  "wrist", ...["cmc", "mcp", "ip", "tip"].map((part) => `thumb ${part}`),
  ...["index", "middle", "ring", "little"].flatMap((finger) => ["mcp", "pip", "dip", "tip"].map((part) => `${finger} ${part}`)),
];
export const FINGERS = ["thumb", "index", "middle", "ring", "little"];

// The joint that each hangs on, from the wrist outwards.
const parentOf = (joint) => (joint % 4 === 1 ? 0 : joint - 1);
const BONES = JOINTS.map((_, joint) => [parentOf(joint), joint]).slice(1);
const RIM = "#141414";

/** A bone's width as it suits the hand, in the picture's pixels. */
export const boneWidth = (joints, { width, height }) => {
  const reach = [0, 1].map((axis) => {
    const values = joints.map((joint) => joint[axis]);
    return Math.max(...values) - Math.min(...values);
  });
  return Math.min(Math.max(Math.max(...reach) / 60, 1), Math.max(width, height) / 100 + 1);
};

/** The bones and joints of a hand as SVG, in the picture's pixels. */
export const skeleton = (joints, size) => {
  const width = boneWidth(joints, size);
  const group = shape("g", { class: "skeleton", "stroke-linecap": "round" });
  for (const under of [true, false]) { // a dark edge below, for bright pictures
    for (const [from, to] of BONES) {
      const [[x1, y1], [x2, y2]] = [joints[from], joints[to]];
      group.append(shape("line", {
        x1, y1, x2, y2, stroke: under ? RIM : css(fingerColour(to)), "stroke-width": width + (under ? Math.max(1.2, width * 0.5) : 0),
      }));
    }
  }
  joints.forEach(([cx, cy], joint) => group.append(
    shape("circle", { cx, cy, r: width * 1.3, fill: css(fingerColour(joint)), stroke: RIM, "stroke-width": width * 0.25 }, shape("title", {}, JOINTS[joint]))));
  return group;
};

/** The same on a canvas. */
export const drawSkeleton = (pen, joints, size) => {
  const width = boneWidth(joints, size);
  pen.lineCap = "round";
  for (const under of [true, false]) {
    for (const [from, to] of BONES) {
      pen.strokeStyle = under ? RIM : css(fingerColour(to));
      pen.lineWidth = width + (under ? Math.max(1.2, width * 0.5) : 0);
      pen.beginPath();
      pen.moveTo(...joints[from]);
      pen.lineTo(...joints[to]);
      pen.stroke();
    }
  }
  joints.forEach(([x, y], joint) => {
    pen.beginPath();
    pen.arc(x, y, width * 1.3, 0, 2 * Math.PI);
    pen.fillStyle = css(fingerColour(joint));
    pen.strokeStyle = RIM;
    pen.lineWidth = width * 0.25;
    pen.fill();
    pen.stroke();
  });
};

// Angles about the upright axis and about the one that goes right. The camera looks along z, its y goes down.
const VIEWS = { front: [0, 0], side: [-Math.PI / 2, 0], above: [0, Math.PI / 2] };
const STEP = Math.PI / 24;
const STEPS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
const DISTANCE = 4; // of the eye, in radii of the hand: near enough to tell front from back
const START = [-0.5, 0.25];

/** A hand in space on a canvas: dragging and arrow keys turn it. */
export class Space {
  constructor(canvas, buttons) {
    this.canvas = canvas;
    this.joints = null;
    this.angles = [...START];
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.running = 0;
    canvas.addEventListener("pointerdown", (event) => this.grasp(event));
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { this.held = null; });
    canvas.addEventListener("keydown", (event) => this.press(event));
    for (const button of buttons) button.addEventListener("click", () => this.turnTo(VIEWS[button.dataset.view]));
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Shows a hand. `joints`: 21 points in millimetres. */
  show(joints) {
    const range = [0, 1, 2].map((axis) => {
      const values = joints.map((joint) => joint[axis]);
      return [Math.min(...values), Math.max(...values)];
    });
    const middle = range.map(([low, high]) => (low + high) / 2);
    this.joints = joints.map((joint) => joint.map((value, axis) => value - middle[axis]));
    this.radius = Math.max(1, ...this.joints.map((joint) => Math.hypot(...joint)));
    this.draw();
  }

  grasp(event) {
    cancelAnimationFrame(this.running);
    this.held = [event.clientX, event.clientY];
    this.canvas.setPointerCapture(event.pointerId);
  }

  drag(event) {
    if (!this.held) return;
    this.turn((event.clientX - this.held[0]) / 120, (event.clientY - this.held[1]) / 120);
    this.held = [event.clientX, event.clientY];
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Home") this.turnTo(START);
    else if (STEPS[event.key]) this.turn(...STEPS[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  turn(about, over) {
    this.angles = [this.angles[0] + about, Math.max(-Math.PI / 2, Math.min(Math.PI / 2, this.angles[1] + over))];
    this.draw();
  }

  turnTo(wanted) {
    cancelAnimationFrame(this.running);
    const from = [...this.angles], begun = performance.now(), lasts = this.still.matches ? 0 : 350;
    const frame = (now) => {
      const share = lasts ? Math.min(1, (now - begun) / lasts) : 1, eased = 1 - (1 - share) ** 3;
      this.angles = wanted.map((angle, i) => from[i] + eased * (angle - from[i]));
      this.draw();
      if (share < 1) this.running = requestAnimationFrame(frame);
    };
    this.running = requestAnimationFrame(frame);
  }

  /** `[x, y, depth, scale]` of a point on a canvas of so many pixels. */
  project([x, y, z], side) {
    const [about, over] = this.angles;
    const right = x * Math.cos(about) - z * Math.sin(about), away = x * Math.sin(about) + z * Math.cos(about);
    const down = y * Math.cos(over) + away * Math.sin(over), depth = away * Math.cos(over) - y * Math.sin(over);
    const scale = DISTANCE / (DISTANCE + depth / this.radius);
    const unit = (side * 0.42 / this.radius) * scale;
    return [side / 2 + right * unit, side / 2 + down * unit, depth, scale];
  }

  draw() {
    const { canvas, joints } = this;
    const side = canvas.clientWidth;
    if (!joints || !side) return;
    const density = devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(side * density);
    const pen = canvas.getContext("2d");
    pen.scale(density, density);
    pen.lineCap = "round";
    const points = joints.map((joint) => this.project(joint, side));
    const drawn = [
      ...BONES.map(([from, to]) => ({ depth: (points[from][2] + points[to][2]) / 2, from, to })),
      ...points.map((point, joint) => ({ depth: point[2] - 0.01, joint })),
    ].sort((a, b) => b.depth - a.depth); // what is nearer is drawn later
    for (const { from, to, joint } of drawn) {
      pen.beginPath();
      if (joint === undefined) {
        const [[x1, y1, , near], [x2, y2]] = [points[from], points[to]];
        pen.moveTo(x1, y1);
        pen.lineTo(x2, y2);
        pen.strokeStyle = RIM;
        pen.lineWidth = 6.5 * near;
        pen.stroke();
        pen.strokeStyle = css(fingerColour(to));
        pen.lineWidth = 4.5 * near;
        pen.stroke();
        continue;
      }
      const [x, y, , near] = points[joint];
      pen.arc(x, y, 4.6 * near, 0, 2 * Math.PI);
      pen.fillStyle = css(fingerColour(joint));
      pen.strokeStyle = RIM;
      pen.lineWidth = 1;
      pen.fill();
      pen.stroke();
    }
    this.drawScale(pen, side);
  }

  // A bar of 50 mm, true at the depth of the hand's middle.
  drawScale(pen, side) {
    const long = (side * 0.42 * 50) / this.radius;
    pen.strokeStyle = pen.fillStyle = getComputedStyle(this.canvas).color;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(12, side - 12);
    pen.lineTo(12 + long, side - 12);
    pen.stroke();
    pen.font = "12px system-ui, sans-serif";
    pen.fillText("50 mm", 12, side - 19);
  }
}
