import { byId, h, s } from "./state.js";
import { details } from "./charts.js";
import { summary } from "./heads.js";

function show(made, x, y) {
  const [title, ...lines] = details.get(made),
    tip = byId("tip");
  tip.replaceChildren(h("strong", {}, title), ...lines.map((line) => h("span", {}, line)));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 14 + box.width > innerWidth ? x - 14 - box.width : x + 14;
  const top = y + 14 + box.height > innerHeight ? y - 14 - box.height : y + 14;
  tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
}

function say(made) {
  byId("readout").textContent = made ? details.get(made).join(". ") + "." : summary();
}

export function leave() {
  byId("tip").hidden = true;
  document.querySelectorAll(".ring").forEach((ring) => ring.remove());
}

const markOf = (event) => event.target.closest && event.target.closest("[data-r]");

/* Where a key leads from a mark: among points of a scatter by rank across or down, else along
   rows and columns. */
function next(made, key) {
  const chart = made.closest("[data-chart]"),
    all = [...chart.querySelectorAll("[data-r]")];
  const at = (each, axis) => Number(each.getAttribute(`data-${axis}`));
  const across = key === "ArrowLeft" || key === "ArrowRight",
    forward = key === "ArrowRight" || key === "ArrowDown";
  const [along, beside] = across ? ["c", "r"] : ["r", "c"];
  if (key === "Home") return all[0];
  if (key === "End") return all[all.length - 1];
  const bound = across && chart.getAttribute("data-chart") !== "scatter";
  const free = bound ? all.filter((each) => at(each, beside) === at(made, beside)) : all;
  const ahead = free.filter(
    (each) => (at(each, along) - at(made, along)) * (forward ? 1 : -1) > 0,
  );
  const cost = (each) =>
    Math.abs(at(each, along) - at(made, along)) * 1e4 +
    Math.abs(at(each, beside) - at(made, beside));
  return ahead.sort((a, b) => cost(a) - cost(b))[0];
}

document.addEventListener("pointerover", (event) => {
  const made = markOf(event);
  if (made) show(made, event.clientX, event.clientY);
  else if (!document.activeElement.matches("[data-r]")) byId("tip").hidden = true;
});
document.addEventListener("focusin", (event) => {
  const made = markOf(event);
  leave();
  if (!made) return;
  const chart = made.closest("[data-chart]"),
    box = made.getBBox(),
    seen = made.getBoundingClientRect();
  chart.querySelectorAll('[tabindex="0"]').forEach((each) => each.setAttribute("tabindex", "-1"));
  made.setAttribute("tabindex", "0");
  made.closest("svg").append(
    s("rect", {
      class: "ring",
      x: box.x - 1,
      y: box.y - 1,
      width: box.width + 2,
      height: box.height + 2,
      rx: 2,
    }),
  );
  show(made, seen.right - 8, seen.bottom - 8);
  say(made);
});
document.addEventListener("focusout", (event) => {
  if (markOf(event)) {
    leave();
    say(null);
  }
});
document.addEventListener("keydown", (event) => {
  const made = markOf(event);
  if (!made || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape") byId("tip").hidden = true;
  if (!/^(Arrow(Left|Right|Up|Down)|Home|End)$/.test(event.key)) return;
  event.preventDefault();
  const to = next(made, event.key);
  if (to) to.focus();
});
document.addEventListener(
  "scroll",
  () => {
    byId("tip").hidden = true;
  },
  { passive: true },
);
