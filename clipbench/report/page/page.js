// Draws the charts from the data in the page, and keeps them in step with its switches.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const shown = data.runs.map(() => true);
  const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  // A figure as everywhere on the page: with the decimals of its unit, or four digits that count.
  function number(value, decimals, form = "") {
    if (value === null || value === undefined) return "–";
    if (form.endsWith("%")) return `${(100 * value).toFixed(1)}%`;
    if (form.endsWith("e")) return value === 0 ? "0" : value.toExponential(2);
    const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    const known = decimals !== null && (value === 0 || Math.abs(value) >= 0.5 * 10 ** -decimals);
    return value.toLocaleString("en", known ? digits : { maximumSignificantDigits: 4 }).replace("-", "−");
  }
  const ERRORS_ONLY = 1; // of Vega's log levels
  const failures = [];

  function embed(id, chart, rows, tooltip) {
    const spec = { ...chart, data: { name: "points", values: rows } };
    // A chart whose runs are all switched off has no extent, which Vega would warn of.
    const options = { renderer: "svg", actions: false, logLevel: ERRORS_ONLY, tooltip: { disableDefaultStyle: true, ...tooltip } };
    return vegaEmbed(byId(id), spec, options).then((made) => made.view).catch((error) => {
      failures.push(error);
      byId(id).textContent = "This chart could not be drawn.";
      throw error;
    });
  }
  const draw = (view, rows) => view.data("points", rows).runAsync();

  // --- curves ---

  function lineRows(chart) {
    const rows = [];
    chart.lines.forEach((line, index) => {
      if (!shown[index]) return;
      const width = chart.widths[index];
      for (const [key, curve] of chart.curves) {
        const there = line.x.map((x, i) => [x, line[key][i]]).filter((pair) => pair[1] !== null);
        const every = Math.ceil(there.length / 10);
        there.forEach(([x, value], i) => {
          const mark = i % every === 0 || i === there.length - 1 ? 1 : 0;
          rows.push({ x, value, mark, width, run: data.runs[index], curve });
        });
      }
    });
    return rows;
  }

  // Where a run has something to say of x: at x itself or, where runs have their points elsewhere, the nearest.
  function placeOf(line, x, exact) {
    const at = line.x.indexOf(x);
    if (at >= 0 || exact || !line.x.length || x < line.x[0] || x > line.x[line.x.length - 1]) return at;
    return line.x.reduce((best, other, i) => (Math.abs(other - x) < Math.abs(line.x[best] - x) ? i : best), 0);
  }

  // One row for each run, one column for each curve.
  function valuesAt(chart, x, exact) {
    return chart.lines.map((line, index) => {
      const at = shown[index] ? placeOf(line, x, exact) : -1;
      return at < 0 ? null : [data.runs[index], ...chart.curves.map(([key]) => number(line[key][at], chart.decimals, chart.form))];
    }).filter((row) => row !== null);
  }

  function lineTooltip(chart) {
    return {
      formatTooltip: (value) => {
        const x = Number(value); // of the one field that the tooltip has
        const cells = (row, name) => row.map((cell, i) => `<${name}${i ? ' class="n"' : ""}>${escaped(cell)}</${name}>`);
        const head = ["", ...chart.curves.map((curve) => curve[1])];
        const body = valuesAt(chart, x, chart.exact).map((row) => `<tr>${cells(row, "td").join("")}</tr>`);
        return `<h2>${chart.x} ${number(x, null)}</h2><table><tr>${cells(head, "th").join("")}</tr>${body.join("")}</table>`;
      },
    };
  }

  function fillValues(box, chart) {
    const table = element("table", undefined, { class: "plain" });
    const head = table.createTHead().insertRow();
    head.append(element("th", chart.x, { scope: "col" }), element("th", "run", { scope: "col" }));
    for (const [, label] of chart.curves) head.append(element("th", label, { class: "n", scope: "col" }));
    const body = table.createTBody();
    const places = [...new Set(chart.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
    for (const x of places) {
      for (const [label, ...values] of valuesAt(chart, x, true)) {
        const row = body.insertRow();
        row.append(element("td", number(x, null)), element("td", label), ...values.map((v) => element("td", v, { class: "n" })));
      }
    }
    box.replaceChildren(table);
  }

  const drawn = [];
  for (const chart of data.charts) {
    const ready = embed(`chart-${chart.name}`, chart.spec, lineRows(chart), lineTooltip(chart));
    drawn.push(() => ready.then((view) => draw(view, lineRows(chart))));
  }
  if (data.comparison) {
    const rows = () => data.differences.filter((_, i) => shown[i]).flat();
    const ready = embed("chart-comparison", data.comparison, rows(), {});
    drawn.push(() => ready.then((view) => draw(view, rows())));
  }
  for (const details of document.querySelectorAll("details.values")) {
    const fill = () => {
      if (details.open) fillValues(details.querySelector(".scroll"), data.charts[Number(details.dataset.chart)]);
    };
    details.addEventListener("toggle", fill);
    drawn.push(() => fill());
  }
  const drawAll = () => Promise.all(drawn.map((one) => one()));

  for (const box of document.querySelectorAll("input[data-switch]")) {
    box.checked = true; // browsers keep what was chosen over a reload
    box.addEventListener("change", () => {
      const index = Number(box.dataset.switch);
      shown[index] = box.checked;
      for (const cell of document.querySelectorAll(`[data-run="${index}"]`)) cell.hidden = !box.checked;
      drawAll();
    });
  }

  // --- history ---

  const history = data.history;
  const chosen = { series: byId("history-series"), metric: byId("history-metric"), by: byId("history-by"), last: byId("history-last") };
  // Of a series in which no case completed.
  const NOTHING = { words: "Nothing was measured", unit: "", decimals: null, values: [], gates: [], bands: [], against: "reference" };
  const ROWS = 25;
  let rowsShown = ROWS;
  let view = null;
  let drawnBy = null;

  function chosenMetric() {
    const series = history.series[Number(chosen.series.value)];
    return [series, series.metrics[Number(chosen.metric.value)] ?? NOTHING];
  }

  function fillMetrics() {
    const before = chosen.metric.selectedOptions[0]?.textContent;
    const options = history.series[Number(chosen.series.value)].metrics.map((metric, i) => element("option", metric.words, { value: i }));
    chosen.metric.replaceChildren(...options);
    const names = history.series[Number(chosen.series.value)].metrics.map((metric) => metric.name);
    const same = options.findIndex((option) => option.textContent === before);
    chosen.metric.selectedIndex = same >= 0 ? same : Math.max(0, names.indexOf("recall_mean"));
  }

  const source = (series, i) => history.commits[series.commit[i]] + (series.dirty.includes(i) ? " dirty" : "");
  const date = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");

  function historyRows(series, metric, by, first) {
    const slots = [...new Set(series.commit.slice(first))].sort((a, b) => a - b);
    const place = new Map(slots.map((slot, i) => [slot, i]));
    const x = (i) => (by === "date" ? series.seconds[i] * 1000 : place.get(series.commit[i]));
    const rows = [];
    for (let i = first; i < series.runs.length; i += 1) {
      if (metric.values[i] === null || metric.values[i] === undefined || metric.gates[i] < 0) continue;
      const status = history.gates[metric.gates[i]];
      const value = `${number(metric.values[i], metric.decimals)} ${metric.unit}`;
      const words = [value, status, date(series.seconds[i]), source(series, i), series.runs[i]].join("\n");
      rows.push({ x: x(i), value: metric.values[i], status, words, band: false });
    }
    rows.sort((a, b) => (a.status !== "pass") - (b.status !== "pass")); // what does not pass is drawn on top
    const end = series.runs.length - 1;
    const bands = metric.bands.map(([start, ...rest]) => [Math.max(start, first), ...rest]);
    if (bands.length) bands.push([end, ...bands[bands.length - 1].slice(1)]);
    for (const [start, reference, low, high] of bands) rows.push({ x: x(start), reference, low, high, band: true });
    return [rows, slots.map((slot) => history.commits[slot])];
  }

  function fillKey(rows) {
    const symbols = { circle: "●", square: "■", "triangle-up": "▲", "triangle-down": "▼", "triangle-right": "▶", cross: "✚", diamond: "◆" };
    const scale = data.history_charts.date.layer[3].encoding;
    const seen = new Set(rows.filter((row) => !row.band).map((row) => row.status));
    const keys = scale.shape.scale.domain.map((status, i) => [status, symbols[scale.shape.scale.range[i]], scale.color.scale.range[i]]);
    byId("history-key").replaceChildren(...keys.filter(([status]) => seen.has(status)).map(([status, symbol, colour]) => {
      const key = element("span");
      key.append(element("span", symbol, { style: `color:${colour}`, "aria-hidden": "true" }), ` ${status}`);
      return key;
    }));
  }

  // Cells of a result as they are read, and as they sort.
  function cellsOf(series, metric, i) {
    const value = metric.values[i];
    const said = value === null || value === undefined ? "–" : `${number(value, metric.decimals)} ${metric.unit}`;
    const gate = history.gates[metric.gates[i]] ?? "–";
    const texts = [date(series.seconds[i]), source(series, i), series.runs[i], said, gate, history.statuses[series.status[i]]];
    return { texts, keys: [series.seconds[i], texts[1], texts[2], value, gate, texts[5]] };
  }

  function fillTable(series, metric) {
    const all = series.runs.map((_, i) => cellsOf(series, metric, i)).reverse();
    const found = all.filter((cells) => wanted(cells.texts.join(" ")));
    if (sorted.sign) found.sort((a, b) => tables.compare(a.keys[sorted.column], b.keys[sorted.column], sorted.sign));
    byId("history-value").textContent = metric.words;
    byId("history-table").tBodies[0].replaceChildren(...found.slice(0, rowsShown).map(({ texts }) => {
      const row = element("tr");
      row.append(...texts.map((text, i) => element("td", text, i === 3 ? { class: "n" } : {})));
      return row;
    }));
    byId("history-more").hidden = rowsShown >= found.length;
    byId("history-more").textContent = `Show more (${Math.min(rowsShown, found.length)} of ${found.length.toLocaleString("en")})`;
    return [found.length, all.length];
  }

  let wanted = () => true;
  let sorted = { column: 0, sign: 0 };
  tables.sortable(byId("history-table"), (column, sign) => {
    sorted = { column, sign };
    fillTable(...chosenMetric());
  });
  tables.filtered("history-table", (matches) => {
    wanted = matches;
    return fillTable(...chosenMetric());
  });

  function inBandWords(metric) {
    const [, reference, low, high] = metric.bands[metric.bands.length - 1] ?? [];
    const form = (value) => number(value, metric.decimals);
    if (reference === null || reference === undefined) return "no reference";
    return `dashed: ${metric.against} ${form(reference)}` + (low === null ? "" : `, band from ${form(low)} to ${form(high)}`);
  }

  async function drawHistory() {
    const [series, metric] = chosenMetric();
    const by = chosen.by.value;
    const last = Number(chosen.last.value);
    const [rows, slots] = historyRows(series, metric, by, last ? Math.max(0, series.runs.length - last) : 0);
    byId("history-title").textContent = metric.words;
    byId("history-band").textContent = [metric.unit, inBandWords(metric)].filter(Boolean).join("; ");
    fillKey(rows);
    fillTable(series, metric);
    if (drawnBy !== by) {
      drawnBy = by;
      view = embed("chart-history", { ...data.history_charts[by], params: [{ name: "slots", value: slots }] }, rows, {
        formatTooltip: (value) => escaped(typeof value === "object" ? value.words : value).replace(/\n/g, "<br>"),
      });
    }
    const ready = await view;
    ready.signal("slots", slots);
    await draw(ready, rows);
  }

  chosen.series.addEventListener("change", () => { rowsShown = ROWS; fillMetrics(); drawHistory(); });
  for (const name of ["metric", "by", "last"]) chosen[name].addEventListener("change", drawHistory);
  byId("history-more").addEventListener("click", () => { rowsShown += 200; fillTable(...chosenMetric()); });
  fillMetrics();

  // For tests and scripts: settles when all charts are drawn.
  window.clipbenchReport = { ready: Promise.all([drawAll(), drawHistory()]), failures };
})();
