// The gallery: one picture at a time with truth and prediction over it, filtered by kind and class, worst first.
(() => {
  "use strict";
  const gallery = document.getElementById("gallery");
  if (!gallery) return;
  const SVG = "http://www.w3.org/2000/svg";
  const KINDS = ["missed", "false", "shifted", "misdescribed", "right"];
  const MIN_IOU = 0.5, SHIFTED_MIN_IOU = 0.1;
  const find = (selector) => gallery.querySelector(selector);
  const data = JSON.parse(find("script").textContent);
  const sources = [...document.querySelectorAll("#plain img")].map((image) => image.src);
  const normal = data.texts.map((text) => text.normalize("NFC"));

  const box = (row) => ({ box: row.slice(0, 4), text: row[4], type: row[5], score: row.length > 6 ? row[6] : null });
  const pictures = data.pictures.map((picture, index) => ({
    ...picture, index, source: sources[index], truth: picture.truth.map(box), found: picture.found.map(box),
  }));

  // ---- What became of each object: the same rules as measure/pairing.py ----

  const iou = (a, b) => {
    const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
    const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
    if (width <= 0 || height <= 0) return 0;
    const common = width * height;
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common);
  };

  // The first of the candidates that is greatest by `first`, then by `second`.
  const best = (candidates, first, second) => candidates.reduce(
    (a, b) => (a === null || b[first] > a[first] || (b[first] === a[first] && b[second] > a[second]) ? b : a), null);

  const pairUp = (truth, found, threshold) => {
    let free = found.filter((f) => f.score >= threshold).sort((a, b) => b.score - a.score);
    const near = (wanted, enough) => free
      .map((f) => ({ found: f, score: f.score, overlap: iou(f.box, wanted.box) }))
      .filter((c) => c.overlap >= enough);
    const take = (claim) => {
      if (claim) free = free.filter((f) => f !== claim.found);
      return claim ? claim.found : null;
    };
    const claims = truth.map((wanted) => take(best(near(wanted, MIN_IOU), "score", "overlap")));
    const pairs = truth.map((wanted, i) => {
      if (claims[i]) {
        const same = normal[wanted.text] === normal[claims[i].text];
        return { truth: wanted, found: claims[i], kind: same ? "right" : "misdescribed" };
      }
      const beside = near(wanted, SHIFTED_MIN_IOU).filter((c) => normal[c.found.type] === normal[wanted.type]);
      const found = take(best(beside, "overlap", "score"));
      return { truth: wanted, found, kind: found ? "shifted" : "missed" };
    });
    return [...pairs, ...free.map((f) => ({ truth: null, found: f, kind: "false" }))];
  };

  // ---- State ----

  const state = { threshold: data.threshold, kinds: new Set(KINDS), only: null, order: "errors", truth: true, found: true, current: null, selected: -1 };
  let shown = []; // the pictures that pass the filters, in order

  // A class, or one description: what a reader may look at alone.
  const about = (pair, by) => normal[(pair.truth || pair.found)[by]];
  const ofType = (pair) => !state.only || about(pair, state.only.by) === state.only.name;
  const passes = (pair) => state.kinds.has(pair.kind) && ofType(pair);
  const errors = (picture) => picture.pairs.filter((pair) => pair.kind !== "right" && passes(pair)).length;

  const pairAll = () => { for (const p of pictures) p.pairs = pairUp(p.truth, p.found, state.threshold); };

  const arrange = () => {
    const all = state.kinds.size === KINDS.length && !state.only;
    shown = pictures.filter((p) => p.pairs.some(passes) || (all && !p.pairs.length));
    const share = (p) => errors(p) / Math.max(p.pairs.filter(ofType).length, 1);
    if (state.order === "errors") shown.sort((a, b) => errors(b) - errors(a));
    if (state.order === "share") shown.sort((a, b) => share(b) - share(a));
    if (KINDS.includes(state.order)) {
      const count = (p) => p.pairs.filter((pair) => pair.kind === state.order && passes(pair)).length;
      shown.sort((a, b) => count(b) - count(a));
    }
    if (state.order === "name") shown.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    if (!shown.includes(state.current)) choose(shown[0] || null);
  };

  const choose = (picture) => {
    state.current = picture;
    state.selected = -1;
  };

  // ---- Drawing ----

  const make = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const rectangle = (kind, [x1, y1, x2, y2]) => {
    const made = document.createElementNS(SVG, "rect");
    const place = { class: kind, x: x1, y: y1, width: Math.max(x2 - x1, 0), height: Math.max(y2 - y1, 0) };
    for (const [key, value] of Object.entries(place)) made.setAttribute(key, value);
    return made;
  };
  const text = (side) => data.texts[side.text];
  const words = (pair) => [
    pair.kind,
    pair.truth && `truth ${text(pair.truth)}`,
    pair.found && `prediction ${text(pair.found)}, score ${pair.found.score.toFixed(2)}`,
  ].filter(Boolean).join(", ");
  const area = ({ box: [x1, y1, x2, y2] }) => (x2 - x1) * (y2 - y1);

  const stage = find(".stage"), image = find(".stage img"), overlay = find(".stage svg"), tip = find(".tip");
  const list = find(".objects"), strip = find(".strip"), name = find(".name"), tally = find(".tally"), place = find(".place");

  const drawStage = () => {
    const picture = state.current;
    gallery.classList.toggle("nothing", !picture);
    overlay.replaceChildren();
    list.replaceChildren();
    tip.hidden = true;
    if (!picture) {
      name.textContent = "No picture passes the filters.";
      tally.textContent = place.textContent = "";
      return;
    }
    if (image.getAttribute("src") !== picture.source) image.src = picture.source;
    stage.style.setProperty("--ratio", picture.width / picture.height);
    overlay.setAttribute("viewBox", `0 0 ${picture.width} ${picture.height}`);
    const visible = picture.pairs.map((pair, i) => ({ pair, i })).filter(({ pair }) => passes(pair));
    // Large boxes first, so that small ones inside them can be reached.
    for (const { pair, i } of [...visible].sort((a, b) => area(b.pair.truth || b.pair.found) - area(a.pair.truth || a.pair.found))) {
      const group = document.createElementNS(SVG, "g");
      const attributes = { class: `pair ${pair.kind}`, "data-pair": i, tabindex: -1, role: "img", "aria-label": words(pair) };
      for (const [key, value] of Object.entries(attributes)) group.setAttribute(key, value);
      for (const [kind, side] of [["t", pair.truth], ["p", pair.found]]) {
        if (side) group.append(rectangle(`rim ${kind}`, side.box), rectangle(`box ${kind}`, side.box));
      }
      overlay.append(group);
    }
    for (const kind of KINDS) { // errors first; each kind in words, for those who cannot tell the colours apart
      const some = visible.filter(({ pair }) => pair.kind === kind);
      if (some.length) list.append(make("li", { class: "heading", "aria-hidden": "true" }, `${some.length} ${kind}`));
      for (const { pair, i } of some) list.append(row(pair, i));
    }
    const first = list.querySelector("button");
    if (first) first.tabIndex = 0;
    const counts = KINDS.map((kind) => [kind, picture.pairs.filter((p) => p.kind === kind).length]).filter(([, n]) => n);
    name.textContent = picture.name;
    tally.textContent = counts.map(([kind, n]) => `${n} ${kind}`).join(", ") || "nothing to find, and nothing found";
    place.textContent = `${shown.indexOf(picture) + 1} of ${shown.length}`;
    select(state.selected);
  };

  const row = (pair, i) => {
    const said = make("span", { class: "said" }, text(pair.truth || pair.found));
    if (pair.kind === "misdescribed") said.append(make("span", { class: "wrong" }, `said ${text(pair.found)}`));
    const score = make("span", { class: "score" }, pair.found ? pair.found.score.toFixed(2) : "–");
    const button = make("button", { type: "button", class: pair.kind, "data-pair": i, "aria-label": words(pair), tabindex: -1 },
      make("span", { class: "chip", "aria-hidden": "true" }), said, score);
    return make("li", {}, button);
  };

  const drawStrip = () => {
    strip.replaceChildren(...shown.map((picture) => {
      const count = errors(picture);
      const label = `${picture.name}, ${count} error${count === 1 ? "" : "s"}`;
      return make("button", { type: "button", "data-index": picture.index, "aria-label": label, title: label, tabindex: -1 },
        make("img", { src: picture.source, alt: "", loading: "lazy", decoding: "async" }),
        ...(count ? [make("span", { class: "badge" }, String(count))] : []));
    }));
    markStrip();
  };

  const markStrip = () => {
    for (const button of strip.children) {
      const here = state.current && +button.dataset.index === state.current.index;
      button.tabIndex = here ? 0 : -1;
      if (!here) { button.removeAttribute("aria-current"); continue; }
      button.setAttribute("aria-current", "true");
      strip.scrollLeft = button.offsetLeft - (strip.clientWidth - button.offsetWidth) / 2; // of the strip, never of the page
    }
  };

  const drawCounts = () => {
    const pairs = pictures.flatMap((p) => p.pairs).filter(ofType);
    for (const button of gallery.querySelectorAll("[data-kind]")) {
      button.querySelector("b").textContent = pairs.filter((p) => p.kind === button.dataset.kind).length;
      button.setAttribute("aria-pressed", String(state.kinds.has(button.dataset.kind)));
    }
    find("#passing").textContent = shown.length === pictures.length ? "" : `${shown.length} of ${pictures.length} pictures`;
    find("#nothing-right").hidden = shown.length > 0;
  };

  const drawToggles = () => {
    for (const [id, side] of [["#show-truth", "truth"], ["#show-prediction", "found"]]) {
      find(id).setAttribute("aria-pressed", String(state[side]));
    }
    stage.classList.toggle("no-truth", !state.truth);
    stage.classList.toggle("no-prediction", !state.found);
  };

  // Everything, after a filter has changed. While the slider moves the order is kept: nothing jumps under the hand.
  const refresh = (reorder = true) => {
    if (reorder) arrange();
    drawCounts();
    drawStage();
    if (reorder) drawStrip();
  };

  // ---- One object ----

  const select = (i, hover) => {
    if (!hover) state.selected = i;
    for (const part of gallery.querySelectorAll("[data-pair]")) part.classList.toggle("chosen", +part.dataset.pair === i);
    const pair = state.current && state.current.pairs[i];
    tip.hidden = !pair;
    if (!pair) return;
    const line = (label, side) => make("span", {}, make("i", {}, label), " ", text(side));
    tip.replaceChildren(make("strong", { class: pair.kind }, pair.kind));
    if (pair.truth && pair.found && pair.kind === "right") tip.append(make("span", {}, text(pair.truth)));
    else {
      if (pair.truth) tip.append(line("truth", pair.truth));
      if (pair.found) tip.append(line("prediction", pair.found));
    }
    if (pair.found) tip.append(make("span", { class: "score" }, make("i", {}, "score"), ` ${pair.found.score.toFixed(2)}`));
    const [x1, y1, x2, y2] = (pair.found || pair.truth).box;
    const scale = stage.clientWidth / state.current.width;
    const above = y1 * scale - tip.offsetHeight - 6;
    const below = Math.min(y2 * scale + 6, stage.clientHeight - tip.offsetHeight - 6);
    const middle = ((x1 + x2) / 2) * scale - tip.offsetWidth / 2;
    tip.style.left = `${Math.max(6, Math.min(middle, stage.clientWidth - tip.offsetWidth - 6))}px`;
    tip.style.top = `${above > 0 ? above : Math.max(below, 6)}px`;
  };

  const pairOf = (target) => {
    const part = target instanceof Element && target.closest("[data-pair]");
    return part ? +part.dataset.pair : -1;
  };

  for (const area of [overlay, list]) {
    area.addEventListener("pointerover", (event) => select(pairOf(event.target), true));
    area.addEventListener("pointerleave", () => select(state.selected));
    area.addEventListener("focusin", (event) => select(pairOf(event.target)));
    area.addEventListener("click", (event) => select(pairOf(event.target)));
  }

  // The next object in the order of the list, with the focus where it was: in the picture, or in the list.
  const step = (by) => {
    const rows = [...list.querySelectorAll("[data-pair]")].map((part) => +part.dataset.pair);
    if (!rows.length) return;
    const here = rows.indexOf(state.selected);
    const next = rows[here < 0 ? (by > 0 ? 0 : rows.length - 1) : (here + by + rows.length) % rows.length];
    const inList = list.contains(document.activeElement);
    const part = (inList ? list : overlay).querySelector(`[data-pair="${next}"]`);
    select(next);
    part.focus({ preventScroll: !inList });
  };

  // ---- One picture ----

  const go = (picture) => {
    if (!picture) return;
    const within = overlay.contains(document.activeElement) || list.contains(document.activeElement);
    const inStrip = strip.contains(document.activeElement);
    choose(picture);
    drawStage();
    markStrip();
    if (within) stage.focus({ preventScroll: true });
    if (inStrip) strip.querySelector("[aria-current]").focus({ preventScroll: true });
  };
  const turn = (by) => {
    if (shown.length) go(shown[(shown.indexOf(state.current) + by + shown.length) % shown.length]);
  };
  const flip = (side) => {
    state[side] = !state[side];
    drawToggles();
  };

  strip.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) go(pictures[+button.dataset.index]);
  });
  find("#previous").addEventListener("click", () => turn(-1));
  find("#next").addEventListener("click", () => turn(1));
  find("#show-truth").addEventListener("click", () => flip("truth"));
  find("#show-prediction").addEventListener("click", () => flip("found"));

  // ---- Filters ----

  for (const button of gallery.querySelectorAll("[data-kind]")) {
    const kind = button.dataset.kind;
    const alone = () => { state.kinds = new Set([kind]); };
    button.addEventListener("click", (event) => {
      if (event.shiftKey) alone();
      else if (state.kinds.has(kind)) state.kinds.delete(kind);
      else state.kinds.add(kind);
      refresh();
    });
    button.addEventListener("dblclick", () => {
      alone();
      refresh();
    });
  }
  const show = (kinds, only) => {
    state.kinds = new Set(kinds);
    state.only = only;
    find("#type").value = choices.indexOf(only);
    refresh();
    stage.focus({ preventScroll: true });
  };
  find("#nothing-right button").addEventListener("click", () => show(KINDS, null));

  // Classes, each followed by its descriptions where it has others than its name.
  const choices = [];
  const sides = pictures.flatMap((p) => [...p.truth, ...p.found]);
  for (const type of [...new Set(sides.map((side) => normal[side.type]))].sort()) {
    const texts = [...new Set(sides.filter((s) => normal[s.type] === type).map((s) => normal[s.text]))].sort();
    choices.push({ by: "type", name: type });
    if (texts.some((name) => name !== type)) choices.push(...texts.map((name) => ({ by: "text", name })));
  }
  find("#type").append(...choices.map(({ by, name }, i) => make("option", { value: i }, by === "text" ? `\u2003${name}` : name)));
  find("#type").addEventListener("change", (event) => { state.only = choices[+event.target.value] || null; refresh(); });
  find("#order").addEventListener("change", (event) => { state.order = event.target.value; refresh(); });

  const score = find("#score"), scoreText = find("output[for=score]");
  score.min = Math.floor(data.lowest * 100) / 100;
  score.value = data.threshold;
  scoreText.textContent = (+score.value).toFixed(2);
  score.addEventListener("input", () => {
    state.threshold = +score.value;
    scoreText.textContent = state.threshold.toFixed(2);
    pairAll();
    refresh(false);
  });
  score.addEventListener("change", () => refresh());

  // Counts in the tables lead to their pictures.
  for (const link of document.querySelectorAll("a[data-of]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const by = link.dataset.by === "text" ? "text" : "type", name = link.dataset.name.normalize("NFC");
      state.threshold = +(score.value = data.threshold); // the tables' counts are at this one
      scoreText.textContent = state.threshold.toFixed(2);
      pairAll();
      show([link.dataset.of], choices.find((choice) => choice.by === by && choice.name === name) || null);
      document.getElementById("pictures").scrollIntoView();
    });
  }

  // ---- Keys ----

  const inView = () => {
    const { top, bottom } = find(".viewer").getBoundingClientRect();
    return top < innerHeight * 0.75 && bottom > innerHeight * 0.25;
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, .chart")) return;
    // A reader who has not focused anything means the gallery while it fills the screen.
    if (!gallery.contains(event.target) && !(event.target === document.body && inView())) return;
    const inViewer = stage.contains(event.target) || list.contains(event.target);
    const action = {
      ArrowLeft: () => turn(-1), ArrowRight: () => turn(1), t: () => flip("truth"), p: () => flip("found"),
      ...(inViewer ? { ArrowUp: () => step(-1), ArrowDown: () => step(1), Escape: () => select(-1) } : {}),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  addEventListener("resize", () => select(state.selected));

  pairAll();
  drawToggles();
  refresh();
})();
