// The worst pictures: filters by kind, and keys that go from picture to picture and from flaw to flaw.
(() => {
  "use strict";
  const section = document.querySelector("#samples");
  if (!section) return;
  const articles = [...section.querySelectorAll(".sample")];
  const filters = [...section.querySelectorAll("[data-filter]")];
  const passing = section.querySelector("#passing");
  const grid = section.querySelector(".samples");
  const shown = () => articles.filter((article) => !article.hidden);
  const flawsOf = (article) => [...article.querySelectorAll(".flaw")];

  // One stop of the Tab key for all pictures: arrows do the rest.
  const stopAt = (part) => {
    for (const other of section.querySelectorAll(".sample, .flaw")) other.tabIndex = -1;
    if (part) part.tabIndex = 0;
  };

  const choose = (flaw) => {
    for (const part of section.querySelectorAll(".chosen")) part.classList.remove("chosen");
    for (const article of articles) article.classList.remove("choosing");
    if (!flaw) return;
    const article = flaw.closest(".sample");
    const mark = article.querySelector(`.mark[data-flaw="${flaw.dataset.flaw}"]`);
    flaw.classList.add("chosen");
    if (!mark) return; // about the whole picture, or not a box at all
    mark.classList.add("chosen");
    mark.parentNode.append(mark); // over the others
    article.classList.add("choosing");
  };
  const focused = () => (document.activeElement.matches(".flaw") ? document.activeElement : null);

  const goTo = (part) => {
    if (!part) return;
    stopAt(part);
    part.focus();
  };

  for (const article of articles) {
    article.setAttribute("role", "group");
    article.addEventListener("focusin", (event) => {
      stopAt(event.target);
      choose(focused());
    });
    article.addEventListener("focusout", () => choose(null));
    article.addEventListener("pointerover", (event) => {
      const part = event.target.closest("[data-flaw]");
      choose(part ? article.querySelector(`.flaw[data-flaw="${part.dataset.flaw}"]`) : focused());
    });
    article.addEventListener("pointerleave", () => choose(focused()));
    article.addEventListener("click", (event) => {
      const part = event.target.closest("[data-flaw]");
      if (part) goTo(article.querySelector(`.flaw[data-flaw="${part.dataset.flaw}"]`));
    });
  }

  const filter = (kind) => {
    for (const button of filters) button.setAttribute("aria-pressed", String(button.dataset.filter === kind));
    for (const article of articles) article.hidden = kind !== "" && !article.dataset.kinds.split(" ").includes(kind);
    passing.textContent = `${shown().length} of ${articles.length} pictures`;
    stopAt(shown()[0]);
  };
  const flip = () => {
    const without = grid.classList.toggle("without-others");
    section.querySelector("#show-others").setAttribute("aria-pressed", String(!without));
  };

  for (const button of filters) button.addEventListener("click", () => filter(button.dataset.filter));
  section.querySelector("#show-others").addEventListener("click", flip);
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => {
      filter(button.dataset.show);
      section.scrollIntoView();
      const first = shown()[0];
      stopAt(first);
      first.focus({ preventScroll: true });
    });
  }

  section.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const article = event.target.closest(".sample");
    if (event.key === "o") { flip(); return; }
    if (!article) return;
    const all = shown(), flaws = flawsOf(article), flaw = focused();
    const next = (list, here, by) => list[(here + by + list.length) % list.length];
    const action = {
      ArrowLeft: () => goTo(next(all, all.indexOf(article), -1)),
      ArrowRight: () => goTo(next(all, all.indexOf(article), 1)),
      ArrowUp: () => goTo(flaw ? next(flaws, flaws.indexOf(flaw), -1) : flaws[flaws.length - 1]),
      ArrowDown: () => goTo(flaw ? next(flaws, flaws.indexOf(flaw), 1) : flaws[0]),
      Escape: () => goTo(article),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  stopAt(articles[0]);
})();
