// Taking along what is shown: as JSON in the clipboard, as a drawn picture in a file.

import { drawnPicture } from "./boxes.js";
import { find, make } from "./dom.js";
import { entry, found, shown, state } from "./state.js";
import { say, tell } from "./telling.js";

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
  const { name } = state.current, blob = await drawnPicture(find("#picture"), shown(), found().hands);
  if (!blob) {
    tell("The picture is too large for this browser to draw.");
    return;
  }
  const source = URL.createObjectURL(blob);
  make("a", { href: source, download: `${name.replace(/\.[^.]*$/, "")}-argus.png` }).click();
  setTimeout(() => URL.revokeObjectURL(source), 60000);
  say("The drawn picture is saved.");
});
