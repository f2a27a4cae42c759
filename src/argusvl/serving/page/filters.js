// Which objects are shown: from a score upwards, of some classes.

import { colourOf, css } from "./colours.js";
import { find, make } from "./dom.js";
import { found, queue, state } from "./state.js";

// Classes that were found in any picture, in the model's order, with how many of them are in this one.
export const drawFilters = () => {
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
};

const showAlone = (label) => {
  const labels = [...find("#classes").children].map((button) => button.dataset.label);
  state.hidden = new Set(labels.filter((other) => other !== label));
};

/** `refresh()` is called where something else is to be shown. */
export const watchFilters = (refresh) => {
  find("#score").addEventListener("input", (event) => {
    state.threshold = +event.target.value;
    find("output[for=score]").textContent = state.threshold.toFixed(2);
    refresh();
  });
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
};
