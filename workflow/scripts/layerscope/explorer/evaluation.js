import { audit, byId, chosen, own, over, state, task, text } from "./state.js";
import { axes, point, polyline, ready, ticks } from "./charts.js";
import { seedWords } from "./heads.js";
import { table } from "./curves.js";

/* --- confidence, and scores of classes --- */

/* Bins of a model over variants: confidence and accuracy weighted by how many answers they have. */
function binsOf(by, variants) {
  const bins = new Map();
  for (const [confidence, accuracy, count] of variants.flatMap((name) => own(by, name) || [])) {
    const bin = Math.min(Math.floor(confidence * 15), 14),
      sums = bins.get(bin) || [0, 0, 0];
    bins.set(bin, [sums[0] + count * confidence, sums[1] + count * accuracy, sums[2] + count]);
  }
  return [...bins.entries()]
    .sort((a, b) => a[0] - b[0])
    .map(([, [confidence, accuracy, count]]) => [confidence / count, accuracy / count, count]);
}

export function drawEvaluation() {
  const holder = byId("bins-chart"),
    under = byId("classes-table"),
    note = byId("evaluation-note");
  holder.replaceChildren();
  under.replaceChildren();
  const here = task().evaluation,
    variants = chosen();
  const lines = state.models
    .map((model) => [model, binsOf(own(here.bins, model), variants)])
    .filter((line) => line[1].length);
  if (!lines.length) {
    note.textContent = "The tables have no error analysis for the current choices.";
    return;
  }
  const shares = { range: [-0.02, 1.02], ticks: ticks(0, 1, 5) };
  const chart = axes(
    holder,
    "Accuracy of answers by confidence",
    300,
    { ...shares, label: "Confidence" },
    { ...shares, label: "Accuracy" },
  );
  const line = (points, kind, model) =>
    polyline(
      chart,
      points.map(([x, y]) => [chart.X(x), chart.Y(y)]),
      kind,
      model,
    );
  line(
    [
      [0, 0],
      [1, 1],
    ],
    "level",
    "",
  );
  for (const [model, bins] of lines) line(bins, "after", model);
  lines.forEach(([model, bins], r) =>
    bins.forEach(([confidence, accuracy, count], k) => {
      const lead = `${model}, ${state.fraction} % of the data, ${seedWords()}`;
      point(
        chart,
        model,
        chart.X(confidence),
        chart.Y(accuracy),
        r,
        k,
        accuracy,
        lead,
        [
          `Accuracy: ${text(accuracy)}`,
          `Confidence: ${text(confidence)}`,
          `${count} answers`,
        ],
        false,
      );
    }),
  );
  ready(holder, "bins");
  const cell = (model, column) =>
    over(variants.map((name) => (own(own(here.values, model), name) || {})[column]));
  under.append(
    table(
      `After fine-tuning on ${state.fraction} %, ${seedWords()}`,
      ["Model", ...here.columns],
      lines.map(([model]) => [
        model,
        ...here.columns.map((column) => text(cell(model, column)?.value)),
      ]),
    ),
  );
  note.replaceChildren(
    "On the grey line, answers are right as often as the model is confident. Intervals are in the table error_analysis. ",
    audit("Audit", "the error analysis", "table_error_analysis"),
  );
}
