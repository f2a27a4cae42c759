// All pictures, small, with how much was found in each.

import { counted, find, make } from "./dom.js";
import { passes, queue, state } from "./state.js";

const strip = find("#strip");

export const drawStrip = () => {
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

/** `go(picture)` is called where one is chosen. */
export const watchStrip = (go) => strip.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) go(state.pictures.find(({ id }) => id === +button.dataset.id));
});
