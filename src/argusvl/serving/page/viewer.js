// The picture that is looked at: boxes over it, the list beside it, what is pointed at in one or the other.

import { drawAsked } from "./asked.js";
import { drawOverlay } from "./boxes.js";
import { colourOf, css, fingerColour, inkOn } from "./colours.js";
import { counted, find, make } from "./dom.js";
import { Space } from "./hands.js";
import { entry, found, shown, sizeOf, state } from "./state.js";
import { handInWords } from "./tasks.js";

const stage = find("#stage"), image = find("#picture"), overlay = find("#overlay"), list = find("#objects");
const space = new Space(find("#turning"), document.querySelectorAll("[data-view]"));

const tally = () => {
  const { status, problem, answer } = entry();
  if (state.current.refusal) return state.current.refusal;
  if (status === "failed") return problem.sentence;
  if (status !== "done") return "Asking the server…";
  const { objects, hands, lines } = found(), took = `in ${answer.seconds.toFixed(2)} s`;
  if (hands.length) return `${hands.map(handInWords).join("; ")}, ${took}`;
  if (!objects.length && lines.length) return `Answered ${took}`;
  const number = shown().length, all = objects.length;
  return number === all ? `${counted(number, "object")}, ${took}` : `${number} of ${counted(all, "object")} shown, ${took}`;
};

const row = (object, position, isNumbered) => {
  const colour = colourOf(object.label);
  const mark = make("span", { class: isNumbered ? "mark numbered" : "mark", "aria-hidden": "true" }, isNumbered ? String(position + 1) : "");
  mark.style.cssText = `background: ${css(colour)}; color: ${inkOn(colour)}; display: grid; place-items: center`;
  const said = make("span", { class: "said" }, object.description);
  if (object.label !== object.description) said.append(" ", make("small", {}, object.label));
  const score = object.score === undefined ? [] : [make("span", { class: "unseen" }, "score "), object.score.toFixed(2)];
  const button = make("button", { type: "button", "data-object": object.index, "aria-pressed": "false", tabindex: -1 }, mark, said, " ", make("span", { class: "score" }, ...score));
  return make("li", {}, button);
};

const line = ({ said, more, finger, strong }) => {
  const made = make("li", { class: "row" }, make("span", { class: "said" }, make(strong ? "b" : "span", {}, said), ...(more ? [make("small", {}, more)] : [])));
  if (finger) {
    made.prepend(make("span", { class: "mark", "aria-hidden": "true" }));
    made.firstChild.style.background = css(fingerColour(finger));
  }
  return made;
};

const drawOver = () => {
  const size = sizeOf(state.current) || { width: 3, height: 2 };
  stage.style.setProperty("--ratio", size.width / size.height);
  const isNumbered = drawOverlay(overlay, shown(), found().hands, size, stage.clientWidth);
  drawAsked();
  return isNumbered;
};

export const drawPicture = () => {
  const picture = state.current;
  document.body.classList.toggle("has-pictures", state.pictures.length > 0);
  find("#work").hidden = !picture;
  if (!picture) return;
  const { status } = entry(), hasFailed = status === "failed";
  find("#work").classList.toggle("asking", status === "asking" || (status === "waiting" && !picture.refusal));
  find("#work").classList.toggle("boxing", state.path === "/v1/hands");
  if (image.getAttribute("src") !== picture.source) image.src = picture.source;
  image.alt = picture.name;
  image.hidden = !picture.size;
  find("#unshown").hidden = Boolean(picture.size) || Boolean(picture.refusal);
  const isNumbered = drawOver();
  const kept = list.contains(document.activeElement);
  list.replaceChildren(...shown().map((object, i) => row(object, i, isNumbered)), ...found().lines.map(line));
  list.toggleAttribute("tabindex", !shown().length && found().lines.length > 0); // lines are no buttons, yet they scroll
  if (list.hasAttribute("tabindex")) list.tabIndex = 0;
  find("#name").textContent = picture.name;
  const told = tally();
  if (find("#tally").textContent !== told) find("#tally").textContent = told;
  find("#tally").classList.toggle("wrong", hasFailed || Boolean(picture.refusal));
  find("#again").hidden = !hasFailed;
  find("#copy").disabled = status !== "done";
  find("#download").disabled = status !== "done" || !picture.size;
  const { text, complete, hands } = found();
  find("#written").hidden = text === undefined;
  find("#text").textContent = text || "";
  find("#cut").textContent = complete === false ? "The answer was cut: it was longer than the server writes." : "";
  find("#space").hidden = !hands.length;
  if (hands.length) space.show(hands[0].joints_mm);
  find("#place").textContent = `${state.pictures.indexOf(picture) + 1} of ${state.pictures.length}`;
  find("#steps").hidden = state.pictures.length < 2;
  select(shown().some((object) => object.index === state.selected) ? state.selected : -1);
  if (kept && !list.contains(document.activeElement)) (list.querySelector("[tabindex='0']") || stage).focus({ preventScroll: true });
};

export const select = (index, isHover) => {
  if (!isHover) state.selected = index;
  for (const part of document.querySelectorAll("[data-object]")) {
    const here = +part.dataset.object === index;
    part.classList.toggle("chosen", here);
    if (part.matches("button")) part.setAttribute("aria-pressed", String(here));
  }
  overlay.classList.toggle("some-chosen", index >= 0);
  // One stop of the Tab key for the list: arrows do the rest.
  const buttons = [...list.querySelectorAll("button")];
  const stop = buttons.find((button) => +button.dataset.object === state.selected) || buttons[0];
  for (const button of buttons) button.tabIndex = button === stop ? 0 : -1;
};

const objectOf = (target) => {
  const part = target instanceof Element && target.closest("[data-object]");
  return part ? +part.dataset.object : -1;
};
for (const area of [overlay, list]) {
  area.addEventListener("pointerover", (event) => select(objectOf(event.target), true));
  area.addEventListener("pointerleave", () => select(state.selected, true));
  area.addEventListener("focusin", (event) => select(objectOf(event.target)));
  area.addEventListener("click", (event) => {
    const index = objectOf(event.target);
    select(index);
    const button = area === overlay && list.querySelector(`[data-object="${index}"]`);
    if (button) list.scrollTop = button.offsetTop - list.offsetTop - list.clientHeight / 2;
  });
}
export const step = (by) => {
  const rows = [...list.querySelectorAll("button")].map((button) => +button.dataset.object);
  if (!rows.length) return;
  const here = rows.indexOf(state.selected), isInList = list.contains(document.activeElement);
  const next = rows[here < 0 ? (by > 0 ? 0 : rows.length - 1) : (here + by + rows.length) % rows.length];
  select(next);
  (isInList ? list : overlay).querySelector(`[data-object="${next}"]`).focus({ preventScroll: !isInList });
};

// The sizes of letters depend on how large the picture is shown.
new ResizeObserver(() => { if (state.current) { drawOver(); select(state.selected, true); } }).observe(stage);
