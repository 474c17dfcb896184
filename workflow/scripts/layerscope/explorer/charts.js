import { colourClass, place, s } from "./state.js";

export const CIVIDIS = [
  "#00224e",
  "#083370",
  "#35456c",
  "#4f576c",
  "#666970",
  "#7d7c78",
  "#948e77",
  "#aea371",
  "#c8b866",
  "#e5cf52",
  "#fee838",
];
export const CHANGE = ["#0072b2", "#7fb8d8", "#f2f2f2", "#eaae80", "#d55e00"];
export const details = new WeakMap();

function colourAt(stops, share) {
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2),
    part = at - low;
  const channel = (stop, k) => parseInt(stop.slice(1 + 2 * k, 3 + 2 * k), 16);
  const mixed = [0, 1, 2].map((k) =>
    Math.round(channel(stops[low], k) * (1 - part) + channel(stops[low + 1], k) * part),
  );
  return `rgb(${mixed.join(",")})`;
}

/* Whole steps of 1, 2 or 5 that cover a range, about as many as asked for. */
export function ticks(low, high, count) {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / count,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough * 0.7);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * span; k++)
    found.push(k * step);
  const digits = Math.min(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), 8);
  return found.map((at) => [
    at,
    at
      .toFixed(digits)
      .replace(/^-(0\.?0*)$/, "$1")
      .replace(/-/, "\u2212"),
  ]);
}

export function padded(values, share) {
  const low = Math.min(...values),
    high = Math.max(...values);
  const room = (high - low) * share || Math.abs(high) * 0.1 || 0.1;
  return [low - room, high + room];
}

/* An empty chart with axes; x and y: {range, ticks, label}. */
export function axes(holder, label, height, x, y) {
  const width = Math.max(holder.clientWidth, 200),
    left = 54,
    bottom = 36,
    top = 8,
    right = 12;
  const svg = s("svg", {
    width,
    height,
    role: "group",
    "aria-label": `${label}. Arrow keys go from point to point.`,
  });
  const X = (v) => left + ((v - x.range[0]) / (x.range[1] - x.range[0])) * (width - left - right);
  const Y = (v) =>
    height - bottom - ((v - y.range[0]) / (y.range[1] - y.range[0])) * (height - top - bottom);
  const back = s("g", { "aria-hidden": "true" });
  for (const [at, name] of y.ticks) {
    back.append(
      s("line", { class: "grid", x1: left, x2: width - right, y1: Y(at), y2: Y(at) }),
      s("text", { x: left - 6, y: Y(at) + 4, "text-anchor": "end" }, name),
    );
  }
  for (const [at, name] of x.ticks) {
    back.append(
      s("line", { class: "grid", x1: X(at), x2: X(at), y1: top, y2: height - bottom }),
      s("text", { x: X(at), y: height - bottom + 15, "text-anchor": "middle" }, name),
    );
  }
  back.append(
    s("line", {
      class: "axis",
      x1: left,
      x2: width - right,
      y1: height - bottom,
      y2: height - bottom,
    }),
    s("text", { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle" }, x.label),
    s(
      "text",
      {
        x: -(top + height - bottom) / 2,
        y: 11,
        "text-anchor": "middle",
        transform: "rotate(-90)",
      },
      y.label,
    ),
  );
  svg.append(back);
  holder.append(svg);
  return { svg, X, Y, top, left, bottom: height - bottom, right: width - right };
}

/* A model's marker, in the order of `core/looks.py`. */
function marker(model, x, y, size, open) {
  const r = size / 2,
    p = Math.max(0, place(model)),
    k = (p + Math.floor(p / 8)) % 8;
  const turned = (points) =>
    points.map(([a, b]) => `${(x + a * r).toFixed(1)},${(y + b * r).toFixed(1)}`).join("L");
  const cross = [
    [-0.35, -1],
    [0.35, -1],
    [0.35, -0.35],
    [1, -0.35],
    [1, 0.35],
    [0.35, 0.35],
    [0.35, 1],
    [-0.35, 1],
    [-0.35, 0.35],
    [-1, 0.35],
    [-1, -0.35],
    [-0.35, -0.35],
  ];
  const star = [...Array(10).keys()].map((i) => {
    const far = i % 2 ? 0.5 : 1.15,
      angle = (Math.PI * i) / 5;
    return [far * Math.sin(angle), -far * Math.cos(angle)];
  });
  const shapes = [
    null,
    [
      [-0.9, -0.9],
      [0.9, -0.9],
      [0.9, 0.9],
      [-0.9, 0.9],
    ],
    [
      [0, -1.1],
      [1.05, 0.8],
      [-1.05, 0.8],
    ],
    [
      [0, -1.15],
      [1.15, 0],
      [0, 1.15],
      [-1.15, 0],
    ],
    [
      [0, 1.1],
      [1.05, -0.8],
      [-1.05, -0.8],
    ],
    cross,
    cross.map(([a, b]) => [0.75 * (a - b), 0.75 * (a + b)]),
    star,
  ];
  const path = k
    ? `M${turned(shapes[k])}Z`
    : `M${x - r},${y}a${r},${r} 0 1,0 ${size},0a${r},${r} 0 1,0 ${-size},0`;
  return s("path", { class: open ? "mark open" : "mark", d: path });
}

export function swatch(model) {
  return s(
    "svg",
    { class: `swatch ${colourClass(model)}`, width: 14, height: 14, "aria-hidden": "true" },
    marker(model, 7, 7, 9),
  );
}

/* Makes an element one that pointer and keys find; r and c are its place among its chart's. */
export function told(made, r, c, value, title, lines) {
  made.setAttribute("data-r", r);
  made.setAttribute("data-c", c);
  if (value != null) made.setAttribute("data-value", value);
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", title);
  made.setAttribute("tabindex", "-1");
  details.set(made, [title, ...lines]);
  return made;
}

export function point(chart, model, x, y, r, c, value, title, lines, open) {
  const made = s("g", { class: colourClass(model) }, [
    s("circle", { class: "hit", cx: x, cy: y, r: 9 }),
    marker(model, x, y, 8, open),
  ]);
  chart.svg.append(told(made, r, c, value, title, lines));
}

export function polyline(chart, points, kind, model) {
  const d = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L");
  const line = s("path", { class: "line", d: `M${d}` });
  chart.svg.append(
    s("g", { class: `${kind} ${colourClass(model)}`, "aria-hidden": "true" }, line),
  );
  return line;
}

export function bar(chart, model, x, low, high) {
  chart.svg.append(
    s("line", {
      class: `range ${colourClass(model)}`,
      x1: x,
      x2: x,
      y1: chart.Y(low),
      y2: chart.Y(high),
      "aria-hidden": "true",
    }),
  );
}

/* The first mark of a chart, or the last that was visited, is where Tab stops. */
export function ready(holder, kind) {
  holder.setAttribute("data-chart", kind);
  const first = holder.querySelector("[data-r]");
  if (first) first.setAttribute("tabindex", "0");
}

/* One map, layers across and heads down. map: {title, values, range, stops, tell(k)};
   skipped: how many columns of the same chart are left of it. */
export function heat(holder, width, shape, map, skipped) {
  const left = 22,
    top = 16,
    bottom = 15,
    high = Math.min(Math.max(Math.round(150 / shape.heads), 8), 18);
  const wide = (width - left) / shape.layers,
    height = top + high * shape.heads + bottom;
  const svg = s("svg", {
    width,
    height,
    role: "group",
    "aria-label": `${map.title}: layers across, heads down. Arrow keys go from head to head.`,
  });
  svg.append(s("text", { class: "title", x: left, y: 11, "aria-hidden": "true" }, map.title));
  const label = (x, y, anchor, name) =>
    svg.append(s("text", { x, y, "text-anchor": anchor, "aria-hidden": "true" }, name));
  const every = (count, room, size) => Math.max(1, Math.ceil((size * count) / room));
  const acrossStep = every(shape.layers, width - left, 20),
    downStep = every(shape.heads, high * shape.heads, 24);
  for (let k = 0; k < shape.layers; k += acrossStep)
    label(left + (k + 0.5) * wide, height - 3, "middle", shape.layer + k);
  for (let k = 0; k < shape.heads; k += downStep)
    label(left - 4, top + (k + 0.5) * high + 4, "end", k);
  for (let k = 0; k < map.values.length; k++) {
    const layer = Math.floor(k / shape.heads),
      head = k % shape.heads,
      value = map.values[k];
    const cell = s("rect", {
      class: value == null ? "cell none" : "cell",
      x: (left + layer * wide).toFixed(2),
      y: top + head * high,
      width: wide.toFixed(2),
      height: high,
    });
    if (value != null) {
      const [low, most] = map.range;
      cell.setAttribute(
        "fill",
        colourAt(map.stops, most > low ? (value - low) / (most - low) : 0.5),
      );
    }
    svg.append(
      told(cell, head, skipped + layer, value, ...map.tell(k, shape.layer + layer, head)),
    );
  }
  holder.append(svg);
}
