// What the page tells: to a screen reader in passing, to everyone as a line that stays until it is closed.

import { find, make } from "./dom.js";

export const say = (text) => { find("#said").textContent = text; };

export const tell = (text, action) => {
  const close = make("button", { type: "button" }, action ? action.title : "Close");
  const line = make("div", { class: "problem" }, make("span", {}, text), close);
  close.addEventListener("click", () => {
    line.remove();
    if (action) action.run();
  });
  find("#problems").append(line);
};
