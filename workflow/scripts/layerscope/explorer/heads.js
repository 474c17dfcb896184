import {
  audit,
  BEFORE,
  byId,
  chosen,
  h,
  interval,
  lacking,
  MEAN,
  measureOf,
  over,
  own,
  state,
  task,
  text,
} from "./state.js";
import { CHANGE, CIVIDIS, heat, ready, swatch } from "./charts.js";

export const seedWords = () =>
  state.seed === MEAN ? `mean of ${task().seeds.length} seeds` : `seed ${state.seed}`;
const fractionWords = () => (state.fraction == null ? "no fine-tuning" : `${state.fraction} % of the data`);
export const nameOf = (list, key) => (measureOf(list, key) || { name: "" }).name;

export function summary() {
  const models = state.models.length === 1 ? state.models[0] : `${state.models.length} models`;
  return (
    `${state.task}: ${models}; after fine-tuning on ${fractionWords()}, ${seedWords()}.` +
    " Hover over a number, or move to it with the keyboard, to read it."
  );
}

/* --- layers and heads --- */

/* Value of a cell for variants: their mean; of one alone, with its interval. */
function cellOf(values, measure, variants, k) {
  const by = own(values, measure) || {};
  const found = over(variants.map((variant) => own(by, variant) && by[variant][0][k]));
  if (found && variants.length === 1 && by[variants[0]].length === 3) {
    return { value: found.value, low: by[variants[0]][1][k], high: by[variants[0]][2][k], n: 0 };
  }
  return found;
}

export function rangeWords(cell) {
  if (!cell || cell.low == null || cell.n === 1) return [];
  const of = cell.n ? `range over ${cell.n} seeds` : `${interval()} over examples`;
  return [`${of}: ${text(cell.low)} to ${text(cell.high)}`];
}

export function drawHeads() {
  const holder = byId("heads-charts"),
    key = byId("heads-key"),
    note = byId("heads-note");
  holder.replaceChildren();
  key.replaceChildren();
  note.replaceChildren();
  const measure = measureOf(task().measures, state.attention),
    without = lacking("attention");
  if (!measure) {
    note.textContent = without || "The tables have no attention measures.";
    return;
  }
  const after = chosen(),
    blocks = [];
  for (const model of state.models) {
    const shape = own(task().attention, model);
    if (!shape) continue;
    const cells = (variants) =>
      [...Array(shape.layers * shape.heads).keys()].map((k) =>
        cellOf(shape.values, measure.key, variants, k),
      );
    const now = cells(after),
      before = measure.before ? cells([BEFORE]) : null;
    const change =
      before && now.map((cell, k) => (cell && before[k] ? cell.value - before[k].value : null));
    blocks.push({ model, shape, now, before, change });
  }
  const values = blocks
    .flatMap((b) => [...b.now, ...(b.before || [])])
    .filter((cell) => cell)
    .map((cell) => cell.value);
  if (!values.length) {
    note.textContent = without || "This measure has no value for the current choices.";
    return;
  }
  const range = [Math.min(...values), Math.max(...values)];
  const most = Math.max(
    ...blocks.flatMap((b) => b.change || []).map((v) => Math.abs(v ?? 0)),
    1e-12,
  );
  /* Dark means most change, as in the figures: low values, except for a divergence. */
  const sequential = measure.key.startsWith("jsd") ? [...CIVIDIS].reverse() : CIVIDIS;
  const scale = (stops, low, high, name) => {
    const strip = h("i");
    strip.style.background = `linear-gradient(to right, ${stops.join(",")})`;
    key.append(
      h("span", {}, [
        h("b", {}, name),
        h("span", {}, text(low)),
        strip,
        h("span", {}, text(high)),
      ]),
    );
  };
  scale(sequential, ...range, measure.before ? "Value" : measure.name);
  if (measure.before) scale(CHANGE, -most, most, "Change");
  for (const b of blocks) {
    const title = h("h3", {}, [
      swatch(b.model),
      b.model,
      audit(
        "audit",
        `the heads of ${b.model}`,
        measure.key === "importance" ? "part_head_importance" : "part_attention",
        b.model,
        state.task,
      ),
    ]);
    const maps = h("div", { class: "maps" }),
      block = h("div", { class: "block" }, [title, maps]);
    holder.append(block);
    const references = (k) =>
      measure.references.flatMap((reference) => {
        const cell = cellOf(b.shape.values, reference.key, after, k);
        return cell ? [`${reference.name}: ${text(cell.value)}`] : [];
      });
    const tell = (when, cells, more) => (k, layer, head) => [
      `${b.model}, ${when}, layer ${layer}, head ${head}`,
      [`${measure.name}: ${text(cells[k]?.value)}`, ...rangeWords(cells[k]), ...more(k)],
    ];
    const tuned = `${state.fraction} %, ${seedWords()}`,
      plain = (cells) => cells.map((cell) => cell && cell.value);
    const shown = [];
    if (b.before)
      shown.push({
        title: "Before",
        values: plain(b.before),
        range,
        stops: sequential,
        tell: tell("before", b.before, () => []),
      });
    shown.push({
      title: !measure.compares
        ? `After (${state.fraction} %)`
        : `Before vs. after (${state.fraction} %)`,
      values: plain(b.now),
      range,
      stops: sequential,
      tell: tell(tuned, b.now, references),
    });
    if (b.change)
      shown.push({
        title: "Change",
        values: b.change,
        range: [-most, most],
        stops: CHANGE,
        tell: (k, layer, head) => [
          `${b.model}, change, layer ${layer}, head ${head}`,
          [
            `${measure.name}, after minus before: ${text(b.change[k])}`,
            `before ${text(b.before[k]?.value)}, after ${text(b.now[k]?.value)} (${tuned})`,
          ],
        ],
      });
    const room = maps.clientWidth || 300;
    const beside =
      [shown.length, 2, 1].find(
        (n) =>
          n <= shown.length && (room - 8 * (n - 1)) / n - 22 >= Math.min(5 * b.shape.layers, 90),
      ) || 1;
    const width = Math.floor((room - 8 * (beside - 1)) / beside) - 1;
    shown.forEach((map, i) => heat(maps, width, b.shape, map, i * b.shape.layers));
    ready(maps, "grid");
  }
  note.textContent =
    without +
    "Layers across, heads down; all models share one scale. " +
    (!measure.compares
      ? ""
      : "This measure compares each head before and after fine-tuning; darker means more change.");
}
