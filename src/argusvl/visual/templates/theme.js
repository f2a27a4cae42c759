// Runs before the page is drawn: says that scripts work, and sets the theme that the reader chose last.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");

  const KEY = "argus-theme";
  // A browser may forbid storage for local files; then the choice lasts as long as the page.
  const stored = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const store = (theme) => { try { localStorage.setItem(KEY, theme); } catch { /* as above */ } };

  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
    for (const button of document.querySelectorAll("[data-set-theme]")) {
      button.setAttribute("aria-pressed", String(button.dataset.setTheme === (theme || "auto")));
    }
  };

  apply(stored());
  document.addEventListener("DOMContentLoaded", () => {
    apply(stored());
    for (const button of document.querySelectorAll("[data-set-theme]")) {
      button.addEventListener("click", () => {
        store(button.dataset.setTheme);
        apply(button.dataset.setTheme);
      });
    }
  });
})();
