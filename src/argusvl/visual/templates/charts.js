// Charts are drawn already. Here names switch their lines off and on, and what is pointed at, or reached by the arrow
// keys, is said in the legend: of all charts over the same steps at once.
(() => {
  "use strict";
  const charts = [...document.querySelectorAll(".card")].filter((card) => card.querySelector("svg.chart")).map((card) => ({
    svg: card.querySelector("svg.chart"),
    lines: [...card.querySelectorAll(".series")],
    legend: [...card.querySelectorAll(".legend button")],
    last: [...card.querySelectorAll(".legend b")].map((value) => value.textContent),
    readout: card.querySelector(".readout"),
    readings: [...card.querySelectorAll(".reading")],
    here: -1,
  }));

  const show = (chart, shown) => chart.legend.forEach((button, i) => {
    button.setAttribute("aria-pressed", String(shown[i]));
    chart.lines[i].classList.toggle("off", !shown[i]);
  });

  // A reading's title: the place, then a line for each name of the legend.
  const read = (chart, here) => {
    chart.readings[chart.here]?.classList.remove("here");
    chart.here = here;
    chart.readings[here]?.classList.add("here");
    const [place, ...values] = (chart.readings[here]?.textContent ?? "").split("\n");
    chart.readout.textContent = place;
    chart.legend.forEach((button, i) => {
      const name = button.firstChild.textContent.trim();
      button.querySelector("b").textContent = here < 0 ? chart.last[i] : values[i].slice(name.length + 1);
    });
  };

  const point = (chart, here) => {
    const at = here < 0 ? null : Number(chart.readings[here].dataset.at);
    for (const other of charts) {
      if (other === chart) read(chart, here);
      else if (at === null || !other.svg.closest(".by-step") || !chart.svg.closest(".by-step")) read(other, -1);
      else {
        const after = other.readings.findIndex((reading) => Number(reading.dataset.at) >= at);
        read(other, after);
      }
    }
  };

  for (const chart of charts) {
    chart.legend.forEach((button, i) => {
      button.disabled = false;
      const pressed = () => chart.legend.map((other) => other.getAttribute("aria-pressed") === "true");
      const alone = () => show(chart, chart.legend.map((_, k) => k === i));
      button.addEventListener("click", (event) => (event.shiftKey ? alone() : show(chart, pressed().map((on, k) => on !== (k === i)))));
      button.addEventListener("dblclick", alone);
    });
    for (const event of ["pointermove", "pointerdown"]) {
      chart.svg.addEventListener(event, ({ target }) => {
        const here = chart.readings.indexOf(target);
        if (here >= 0 && here !== chart.here) point(chart, here);
      });
    }
    for (const event of ["pointerleave", "blur"]) chart.svg.addEventListener(event, () => point(chart, -1));
    chart.svg.addEventListener("keydown", (event) => {
      const end = chart.readings.length - 1, from = chart.here < 0 ? end : chart.here;
      const there = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: end, Escape: -1 }[event.key];
      if (there === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      point(chart, event.key === "Escape" ? -1 : Math.max(0, Math.min(end, there)));
    });
  }
})();
