import { audit, byId, interval, lacking, MEAN, own, state, task, text } from "./state.js";
import { axes, padded, point, ready, ticks } from "./charts.js";
import { nameOf } from "./heads.js";
import { table } from "./curves.js";

/* --- inner measure and score --- */

export function drawPoints() {
  const holder = byId("points-chart"),
    under = byId("statistics-table"),
    note = byId("association-note");
  holder.replaceChildren();
  under.replaceChildren();
  note.replaceChildren();
  const name = nameOf(task().inner, state.inner),
    metric = nameOf(task().metrics, state.score);
  const points = own(own(task().points, state.score), state.inner) || [];
  const shown = points.filter(
    ([model, , , x, y]) => state.models.includes(model) && x != null && y != null,
  );
  if (!shown.length) note.textContent = "No fine-tuned variant that is chosen has both.";
  else {
    const x = padded(
        shown.map((p) => p[3]),
        0.08,
      ),
      y = padded(
        shown.map((p) => p[4]),
        0.08,
      );
    const chart = axes(
      holder,
      `${metric} against ${name}`,
      330,
      { range: x, ticks: ticks(...x, 4), label: name },
      { range: y, ticks: ticks(...y, 5), label: metric },
    );
    const rank = (k, sign) => {
      const sorted = [...shown].sort((a, b) => sign * (a[k] - b[k]));
      return (p) => sorted.indexOf(p);
    };
    const across = rank(3, 1),
      down = rank(4, -1);
    const picked = ([, fraction, seed]) =>
      String(fraction) === state.fraction && (state.seed === MEAN || String(seed) === state.seed);
    for (const p of [...shown].sort((a, b) => picked(a) - picked(b) || across(a) - across(b))) {
      point(
        chart,
        p[0],
        chart.X(p[3]),
        chart.Y(p[4]),
        down(p),
        across(p),
        p[4],
        `${p[0]}, ${p[1]} % of the data, seed ${p[2]}`,
        [`${name}: ${text(p[3])}`, `${metric}: ${text(p[4])}`],
        !picked(p),
      );
    }
    ready(holder, "scatter");
  }
  const inner = state.inner || "";
  note.prepend(lacking(inner.startsWith("attention") ? "attention" : inner));
  const statistics = own(own(task().association, state.score), state.inner);
  if (statistics) {
    const rows = [
      ["spearman within fractions", "Spearman's ρ within training fractions"],
      ["spearman within fractions, one model left out", "… one model left out (range)"],
      ["spearman over all points", "Spearman's ρ over all points (not interpreted)"],
      ["held-out R2, placebos", "Held-out R², placebos alone"],
      ["held-out R2, placebos and measure", "Held-out R², placebos and this measure"],
    ]
      .filter(([key]) => own(statistics, key))
      .map(([key, words]) => {
        const [value, low, high, , , p] = statistics[key];
        const ends = low == null ? "" : `${text(low)} to ${text(high)}`;
        return [words, text(value), ends, p == null ? "" : text(p)];
      });
    const [, , , count, models] = own(statistics, "spearman within fractions") || [];
    under.append(
      table(
        `Association over all models, ${count} fine-tuned variants of ${models} independent models, ` +
          "whichever are shown",
        ["Statistic", "Value", "Interval or range", "p, corrected"],
        rows,
      ),
    );
    const few = own(task().few, state.score);
    if (shown.length)
      note.append(
        "Filled: the chosen training fraction and seed. Open: all other fine-tuned variants. " +
          (few || `${interval()} over independent models; p by permutation of models.`) +
          " ",
      );
    note.append(audit("Audit", "the association", "table_association"));
  }
}
