// Line charts that can be read and switched: series on and off, linear and logarithmic, smoothing, values at a step.
// Each chart's data stand beside it as JSON; the SVG of the page is replaced by one that is drawn from them.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const LEFT = 46, RIGHT = 12, TOP = 10, BOTTOM = 26, NAME = 16;
  const SMOOTH_FROM = 20; // with fewer points the raw line is clear enough

  const element = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const formatNumber = (value) => {
    const size = Math.abs(value);
    if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
    if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
    if (size >= 100 || Number.isInteger(value)) return value.toFixed(0);
    if (size >= 1) return value.toFixed(2);
    if (size >= 1e-3) return value.toFixed(3);
    return value.toExponential(1).replace(".0e", "e");
  };

  const formatTick = (value) => {
    if (Math.abs(value) >= 1e7) return `${+(value / 1e6).toPrecision(6)}M`;
    if (Math.abs(value) >= 1e4) return `${+(value / 1e3).toPrecision(6)}k`;
    if (value !== 0 && Math.abs(value) < 0.01) {
      const [digits, exponent] = value.toExponential(4).split("e");
      return `${+digits}e${+exponent}`;
    }
    return `${+value.toPrecision(6)}`;
  };

  // Round numbers that cover low to high; a vertical axis ends on them, a horizontal one does not.
  const linearAxis = (low, high, count, closed) => {
    if (high <= low) {
      const pad = Math.abs(low) * 0.1 || 1;
      low -= pad;
      high += pad;
    }
    const rough = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
    let ticks = [];
    for (let i = Math.floor(low / step + 1e-9); i <= Math.ceil(high / step - 1e-9); i++) ticks.push(i * step);
    if (closed) [low, high] = [ticks[0], ticks[ticks.length - 1]];
    ticks = ticks.filter((t) => t >= low - 1e-12 && t <= high + 1e-12);
    return { ticks, at: (value) => (value - low) / (high - low) };
  };

  const logarithmicAxis = (low, high, count) => {
    const first = Math.floor(Math.log10(low) + 1e-9);
    const last = Math.max(Math.ceil(Math.log10(high) - 1e-9), first + 1);
    const stride = Math.max(1, Math.ceil((last - first) / count));
    const ticks = [];
    for (let e = first; e <= last; e += stride) ticks.push(10 ** e);
    return { ticks, at: (value) => (Math.log10(value) - first) / (last - first) };
  };

  // Centred, so that it does not lag behind; `share` of the points around each.
  const runningMean = (values, share) => {
    const reach = Math.round((values.length * share) / 2);
    const sums = [0];
    for (const value of values) sums.push(sums[sums.length - 1] + value);
    return values.map((_, i) => {
      const side = Math.min(reach, i, values.length - 1 - i);
      return (sums[i + side + 1] - sums[i - side]) / (2 * side + 1);
    });
  };

  const nearest = (at, x) => {
    let low = 0, high = at.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (at[middle] < x) low = middle; else high = middle;
    }
    return high >= 0 && Math.abs(at[high] - x) < Math.abs(at[low] - x) ? high : low;
  };

  class Chart {
    constructor(card) {
      this.card = card;
      this.data = JSON.parse(card.querySelector("script").textContent);
      this.log = this.data.log;
      this.smoothing = 0.05;
      this.hidden = new Set();
      this.cursor = null;
      this.svg = card.querySelector("svg.chart") || card.insertBefore(element("svg", { class: "chart" }), card.querySelector(".legend"));
      this.svg.setAttribute("tabindex", "0");
      this.readout = card.querySelector(".readout");
      this.last = [...card.querySelectorAll(".legend b")].map((b) => b.textContent);
      this.legend = [...card.querySelectorAll(".legend button")];
      this.legend.forEach((button, i) => {
        button.disabled = false;
        button.addEventListener("click", (event) => (event.shiftKey ? this.only(i) : this.toggle(i)));
        button.addEventListener("dblclick", () => this.only(i));
      });
      const scale = card.querySelector(".scale");
      if (scale) {
        scale.setAttribute("aria-pressed", String(this.log));
        scale.addEventListener("click", () => {
          this.log = !this.log;
          scale.setAttribute("aria-pressed", String(this.log));
          this.draw();
        });
      }
      this.svg.addEventListener("pointermove", (event) => this.follow(event));
      this.svg.addEventListener("pointerdown", (event) => this.follow(event));
      this.svg.addEventListener("pointerleave", () => this.point(null));
      this.svg.addEventListener("blur", () => this.point(null));
      this.svg.addEventListener("keydown", (event) => this.key(event));
      new ResizeObserver(() => this.draw()).observe(this.svg.parentElement);
      this.draw();
    }

    visible() { return this.data.series.filter((_, i) => !this.hidden.has(i)); }

    toggle(i) {
      if (this.hidden.has(i)) this.hidden.delete(i); else this.hidden.add(i);
      this.mark();
    }

    only(i) {
      this.legend.forEach((_, k) => { if (k === i) this.hidden.delete(k); else this.hidden.add(k); });
      this.mark();
    }

    mark() {
      this.legend.forEach((button, i) => button.setAttribute("aria-pressed", String(!this.hidden.has(i))));
      this.draw();
    }

    // What can be drawn of a series: without values that have no logarithm.
    points(series) {
      const kept = series.y.map((_, i) => i).filter((i) => !this.log || series.y[i] > 0);
      return { at: kept.map((i) => series.at[i]), y: kept.map((i) => series.y[i]) };
    }

    draw() {
      const width = Math.round(this.svg.parentElement.clientWidth);
      if (!width) return; // inside a folded part; drawn when it is opened
      const style = getComputedStyle(this.svg.parentElement);
      this.width = width - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      this.height = Math.round(Math.min(this.card.classList.contains("wide") ? 340 : 260, Math.max(200, this.width * 0.5)));
      if (this.data.unit) this.height = Math.round(Math.min(420, Math.max(240, this.width * 0.72)));
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
      this.svg.style.height = `${this.height}px`;
      const lines = this.visible().map((series) => ({ series, ...this.points(series) }));
      const all = lines.flatMap((line) => line.y);
      const steps = lines.flatMap((line) => line.at);
      this.svg.replaceChildren();
      if (!all.length) {
        const text = this.log && this.visible().some((s) => s.y.length) ? "no value above 0" : "nothing is switched on";
        this.svg.append(element("text", { class: "axis", x: this.width / 2, y: this.height / 2, "text-anchor": "middle" }, text));
        this.x = null;
        return;
      }
      const low = all.reduce((a, b) => Math.min(a, b)), high = all.reduce((a, b) => Math.max(a, b));
      const first = steps.reduce((a, b) => Math.min(a, b)), last = steps.reduce((a, b) => Math.max(a, b));
      const across = this.data.unit ? linearAxis(0, 1, 5) : linearAxis(first, last, this.width < 420 ? 4 : 6);
      const up = this.data.unit ? linearAxis(0, 1, 5, true)
        : this.log ? logarithmicAxis(low, high, 5)
        : linearAxis(this.data.zero ? Math.min(0, low) : low, high, 4, true);
      this.x = (value) => LEFT + across.at(value) * (this.width - LEFT - RIGHT);
      this.top = TOP + (this.data.up ? NAME : 0); // room for the axes' names
      this.bottom = this.height - BOTTOM - (this.data.up ? NAME : 0);
      this.y = (value) => this.bottom - up.at(value) * (this.bottom - this.top);
      this.grid(across.ticks, up.ticks);
      for (const line of lines) this.line(line);
      this.marker = element("g", { class: "marker" });
      this.svg.append(this.marker);
      this.point(this.cursor, true);
    }

    grid(across, up) {
      for (const tick of up) {
        const y = this.y(tick).toFixed(1);
        this.svg.append(element("path", { class: "grid", d: `M${LEFT} ${y}H${this.width - RIGHT}` }));
        this.svg.append(element("text", { class: "axis", x: LEFT - 8, y: +y + 4, "text-anchor": "end" }, formatTick(tick)));
      }
      for (const tick of across) {
        const text = formatTick(tick);
        const x = Math.min(this.x(tick), this.width - 3.6 * text.length); // the last one stays inside
        this.svg.append(element("text", { class: "axis", x: x.toFixed(1), y: this.bottom + 19, "text-anchor": "middle" }, text));
      }
      if (!this.data.up) return;
      this.svg.append(element("text", { class: "axis", x: 2, y: 14 }, this.data.up));
      this.svg.append(element("text", { class: "axis", x: this.width - RIGHT, y: this.height - 5, "text-anchor": "end" }, this.data.x));
    }

    line({ series, at, y }) {
      const path = (values) => "M" + values.map((v, i) => `${this.x(at[i]).toFixed(1)} ${this.y(v).toFixed(1)}`).join("L");
      for (const step of series.bad || []) {
        this.svg.append(element("path", { class: "bad", d: `M${this.x(step).toFixed(1)} ${this.bottom}v-7` }));
      }
      if (!y.length) return;
      const dot = (i) => element("circle", { class: `dot ${series.colour}`, cx: this.x(at[i]).toFixed(1), cy: this.y(y[i]).toFixed(1), r: 3.5 });
      if (y.length === 1) return this.svg.append(dot(0));
      const smooth = this.data.smooth && this.smoothing > 0 && y.length >= SMOOTH_FROM;
      if (smooth) this.svg.append(element("path", { class: `raw ${series.colour}`, d: path(y) }));
      const values = smooth ? runningMean(y, this.smoothing) : y;
      this.svg.append(element("path", { class: `line ${series.colour}`, "data-name": series.name, d: path(values) }));
      if (series.style === "dots") y.forEach((_, i) => this.svg.append(dot(i)));
    }

    follow(event) {
      const box = this.svg.getBoundingClientRect();
      const share = ((event.clientX - box.left) * (this.width / box.width) - LEFT) / (this.width - LEFT - RIGHT);
      const at = [...new Set(this.visible().flatMap((series) => series.at))].sort((a, b) => a - b);
      if (!at.length || !this.x) return;
      const low = this.data.unit ? 0 : at[0], high = this.data.unit ? 1 : at[at.length - 1];
      this.share(at[nearest(at, low + share * (high - low))]);
    }

    key(event) {
      const at = [...new Set(this.visible().flatMap((series) => series.at))].sort((a, b) => a - b);
      if (!at.length) return;
      const here = this.cursor === null ? at.length - 1 : nearest(at, this.cursor);
      const there = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: at.length - 1 }[event.key];
      if (event.key === "Escape") this.point(null);
      if (there === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.share(at[Math.max(0, Math.min(at.length - 1, there))]);
    }

    // Charts over the same steps are read together.
    share(x) {
      for (const chart of charts) if (chart === this || (chart.data.x === this.data.x && this.data.x === "step")) chart.point(x);
    }

    point(x, quietly) {
      if (x === null && !quietly) for (const chart of charts) if (chart !== this && chart.cursor !== null) chart.clear();
      if (x === null) return this.clear();
      this.cursor = x;
      if (!this.x || !this.marker) return;
      this.marker.replaceChildren();
      this.readout.textContent = `${this.data.x} ${this.data.unit ? x.toFixed(2) : x}`;
      let there = false;
      this.data.series.forEach((series, i) => {
        const k = series.at.length ? nearest(series.at, x) : -1;
        const value = this.legend[i] && this.legend[i].querySelector("b");
        const beyond = k < 0 || x > series.at[series.at.length - 1] + 1e-9 || x < series.at[0] - 1e-9;
        if (value) value.textContent = beyond ? "–" : formatNumber(series.y[k]) + (series.notes && series.notes[k] ? ` · ${series.notes[k]}` : "");
        if (beyond || this.hidden.has(i) || series.style === "guide" || (this.log && series.y[k] <= 0)) return;
        there = true;
        this.marker.append(element("circle", { class: `dot ${series.colour}`, cx: this.x(series.at[k]), cy: this.y(series.y[k]), r: 4 }));
      });
      if (there) this.marker.prepend(element("path", { class: "cursor", d: `M${this.x(x).toFixed(1)} ${this.top}V${this.bottom}` }));
    }

    clear() {
      this.cursor = null;
      if (this.marker) this.marker.replaceChildren();
      this.readout.textContent = "";
      this.legend.forEach((button, i) => { button.querySelector("b").textContent = this.last[i]; });
    }
  }

  const charts = [];
  for (const card of document.querySelectorAll(".card")) charts.push(new Chart(card));

  const smoothing = document.getElementById("smoothing");
  if (smoothing) {
    const output = document.querySelector("output[for=smoothing]");
    const apply = () => {
      output.textContent = +smoothing.value ? `${smoothing.value} %` : "off";
      for (const chart of charts) {
        chart.smoothing = smoothing.value / 100;
        chart.draw();
      }
    };
    smoothing.addEventListener("input", apply);
    apply();
  }
})();
