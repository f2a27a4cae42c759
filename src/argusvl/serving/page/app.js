// The page: what the reader does, and what is shown then.

import { ask } from "./api.js";
import { drawnPicture, drawOverlay } from "./boxes.js";
import { colourOf, css, fingerColour, inkOn } from "./colours.js";
import { counted, find, make, shape } from "./dom.js";
import { Space } from "./hands.js";
import { filesOf, letGo, limitsInWords, pictureCount, takeIn } from "./pictures.js";
import { Queue } from "./queue.js";
import { handInWords, TASKS } from "./tasks.js";
import { askForToken } from "./token.js";

const stage = find("#stage"), image = find("#picture"), overlay = find("#overlay"), list = find("#objects"), strip = find("#strip");
const state = { models: [], limits: null, path: null, model: null, pictures: [], current: null, selected: -1, threshold: 0.3, hidden: new Set() };
const space = new Space(find("#turning"), document.querySelectorAll("[data-view]"));

const say = (text) => { find("#said").textContent = text; };

const tell = (text, action) => {
  const close = make("button", { type: "button" }, action ? action.title : "Close");
  const line = make("div", { class: "problem" }, make("span", {}, text), close);
  close.addEventListener("click", () => {
    line.remove();
    if (action) action.run();
  });
  find("#problems").append(line);
};

const queue = new Queue({
  now: () => ({ path: state.path, model: state.model, pictures: state.pictures, current: state.current }),
  changed: (picture) => {
    drawFilters();
    drawStrip();
    if (picture === state.current) drawPicture();
  },
  waiting: (seconds) => say(`The server is busy. It is asked again in ${counted(seconds, "second")}.`),
  refused: async (problem) => {
    if (await askForToken()) queue.go();
    else tell(problem.sentence, { title: "Give a token", run: () => queue.go() });
  },
});

// ---- What is shown of the current picture ----

const entry = () => (state.current ? queue.entry(state.current) : { status: "waiting" });
const found = () => entry().found || { objects: [], hands: [], lines: [] };
const passes = (object) => (object.score === undefined || object.score >= state.threshold) && !state.hidden.has(object.label);
const shown = () => found().objects.filter(passes);
const sizeOf = (picture) => (queue.entry(picture).answer || {}).image || picture.size;

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
  const mark = make("span", { class: "mark", "aria-hidden": "true" });
  if (finger) mark.style.background = css(fingerColour(finger));
  return make("li", { class: "row" }, mark, make("span", { class: "said" }, make(strong ? "b" : "span", {}, said), ...(more ? [make("small", {}, more)] : [])));
};

const drawAsked = (size) => {
  const box = state.path === "/v1/hands" && state.current.box;
  if (box) overlay.append(...["asked-rim", "asked"].map((name) => boxShape(name, box)));
};
const boxShape = (name, [x1, y1, x2, y2]) => shape("rect", { class: name, x: x1, y: y1, width: Math.max(0, x2 - x1), height: Math.max(0, y2 - y1) });

const drawOver = () => {
  const size = sizeOf(state.current) || { width: 3, height: 2 };
  stage.style.setProperty("--ratio", size.width / size.height);
  const isNumbered = drawOverlay(overlay, shown(), found().hands, size, stage.clientWidth);
  drawAsked(size);
  return isNumbered;
};

const drawPicture = () => {
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

const select = (index, isHover) => {
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

const drawStrip = () => {
  strip.hidden = state.pictures.length < 2;
  const kept = strip.contains(document.activeElement);
  strip.replaceChildren(...state.pictures.map((picture) => {
    const { status, found: read } = queue.entry(picture);
    const bad = picture.refusal || status === "failed";
    const number = read ? read.objects.filter(passes).length || read.hands.length : 0;
    const counts = () => (read.hands.length ? counted(number, "hand") : read.lines.length ? "answered" : counted(number, "object"));
    const words = bad ? "not answered" : status === "done" ? counts() : "not yet answered";
    const badge = bad ? make("span", { class: "badge bad", "aria-hidden": "true" }, "!") : status === "done" && number ? make("span", { class: "badge" }, String(number)) : "";
    const isCurrent = picture === state.current;
    return make("button", { type: "button", "data-id": picture.id, "aria-label": `${picture.name}, ${words}`, title: picture.name, tabindex: isCurrent ? 0 : -1, ...(isCurrent ? { "aria-current": "true" } : {}) },
      picture.size ? make("img", { src: picture.source, alt: "" }) : "", badge);
  }));
  const here = strip.querySelector("[aria-current]");
  if (!here) return;
  strip.scrollLeft = here.offsetLeft - (strip.clientWidth - here.offsetWidth) / 2; // of the strip, never of the page
  if (kept) here.focus({ preventScroll: true });
};

// Classes that were found in any picture, in the model's order, with how many of them are in this one.
const drawFilters = () => {
  const done = state.pictures.map((picture) => queue.entry(picture)).filter(({ status }) => status === "done");
  const objects = done.flatMap((one) => one.found.objects);
  const isSure = (object) => object.score === undefined || object.score >= state.threshold;
  const here = found().objects.filter(isSure);
  const order = (state.models.find(({ name }) => name === state.model) || { labels: [] }).labels;
  const rank = (label) => (order.includes(label) ? order.indexOf(label) : order.length);
  const labels = [...new Set([...state.hidden, ...objects.filter(isSure).map((object) => object.label)])].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const area = find("#classes"), focused = area.contains(document.activeElement) ? document.activeElement.dataset.label : null;
  area.replaceChildren(...labels.map((label) => {
    const chip = make("span", { class: "chip", "aria-hidden": "true" });
    chip.style.background = css(colourOf(label));
    const number = here.filter((object) => object.label === label).length;
    return make("button", { type: "button", class: "kind", "data-label": label, "aria-pressed": String(!state.hidden.has(label)) }, chip, label, " ", make("b", {}, String(number)));
  }));
  const again = focused !== null && [...area.children].find((button) => button.dataset.label === focused);
  if (again) again.focus({ preventScroll: true });
  area.hidden = labels.length < 2;
  find("#all").hidden = !labels.some((label) => state.hidden.has(label));
  find("#scores").hidden = !objects.some((object) => object.score !== undefined);
  find("#filters").hidden = !objects.length;
  const isHand = state.path === "/v1/hands";
  find("#hand-tools").hidden = !isHand;
  if (!isHand || !state.current) return;
  find("#side").value = state.current.side;
  [0, 1, 2, 3].forEach((i) => { find(`#box-${i}`).value = state.current.box ? state.current.box[i] : ""; });
};

const refresh = () => {
  drawFilters();
  drawPicture();
  drawStrip();
};

// ---- Pictures ----

const go = (picture) => {
  if (!picture) return;
  state.current = picture;
  state.selected = -1;
  refresh();
  queue.go();
};
const turn = (by) => {
  const all = state.pictures;
  if (all.length) go(all[(all.indexOf(state.current) + by + all.length) % all.length]);
};

const add = async (files) => {
  if (!files.length || !state.limits) return;
  const taken = await Promise.all(files.map((file) => takeIn(file, state.limits)));
  for (const { refusal, name } of taken) if (refusal) tell(`${name}: ${refusal}`);
  const usable = taken.filter(({ refusal }) => !refusal);
  for (const picture of taken) if (picture.refusal) letGo(picture);
  state.pictures.push(...usable);
  if (usable.length) {
    say(`${pictureCount(usable)} added.`);
    go(usable[0]);
  }
};

const remove = () => {
  const { current, pictures } = state, here = pictures.indexOf(current);
  pictures.splice(here, 1);
  letGo(current);
  state.current = null;
  say(`${current.name} removed.`);
  if (pictures.length) go(pictures[Math.min(here, pictures.length - 1)]);
  else {
    refresh();
    find("#choose").focus();
  }
};

for (const [button, field] of [["#choose", "#files"], ["#photograph", "#camera"]]) {
  find(button).addEventListener("click", () => find(field).click());
  find(field).addEventListener("change", (event) => {
    add([...event.target.files]);
    event.target.value = ""; // the same file may be chosen again
  });
}
document.addEventListener("paste", (event) => {
  if (event.target.closest && event.target.closest("input")) return;
  const files = filesOf(event.clipboardData);
  if (files.length) event.preventDefault();
  add(files);
});
const dragsFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
document.addEventListener("dragover", (event) => {
  if (!dragsFiles(event)) return;
  event.preventDefault();
  find("#dropping").hidden = false;
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) find("#dropping").hidden = true; });
document.addEventListener("drop", (event) => {
  find("#dropping").hidden = true;
  if (!dragsFiles(event)) return;
  event.preventDefault();
  add(filesOf(event.dataTransfer));
});

strip.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) go(state.pictures.find(({ id }) => id === +button.dataset.id));
});
find("#previous").addEventListener("click", () => turn(-1));
find("#next").addEventListener("click", () => turn(1));
find("#remove").addEventListener("click", remove);
find("#again").addEventListener("click", () => {
  queue.forget(state.current);
  refresh();
  stage.focus({ preventScroll: true });
  queue.go();
});

// ---- Objects ----

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
const step = (by) => {
  const rows = [...list.querySelectorAll("button")].map((button) => +button.dataset.object);
  if (!rows.length) return;
  const here = rows.indexOf(state.selected), isInList = list.contains(document.activeElement);
  const next = rows[here < 0 ? (by > 0 ? 0 : rows.length - 1) : (here + by + rows.length) % rows.length];
  select(next);
  (isInList ? list : overlay).querySelector(`[data-object="${next}"]`).focus({ preventScroll: !isInList });
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, dialog, canvas, pre")) return;
  if (!state.current || !(find("#work").contains(event.target) || event.target === document.body)) return;
  const isInViewer = stage.contains(event.target) || list.contains(event.target);
  const action = {
    ArrowLeft: () => turn(-1), ArrowRight: () => turn(1),
    ...(isInViewer ? { ArrowUp: () => step(-1), ArrowDown: () => step(1), Escape: () => select(-1) } : {}),
  }[event.key];
  if (!action) return;
  event.preventDefault();
  const wasInside = overlay.contains(document.activeElement);
  action();
  if (wasInside && (event.key === "Escape" || !document.activeElement || document.activeElement === document.body)) stage.focus({ preventScroll: true });
});

// ---- Filters ----

find("#score").addEventListener("input", (event) => {
  state.threshold = +event.target.value;
  find("output[for=score]").textContent = state.threshold.toFixed(2);
  refresh();
});
const showAlone = (label) => {
  const labels = [...find("#classes").children].map((button) => button.dataset.label);
  state.hidden = new Set(labels.filter((other) => other !== label));
};
find("#classes").addEventListener("click", (event) => {
  const button = event.target.closest("[data-label]");
  if (!button) return;
  const { label } = button.dataset;
  if (event.shiftKey) showAlone(label);
  else if (!state.hidden.delete(label)) state.hidden.add(label);
  refresh();
});
find("#classes").addEventListener("dblclick", (event) => {
  const button = event.target.closest("[data-label]");
  if (!button) return;
  showAlone(button.dataset.label);
  refresh();
});
find("#all").addEventListener("click", () => {
  state.hidden.clear();
  refresh();
  find("#classes button").focus();
});

// ---- The hand that is looked at ----

const lookAt = (box) => {
  state.current.box = box;
  refresh();
  queue.go();
};
find("#side").addEventListener("change", (event) => {
  state.current.side = event.target.value;
  lookAt(state.current.box);
});
find("#whole").addEventListener("click", () => lookAt(null));
find("#look").addEventListener("click", () => {
  const box = [0, 1, 2, 3].map((i) => find(`#box-${i}`).valueAsNumber);
  if (box.every(Number.isFinite) && box[2] > box[0] && box[3] > box[1]) lookAt(box);
  else say("Give left, top, right and bottom; right must be more than left, bottom more than top.");
});
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
stage.addEventListener("pointerdown", (event) => {
  if (state.path !== "/v1/hands" || event.button !== 0 || !sizeOf(state.current)) return;
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

// ---- Taking it along ----

const copied = async (text) => {
  if (navigator.clipboard) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* not allowed: the old way */ }
  }
  const field = make("textarea", { class: "unseen", "aria-hidden": "true", tabindex: -1 }); // without https there is no clipboard
  field.value = text;
  document.body.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  return isDone;
};
find("#copy").addEventListener("click", async () => {
  const { answer } = entry(), some = new Set(shown().map(({ index }) => index));
  const taken = { file: state.current.name, ...answer };
  if (answer.objects) taken.objects = answer.objects.filter((_, i) => some.has(i));
  const isCopied = await copied(JSON.stringify(taken, null, 2));
  find("#copy").focus({ preventScroll: true });
  say(isCopied ? "Copied as JSON, as it is shown." : "The browser did not let the page copy.");
  if (!isCopied) return;
  find("#copy").textContent = "Copied";
  setTimeout(() => { find("#copy").textContent = "Copy as JSON"; }, 1500);
});
find("#download").addEventListener("click", async () => {
  const { name } = state.current, blob = await drawnPicture(image, shown(), found().hands);
  if (!blob) {
    tell("The picture is too large for this browser to draw.");
    return;
  }
  const source = URL.createObjectURL(blob);
  make("a", { href: source, download: `${name.replace(/\.[^.]*$/, "")}-argus.png` }).click();
  setTimeout(() => URL.revokeObjectURL(source), 60000);
  say("The drawn picture is saved.");
});

// ---- What the server can do ----

const modelsFor = (path) => state.models.filter((model) => model.endpoints.includes(path));

const drawTasks = () => {
  const paths = Object.keys(TASKS).filter((path) => modelsFor(path).length);
  find("#task").replaceChildren(...paths.map((path) => {
    const button = make("button", { type: "button", "aria-pressed": String(path === state.path) }, TASKS[path].title);
    button.addEventListener("click", () => choose(path));
    return button;
  }));
  find("#task").hidden = paths.length < 2;
  const models = modelsFor(state.path);
  find("#models").hidden = models.length < 2;
  find("#model").replaceChildren(...models.map(({ name }) => make("option", { value: name, ...(name === state.model ? { selected: "" } : {}) }, name)));
  find("#tasks").hidden = paths.length < 2 && models.length < 2;
};
const choose = (path, model) => {
  const isFocused = find("#task").contains(document.activeElement);
  state.path = path;
  state.model = model || (modelsFor(path)[0] || {}).name;
  state.selected = -1;
  drawTasks();
  if (isFocused) find("#task [aria-pressed='true']").focus({ preventScroll: true });
  refresh();
  queue.go();
};
find("#model").addEventListener("change", (event) => choose(state.path, event.target.value));

const start = async () => {
  try {
    const { models, limits } = await ask("/v1/models");
    Object.assign(state, { models, limits });
  } catch (problem) {
    if (problem.status === 401 && (await askForToken())) { start(); return; }
    find("#serves").textContent = "What the server can do is not known.";
    tell(problem.sentence || String(problem), { title: problem.status === 401 ? "Give a token" : "Try again", run: start });
    return;
  }
  const names = state.models.map(({ name, labels }) => (labels.length ? `${name} (${counted(labels.length, "class", "classes")})` : name));
  find("#serves").textContent = names.join(", ");
  find("#limits").textContent = limitsInWords(state.limits);
  const first = Object.keys(TASKS).find((path) => modelsFor(path).length);
  find("#intake").hidden = !first;
  if (!first) {
    tell("This server has no model that this page can ask.");
    return;
  }
  choose(first);
};

// The sizes of letters depend on how large the picture is shown.
new ResizeObserver(() => { if (state.current) { drawOver(); select(state.selected, true); } }).observe(stage);
start();
