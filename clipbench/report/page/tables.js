"use strict";
// Tables that sort by a click on a heading, and show the rows that have every word of a filter.
const tables = (() => {
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const isEmpty = (value) => value === "" || value === "–" || value === null || value === undefined;

  // What is not known comes last, whichever way the others go.
  function compare(one, other, sign) {
    if (isEmpty(one) || isEmpty(other)) return isEmpty(one) - isEmpty(other);
    const numbers = [Number(one), Number(other)];
    return sign * (numbers.some(Number.isNaN) ? collator.compare(one, other) : numbers[0] - numbers[1]);
  }

  // Makes a button of every heading. `order(column, sign)` puts the rows in order: sign 1 ascending, -1 descending,
  // 0 as they were. Columns of numbers begin with the largest.
  function sortable(table, order) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      const signs = head.classList.contains("n") ? [-1, 1, 0] : [1, -1, 0];
      let place = 2;
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        place = head.hasAttribute("aria-sort") ? (place + 1) % 3 : 0;
        for (const other of heads) other.removeAttribute("aria-sort");
        if (signs[place]) head.setAttribute("aria-sort", signs[place] > 0 ? "ascending" : "descending");
        order(column, signs[place]);
      });
    });
  }

  function sortRows(table) {
    const rows = [...table.tBodies[0].rows];
    // Of a figure, what stands before its difference or spread.
    const figure = (text) => String(parseFloat(text.replace(/[^-−.\d±+e]/g, "").replace("−", "-"))).replace("NaN", "");
    const value = ({ cells }, column) => {
      const text = cells[column].textContent.trim();
      return cells[column].classList.contains("n") ? figure(text) : text;
    };
    sortable(table, (column, sign) => {
      const sorted = sign ? [...rows].sort((a, b) => compare(value(a, column), value(b, column), sign)) : rows;
      table.tBodies[0].append(...sorted);
    });
  }

  // Calls `show(matches)` as the user types: it gets what tells whether a text has every word, and returns how many
  // rows have, and of how many.
  function filtered(id, show) {
    const box = document.querySelector(`[data-filter="${id}"]`);
    const found = document.querySelector(`[data-found="${id}"]`);
    const apply = () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      const [some, all] = show((text) => words.every((word) => text.toLowerCase().includes(word)), words.length > 0);
      found.textContent = words.length ? `${some.toLocaleString("en")} of ${all.toLocaleString("en")}` : "";
    };
    box.value = ""; // browsers keep what was typed over a reload
    box.addEventListener("input", apply);
    return apply;
  }

  function filterRows(table) {
    const rows = [...table.tBodies[0].rows];
    const texts = rows.map((row) => [row.textContent, ...[...row.querySelectorAll("[title]")].map((e) => e.title)].join(" "));
    filtered(table.id, (matches, any) => {
      rows.forEach((row, i) => { row.hidden = any && (row.classList.contains("section") || !matches(texts[i])); });
      const data = rows.filter((row) => !row.classList.contains("section"));
      return [data.filter((row) => !row.hidden).length, data.length];
    });
  }

  for (const table of document.querySelectorAll("table[data-sort]")) sortRows(table);
  for (const id of ["run-table", "fact-table"]) {
    if (document.querySelector(`[data-filter="${id}"]`)) filterRows(document.getElementById(id));
  }
  return { compare, sortable, filtered };
})();
