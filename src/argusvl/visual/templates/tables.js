// The head of a column sorts the table by it: numbers from the largest, texts from the first; again: the other way.
(() => {
  "use strict";
  const value = (cell) => {
    const text = cell.textContent.trim();
    const digits = text.replace(/\s/g, "");
    return cell.tagName !== "TH" && digits !== "" && isFinite(digits) ? Number(digits) : text;
  };

  const sort = (table, column, direction) => {
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, value: value(row.cells[column]) }));
    rows.sort((a, b) => {
      if (typeof a.value !== typeof b.value) return typeof a.value === "number" ? -1 : 1; // a dash comes last
      return sign * (typeof a.value === "number" ? a.value - b.value : a.value.localeCompare(b.value));
    });
    table.tBodies[0].append(...rows.map(({ row }) => row));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (head.classList.contains("outcome")) return; // bars, not numbers
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const [usual, other] = column ? ["descending", "ascending"] : ["ascending", "descending"];
        const direction = head.getAttribute("aria-sort") === usual ? other : usual;
        sort(table, column, direction);
        for (const each of heads) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", direction);
      });
    });
  }
})();
