// The page: what the reader does, and what is shown then.

import { ask } from "./api.js";
import { drawAskedFields, watchAsked } from "./asked.js";
import { counted, find, make } from "./dom.js";
import { drawFilters, watchFilters } from "./filters.js";
import { bringGlyphs } from "./glyphs.js";
import { watchIntake } from "./intake.js";
import { letGo, limitsInWords, pictureCount, takeIn } from "./pictures.js";
import { queue, state } from "./state.js";
import { drawStrip, watchStrip } from "./strip.js";
import "./taking.js";
import { TASKS } from "./tasks.js";
import { say, tell } from "./telling.js";
import { askForToken } from "./token.js";
import { drawPicture, select, step } from "./viewer.js";

const stage = find("#stage"), overlay = find("#overlay"), list = find("#objects");

const refresh = () => {
  drawFilters();
  drawAskedFields();
  drawPicture();
  drawStrip();
};

Object.assign(queue, {
  changed: (picture) => {
    drawFilters();
    drawStrip();
    if (picture === state.current) drawPicture();
    bringGlyphs(textsOf(queue.entry(picture))).then((isNew) => { if (isNew) drawPicture(); }); // other letters, other widths
  },
  waiting: (seconds) => say(`The server is busy. It is asked again in ${counted(seconds, "second")}.`),
  refused: async (problem) => {
    if (await askForToken()) queue.go();
    else tell(problem.sentence, { title: "Give a token", run: () => queue.go() });
  },
});
const textsOf = ({ found: read }) =>
  (read ? [read.text || "", ...read.objects.flatMap(({ label, description }) => [label || "", description]), ...read.lines.flatMap(({ said, more }) => [said, more || ""])] : []);

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

find("#previous").addEventListener("click", () => turn(-1));
find("#next").addEventListener("click", () => turn(1));
find("#remove").addEventListener("click", remove);
find("#again").addEventListener("click", () => {
  queue.forget(state.current);
  refresh();
  stage.focus({ preventScroll: true });
  queue.go();
});

watchIntake(add);
watchStrip(go);
watchFilters(refresh);
watchAsked(refresh);

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
start();
