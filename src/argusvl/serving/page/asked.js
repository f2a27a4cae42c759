// The hand that is asked about: which one it is, and the box about it, typed or dragged on the picture.

import { find, shape } from "./dom.js";
import { queue, sizeOf, state } from "./state.js";
import { say } from "./telling.js";

const stage = find("#stage"), overlay = find("#overlay");
const isAsked = () => state.path === "/v1/hands";

const boxShape = (name, [x1, y1, x2, y2]) => shape("rect", { class: name, x: x1, y: y1, width: Math.max(0, x2 - x1), height: Math.max(0, y2 - y1) });

/** Draws the box into the overlay. */
export const drawAsked = () => {
  const box = isAsked() && state.current.box;
  if (box) overlay.append(...["asked-rim", "asked"].map((name) => boxShape(name, box)));
};

/** Shows the fields, with what they hold for the current picture. */
export const drawAskedFields = () => {
  find("#hand-tools").hidden = !isAsked();
  if (!isAsked() || !state.current) return;
  find("#side").value = state.current.side;
  [0, 1, 2, 3].forEach((i) => { find(`#box-${i}`).value = state.current.box ? state.current.box[i] : ""; });
};

let corner = null;
const pointed = (event) => {
  const { left, top, width, height } = stage.getBoundingClientRect(), size = sizeOf(state.current);
  const along = (at, from, extent, pixels) => Math.round(Math.min(Math.max((at - from) / extent, 0), 1) * pixels);
  return [along(event.clientX, left, width, size.width), along(event.clientY, top, height, size.height)];
};
const dragged = (event) => {
  const [x, y] = pointed(event);
  return [Math.min(x, corner[0]), Math.min(y, corner[1]), Math.max(x, corner[0]), Math.max(y, corner[1])];
};

/** `refresh()` is called where another hand is to be looked at. */
export const watchAsked = (refresh) => {
  const lookAt = (box) => {
    state.current.box = box;
    refresh();
    queue.go();
  };
  find("#side").addEventListener("change", (event) => {
    state.current.side = event.target.value;
    lookAt(state.current.box);
  });
  find("#search").addEventListener("click", () => lookAt(null));
  find("#look").addEventListener("click", () => {
    const box = [0, 1, 2, 3].map((i) => find(`#box-${i}`).valueAsNumber);
    if (box.every(Number.isFinite) && box[2] > box[0] && box[3] > box[1]) lookAt(box);
    else say("Give left, top, right and bottom; right must be more than left, bottom more than top.");
  });
  stage.addEventListener("pointerdown", (event) => {
    if (!isAsked() || event.button !== 0 || !sizeOf(state.current)) return;
    event.preventDefault();
    stage.focus({ preventScroll: true });
    corner = pointed(event);
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!corner) return;
    for (const old of overlay.querySelectorAll(".asked, .asked-rim")) old.remove();
    overlay.append(...["asked-rim", "asked"].map((name) => boxShape(name, dragged(event))));
  });
  stage.addEventListener("pointerup", (event) => {
    if (!corner) return;
    const box = dragged(event), size = sizeOf(state.current);
    corner = null;
    const least = Math.max(size.width, size.height) / 50; // a click is no box
    if (Math.min(box[2] - box[0], box[3] - box[1]) >= least) lookAt(box);
    else refresh();
  });
  stage.addEventListener("pointercancel", () => { corner = null; refresh(); });
};
