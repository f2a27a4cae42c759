// Asks the reader for the token where the server wants one. It is kept in memory only.

import { setToken } from "./api.js";
import { find } from "./dom.js";

let open = null; // the answer that is awaited: several refusals ask once
let given = false;

/** Opens the dialog. Returns whether a token was given. */
export const askForToken = () => {
  open = open || new Promise((done) => {
    const dialog = find("#asking"), field = find("#token");
    find("#token-wrong").textContent = given ? "The server does not take this token." : "";
    field.value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      const token = dialog.returnValue === "use" ? field.value.trim() : "";
      field.value = "";
      open = null;
      if (token) {
        setToken(token);
        given = true;
      }
      done(Boolean(token));
    }, { once: true });
    dialog.showModal();
    field.focus();
  });
  return open;
};
