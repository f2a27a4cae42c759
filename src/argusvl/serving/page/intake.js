// Pictures that the reader chooses, photographs, pastes or drops.

import { find } from "./dom.js";
import { filesOf } from "./pictures.js";

/** `add(files)` is called with what is brought. */
export const watchIntake = (add) => {
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
};
