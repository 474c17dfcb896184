import {
  allowed,
  audit,
  byId,
  content,
  fragmentOf,
  h,
  interval,
  LINES,
  linked,
  MEAN,
  measureOf,
  remember,
  s,
  state,
  stateOf,
  task,
  tasks,
} from "./state.js";
import { swatch } from "./charts.js";
import { leave } from "./pointer.js";
import { drawHeads, summary } from "./heads.js";
import { drawLocalization, drawLayers, drawFractions } from "./curves.js";
import { drawPoints } from "./association.js";
import { drawEvaluation } from "./evaluation.js";

/* --- choices --- */

function fill(id, options) {
  const select = byId(id);
  select.replaceChildren(...options.map(({ key, name }) => h("option", { value: key }, name)));
  select.value = state[id] ?? "";
  select.disabled = options.length < 2;
}

function boxes(id, name, names, picked, look) {
  byId(id).replaceChildren(
    byId(id).querySelector("legend"),
    ...names.map(([value, words]) => {
      const box = h("input", { type: "checkbox", name, value });
      box.checked = picked.includes(value);
      return h("label", {}, [box, look(value), words]);
    }),
  );
}

function fillChoices() {
  const here = task(),
    plain = (key) => ({ key, name: key });
  fill("task", tasks.map(plain));
  fill("score", here.metrics);
  fill(
    "fraction",
    here.fractions.map((fraction) => ({ key: String(fraction), name: `${fraction} %` })),
  );
  fill(
    "seed",
    allowed("seed").map((seed) => ({ key: seed, name: seed === MEAN ? "Mean of seeds" : seed })),
  );
  fill("attention", here.measures);
  fill(
    "curve",
    here.curves.map(({ key, group, name }) => ({ key, name: `${group}: ${name}` })),
  );
  fill("inner", here.inner);
  boxes(
    "models",
    "model",
    here.models.map((model) => [model, model]),
    state.models,
    swatch,
  );
  const dash = (kind) =>
    s(
      "svg",
      { class: `swatch baseline ${kind}`, width: 24, height: 8, "aria-hidden": "true" },
      s("path", { class: "line", d: "M0,4L24,4" }),
    );
  boxes("lines", "line", LINES, state.lines, dash);
}

function draw() {
  leave();
  const curve = measureOf(task().curves, state.curve);
  byId("curves-note").replaceChildren(
    "Dashed, open: before. Solid, filled: after. Bars: range over seeds; for scores, ",
    `${interval()}. Grey: baselines. `,
    curve ? audit("Audit", "the values by layer", `table_${curve.table}`) : "",
  );
  drawHeads();
  drawLayers();
  drawLocalization();
  drawFractions();
  drawPoints();
  drawEvaluation();
  byId("readout").textContent = summary();
}

function start() {
  if (!tasks.length) {
    byId("main").replaceChildren(h("p", {}, "The study's tables are empty."));
    byId("main").hidden = false;
    return;
  }
  const read = () => {
    const named = new URLSearchParams(location.hash.slice(1)).get("task");
    state.task = tasks.includes(named) ? named : tasks[0];
    stateOf(location.hash);
    fillChoices();
    draw();
  };
  byId("main").hidden = false;
  read();
  addEventListener("hashchange", read);
  document.addEventListener("change", (event) => {
    const { id, name, value } = event.target;
    if (name === "model")
      state.models = task().models.filter(
        (model) => document.querySelector(`#models input[value="${CSS.escape(model)}"]`).checked,
      );
    else if (name === "line")
      state.lines = LINES.map((line) => line[0]).filter(
        (kind) => document.querySelector(`#lines input[value="${kind}"]`).checked,
      );
    else state[id] = value;
    if (id === "task") {
      stateOf(fragmentOf().replace(/[#&]model=[^&]*/g, ""));
      fillChoices();
    }
    remember();
    draw();
  });
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) {
      width = innerWidth;
      draw();
    }
  });
  const folder = `results/${content.study}`;
  const command = `python workflow/scripts/audit.py ${folder} --html ${folder}/audit.html`;
  const where = "Where every number comes from";
  byId("sources").append(
    linked
      ? h("a", { href: "audit.html#job-explorer" }, where)
      : `${where}: audit.html beside the report`,
    ".",
  );
  byId("missing").append(
    "The audit is audit.html beside this page; if it is missing, ",
    h("code", {}, command),
    " writes it.",
  );
}
start();
