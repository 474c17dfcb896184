"""The explorer's script: the panel of associations, the choices, and the start."""

from __future__ import annotations

START = r"""
/* --- inner measure and score --- */

function drawPoints() {
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
    const picked = ([, share, seed]) =>
      String(share) === state.share && (state.seed === MEAN || String(seed) === state.seed);
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
  const statistics = own(own(task().association, state.score), state.inner);
  if (statistics) {
    const rows = [
      ["spearman", "Spearman's ρ"],
      ["spearman leave-one-model-out", "… one model left out"],
      ["within-model slope", "Slope within models"],
    ]
      .filter(([key]) => own(statistics, key))
      .map(([key, words]) => {
        const [value, low, high] = statistics[key];
        return [words, text(value), low == null ? "no interval" : `${text(low)} to ${text(high)}`];
      });
    const count = (own(statistics, "spearman") || [0, 0, 0, 0])[3];
    under.append(
      table(
        `Association over all models, ${count} fine-tuned variants, whichever are shown`,
        ["Statistic", "Value", "Interval"],
        rows,
      ),
    );
    if (!note.textContent)
      note.append(
        `Filled: the chosen share and seed. Open: all other fine-tuned variants. ${interval()} ` +
          "over models; with one model left out, the range. Few models: wide and rough. ",
      );
    note.append(audit("Audit", "the association", "table_association"));
  }
}

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
    "share",
    here.shares.map((share) => ({ key: String(share), name: `${share} %` })),
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
  const [probe] = (state.curve || "").split("|");
  byId("curves-note").replaceChildren(
    "Dashed, open: before. Solid, filled: after. Bars: range over seeds; of scores, ",
    `${interval()}. Grey: baselines. `,
    audit("Audit", "what is drawn by layer", probe ? "table_probes" : "table_similarity"),
  );
  drawHeads();
  drawLayers();
  drawEntry();
  drawShares();
  drawPoints();
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
"""
