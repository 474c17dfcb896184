export const content = JSON.parse(document.getElementById("content").textContent);
export const byId = (id) => document.getElementById(id);
export const BEFORE = "pretrained",
  RANDOM = "random",
  MEAN = "mean";
export const LINES = [
  ["before", "before"],
  ["after", "after"],
  ["random", "random weights"],
];
export const tasks = Object.keys(content.tasks);
const order = Object.keys(content.models);
export const state = {};

export const task = () => content.tasks[state.task];
export const own = (object, key) =>
  object && Object.prototype.hasOwnProperty.call(object, key) ? object[key] : undefined;

/* Which of the chosen models an analysis is not applicable to, and why. */
export function lacking(analysis) {
  const reason = (model) => own(own(task().missing, model), analysis);
  return state.models
    .filter(reason)
    .map((model) => `${model}: ${analysis} not applicable (${reason(model)}). `)
    .join("");
}

/* The values that each choice may take, the default first. */
export function allowed(key) {
  const here = task();
  switch (key) {
    case "task":
      return tasks;
    case "score":
      return here.metrics.map((metric) => metric.key);
    case "fraction":
      return here.fractions.map(String).reverse();
    case "seed":
      return (here.seeds.length > 1 ? [MEAN] : []).concat(here.seeds.map(String));
    case "attention":
      return here.measures.map((measure) => measure.key);
    case "curve":
      return [...here.curves].sort((a, b) => b.first - a.first).map((c) => c.key);
    case "inner":
      return [here.first, ...here.inner.map((measure) => measure.key)];
  }
}

/* The state that an address describes; what it omits or misspells has its default. */
export function stateOf(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  for (const key of ["task", "score", "fraction", "seed", "attention", "curve", "inner"]) {
    const known = allowed(key),
      value = given.get(key);
    state[key] = known.includes(value) ? value : known[0];
  }
  const some = (key, names, fallback) =>
    given.has(key) ? names.filter((name) => given.getAll(key).includes(name)) : fallback;
  state.models = some("model", task().models, task().models);
  state.lines = some(
    "line",
    LINES.map((line) => line[0]),
    ["before", "after"],
  );
}

export function fragmentOf() {
  const given = new URLSearchParams();
  for (const key of ["task", "score", "fraction", "seed", "attention", "curve", "inner"]) {
    if (state[key] != null) given.set(key, state[key]);
  }
  const many = (key, values) =>
    values.length ? values.forEach((value) => given.append(key, value)) : given.set(key, "");
  if (state.models.length < task().models.length) many("model", state.models);
  many("line", state.lines);
  return "#" + given;
}

export function remember() {
  try {
    history.replaceState(null, "", fragmentOf());
  } catch {
    /* A page inside a report has no address of its own. */
  }
}

/* The chosen fine-tuned variants: of one seed, or of all. */
export function chosen() {
  const seeds = state.seed === MEAN ? task().seeds : [state.seed];
  return state.fraction == null ? [] : seeds.map((seed) => `f${state.fraction}-s${seed}`);
}

/* Mean and range of the values that exist; null if none does. */
export function over(values) {
  const there = values.filter((value) => value != null);
  if (!there.length) return null;
  const mean = there.reduce((sum, value) => sum + value, 0) / there.length;
  return { value: mean, low: Math.min(...there), high: Math.max(...there), n: there.length };
}

export function text(value) {
  if (value == null) return "none";
  const size = Math.abs(value);
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
  const written = size && size < 0.001 ? value.toPrecision(2) : value.toFixed(digits);
  return written.replace(/-/g, "\u2212");
}

export const measureOf = (list, key) => list.find((each) => each.key === key);
export const place = (model) => order.indexOf(model);
export const colourClass = (model) => (place(model) < 0 ? "baseline" : `m${place(model) % 8}`);
export const interval = () => `${+(100 * content.confidence).toFixed(1)} % interval`;

/* Elements: text is never read as markup. */
function element(space, name, attributes, children) {
  const made = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value != null) made.setAttribute(key, value);
  }
  made.append(...[].concat(children ?? []));
  return made;
}
export const h = (name, attributes, children) => element(null, name, attributes, children);
export const s = (name, attributes, children) =>
  element("http://www.w3.org/2000/svg", name, attributes, children);

/* A link to a job's card in the audit; none in a report, where the page has no place of its own. */
export const linked = location.protocol !== "data:";

export function audit(label, of, ...job) {
  const href = `audit.html#${["job", ...job].map(encodeURIComponent).join("-")}`;
  return linked ? h("a", { href, "aria-label": `${label} of ${of}` }, label) : "";
}
