import {
  audit,
  BEFORE,
  byId,
  chosen,
  h,
  interval,
  LINES,
  MEAN,
  measureOf,
  over,
  own,
  place,
  RANDOM,
  s,
  state,
  task,
  text,
} from "./state.js";
import { axes, bar, padded, point, polyline, ready, ticks, told } from "./charts.js";
import { nameOf, rangeWords, seedWords } from "./heads.js";

/* --- by layer --- */

export function drawLayers() {
  const holder = byId("layer-chart"),
    curve = measureOf(task().curves, state.curve);
  holder.replaceChildren();
  if (!curve) {
    byId("curves-note").textContent = "The tables have no values by layer.";
    return;
  }
  const kinds = { before: [BEFORE], after: chosen() },
    lines = [];
  for (const model of state.models) {
    const by = own(own(task().layers, model), curve.key) || {};
    for (const [kind, name] of LINES.filter((line) => state.lines.includes(line[0]))) {
      const random = Object.keys(by).filter((variant) => variant.startsWith(RANDOM));
      const variants = kinds[kind] || random;
      const curves = variants.map((variant) => own(by, variant)).filter((values) => values);
      const count = Math.max(0, ...curves.map((values) => values.length));
      const cells = [...Array(count).keys()].map((layer) =>
        over(curves.map((values) => values[layer])),
      );
      if (cells.some((cell) => cell)) lines.push({ model, kind, name, cells });
    }
  }
  if (!lines.length) {
    holder.append(h("p", { class: "note" }, "This measure has no value for the current choices."));
    return;
  }
  const all = lines.flatMap((line) =>
    line.cells.flatMap((cell) => (cell ? [cell.low, cell.high] : [])),
  );
  const last = Math.max(...lines.map((line) => line.cells.length)) - 1,
    y = padded(all, 0.06);
  const step = Math.max(1, Math.ceil(last / 8));
  const layers = [...Array(last + 1).keys()]
    .filter((k) => k % step === 0)
    .map((k) => [k, String(k)]);
  const chart = axes(
    holder,
    `${curve.name} by layer`,
    250,
    { range: [-0.25, last + 0.25], ticks: layers, label: "Layer (0: embeddings)" },
    { range: y, ticks: ticks(...y, 5), label: curve.name },
  );
  for (const line of lines) {
    const there = line.cells.map((cell, k) => [cell, k]).filter(([cell]) => cell);
    polyline(
      chart,
      there.map(([cell, k]) => [chart.X(k), chart.Y(cell.value)]),
      line.kind,
      line.model,
    );
    for (const [cell, k] of there)
      if (cell.n > 1) bar(chart, line.model, chart.X(k), cell.low, cell.high);
  }
  lines.forEach((line, r) =>
    line.cells.forEach((cell, k) => {
      if (!cell) return;
      const after = line.kind === "after";
      const when = after ? `after (${state.fraction} %, ${seedWords()})` : line.name;
      const lead = `${line.model}, ${when}, layer ${k} of ${line.cells.length - 1}`;
      point(
        chart,
        line.model,
        chart.X(k),
        chart.Y(cell.value),
        r,
        k,
        +cell.value.toPrecision(5),
        lead,
        [
          `${curve.name}: ${text(cell.value)}`,
          ...(cell.n > 1 ? rangeWords(cell) : []),
          curve.group,
        ],
        !after,
      );
    }),
  );
  ready(holder, "lines");
}

export function table(caption, head, rows) {
  return h("table", {}, [
    h("caption", {}, caption),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        head.map((name) => h("th", { scope: "col" }, name)),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map((row) =>
        h(
          "tr",
          {},
          row.map((cell, k) => h(k ? "td" : "th", k ? {} : { scope: "row" }, cell)),
        ),
      ),
    ),
  ]);
}

export function drawLocalization() {
  const holder = byId("localization-table");
  holder.replaceChildren();
  const rows = [];
  for (const model of state.models) {
    const by = own(own(task().layer_localization, model), state.curve);
    if (!by) continue;
    const pair = (measure) => {
      const of = (variants) => over(variants.map((variant) => (own(by, variant) || {})[measure]));
      const [before, after] = [of([BEFORE]), of(chosen())].map((cell) =>
        cell ? (measure === "best" ? text(cell.value) : String(+cell.value.toFixed(1))) : "none",
      );
      return `${before} → ${after}`;
    };
    rows.push([model, pair("best"), pair("reaches"), pair("expected_layer")]);
  }
  if (rows.length)
    holder.append(
      table(
        "Best score, layer that reaches 95 % of it, expected layer: before → after",
        ["Model", "Best", "95 % at", "Expected"],
        rows,
      ),
    );
}

/* --- score by training fraction --- */

export function drawFractions() {
  const holder = byId("fraction-chart"),
    title = byId("fraction-title"),
    known = own(task().scores, state.score);
  holder.replaceChildren();
  title.replaceChildren();
  const fractions = task().fractions;
  if (!known || !fractions.length) return;
  const metric = nameOf(task().metrics, state.score);
  title.append("Score by training fraction", audit("audit", "the scores", "table_scores"));
  const cell = (model, fraction) => {
    const by = own(known, model) || {};
    if (state.seed !== MEAN) return own(by, `f${fraction}-s${state.seed}`);
    const mean = over(task().seeds.map((seed) => own(by, `f${fraction}-s${seed}`)?.[0]));
    return own(by, `f${fraction}`) || (mean && [mean.value, null, null]);
  };
  const lines = [...task().baselines, ...state.models]
    .map((model) => [
      model,
      fractions.map((fraction) => [fraction, cell(model, fraction)]).filter((at) => at[1] && at[1][0] != null),
    ])
    .filter((line) => line[1].length);
  if (!lines.length) return;
  const logs = fractions.map(Math.log),
    yRange = padded(
      lines.flatMap((line) => line[1].flatMap((at) => at[1].filter((v) => v != null))),
      0.06,
    );
  const xRange = padded(logs, 0.08);
  const chart = axes(
    holder,
    `${metric} by training fraction`,
    220,
    {
      range: xRange,
      ticks: fractions.map((fraction) => [Math.log(fraction), String(fraction)]),
      label: "Training fraction (%)",
    },
    { range: yRange, ticks: ticks(...yRange, 5), label: metric },
  );
  const middle = chart.X(Math.log(state.fraction));
  chart.svg.insertBefore(
    s("rect", {
      class: "band",
      x: middle - 14,
      width: 28,
      y: chart.top,
      height: chart.bottom - chart.top,
    }),
    chart.svg.firstChild,
  );
  const dashes = ["2 3", "8 3", "8 3 2 3", "4 2 1 2"],
    count = state.models.length;
  const at = (model, fraction) =>
    chart.X(Math.log(fraction)) +
    (place(model) < 0 ? 0 : 5 * (state.models.indexOf(model) - (count - 1) / 2));
  lines.forEach(([model, cells]) => {
    const points = cells.map(([fraction, values]) => [at(model, fraction), chart.Y(values[0])]);
    const line = polyline(chart, points, place(model) < 0 ? "level" : "after", model);
    if (place(model) < 0) {
      line.setAttribute("stroke-dasharray", dashes[task().baselines.indexOf(model) % 4]);
      return;
    }
    for (const [fraction, values] of cells)
      if (values[1] != null) bar(chart, model, at(model, fraction), values[1], values[2]);
  });
  lines.forEach(([model, cells], r) =>
    cells.forEach(([fraction, values]) => {
      const words = [`${metric}: ${text(values[0])}`];
      if (values[1] != null)
        words.push(`${interval()}: ${text(values[1])} to ${text(values[2])}`);
      const lead = `${model}, ${fraction} % of the data, ${seedWords()}`,
        baseline = place(model) < 0;
      const x = at(model, fraction),
        y = chart.Y(values[0]);
      if (!baseline) {
        point(chart, model, x, y, r, fractions.indexOf(fraction), values[0], lead, words, false);
        return;
      }
      const dot = s("g", { class: "baseline" }, [
        s("circle", { class: "hit", cx: x, cy: y, r: 9 }),
        s("circle", { class: "mark", cx: x, cy: y, r: 1.6 }),
      ]);
      chart.svg.append(told(dot, r, fractions.indexOf(fraction), values[0], lead, words));
    }),
  );
  const names = task().baselines.map((model, k) =>
    h("span", {}, [
      s(
        "svg",
        { class: "swatch baseline", width: 30, height: 8, "aria-hidden": "true" },
        s("path", { class: "line", d: "M0,4L30,4", "stroke-dasharray": dashes[k % 4] }),
      ),
      model,
    ]),
  );
  holder.append(h("div", { class: "key" }, names));
  ready(holder, "lines");
}
