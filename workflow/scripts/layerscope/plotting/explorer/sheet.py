"""The explorer's style sheet: light and dark, from a phone's width up."""

from __future__ import annotations

from layerscope.plotting.style import looks

#: Colours of models on a dark ground: those of `style.looks`, lighter, in their order.
_DARK = (
    "#4BA3E3", "#F0803C", "#2BC79B", "#E3A3C8", "#F2B33D", "#9AD4F7", "#FFFFFF", "#DCCB3C",
)  # fmt: skip


def sheet() -> str:
    """CSS, with a class `m0`, `m1`, … of each model's colour."""
    names = [str(i) for i in range(len(_DARK))]
    light = "".join(f".m{name} {{ --c: {look.colour}; }}\n" for name, look in looks(names).items())
    dark = "".join(f".m{i} {{ --c: {colour}; }}\n" for i, colour in enumerate(_DARK))
    return f"{_SHEET}{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


_SHEET = """
:root { color-scheme: light dark; --paper: #fff; --card: #fff; --ink: #1c2024; --quiet: #57606a;
  --line: #d4d8dd; --grid: #e8eaed; --link: #0a5ca8; --focus: #c2185b; --band: #eef2f6;
  --none: #dcdfe3; --back: #f5f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15181c; --card: #1c2026; --ink: #e8eaed; --quiet: #a8b0b9; --line: #3a414a;
    --grid: #2a3038; --link: #7cbcf2; --focus: #ff79b0; --band: #262c34; --none: #3a414a;
    --back: #15181c; }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
/* Maps are fitted to the width before they make the page long: its bar has its room at once. */
html { overflow-y: scroll; }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--back);
  margin: 0 auto; max-width: 110rem; padding: 0.8rem 1rem; }
h1 { font-size: 1.35rem; margin: 0; }
h2 { font-size: 1.05rem; margin: 0 0 0.5rem; }
h3 { font-size: 0.9rem; margin: 0.9rem 0 0.1rem; font-weight: 600; }
.lead { margin: 0.1rem 0 0.7rem; color: var(--quiet); max-width: 75rem; }
a { color: var(--link); }
code, kbd { font: 0.92em ui-monospace, monospace; overflow-wrap: anywhere; }
.note { color: var(--quiet); font-size: 0.82rem; margin: 0.5rem 0 0; }
.notice { border-left: 0.4rem solid var(--focus); padding: 0.4rem 0.8rem; }
#choices { display: flex; flex-wrap: wrap; gap: 0.5rem 0.9rem; align-items: end;
  background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: 0.55rem 0.8rem; position: sticky; top: 0; z-index: 2; }
label { font-size: 0.82rem; color: var(--quiet); }
#choices > label, section > label { display: flex; flex-direction: column; gap: 0.1rem; }
section > label { margin-bottom: 0.4rem; }
select { font: inherit; font-size: 0.92rem; color: var(--ink); background: var(--card);
  max-width: 100%; border: 1px solid var(--line); border-radius: 4px; padding: 0.25rem 0.4rem;
  min-height: 2.1rem; text-overflow: ellipsis; }
fieldset { border: 0; padding: 0; margin: 0; min-width: 0; display: flex; flex-wrap: wrap;
  gap: 0.1rem 0.8rem; }
legend { font-size: 0.82rem; color: var(--quiet); padding: 0; float: left; margin-right: 0.7rem; }
#choices fieldset { display: block; }
#choices legend { float: none; }
#choices fieldset label { margin-right: 0.9rem; }
fieldset label { display: inline-flex; align-items: center; gap: 0.3rem; color: var(--ink);
  font-size: 0.9rem; min-height: 2.1rem; }
section fieldset label, section legend { font-size: 0.82rem; min-height: 1.7rem;
  line-height: 1.7rem; }
input[type="checkbox"] { width: 1rem; height: 1rem; margin: 0; accent-color: var(--link); }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 1px; }
#readout { min-height: 2.9em; margin: 0.5rem 0.1rem; font-variant-numeric: tabular-nums; }
.panels { display: grid; gap: 0.8rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: 0.7rem 0.8rem; min-width: 0; }
.block { margin-top: 0.7rem; }
.block h3 { display: flex; align-items: center; gap: 0.35rem; margin: 0; }
.block h3 a, h3 a { font-weight: 400; font-size: 0.82rem; margin-left: auto; }
h3 { display: flex; gap: 0.35rem; }
.maps { display: flex; flex-wrap: wrap; gap: 0.2rem 0.5rem; }
svg { display: block; overflow: visible; }
.swatch { display: inline-block; flex: none; }
svg text { font-size: 11px; fill: var(--quiet); }
svg text.title { fill: var(--ink); font-size: 12px; }
[data-r] { outline: none; cursor: crosshair; }
.cell { stroke: var(--card); stroke-width: 0.5; }
.cell.none { fill: var(--none); }
.hit { fill: transparent; }
.ring { fill: none; stroke: var(--focus); stroke-width: 2.5; pointer-events: none; }
.grid { stroke: var(--grid); }
.axis { stroke: var(--quiet); }
.band { fill: var(--band); }
.line { fill: none; stroke: var(--c); stroke-width: 1.8; }
.range { stroke: var(--c); opacity: 0.65; stroke-width: 1.3; }
.mark { fill: var(--c); stroke: var(--c); stroke-width: 1.4; }
.open .mark, .mark.open { fill: var(--card); }
.before .line { stroke-dasharray: 6 3; }
.random .line { stroke-dasharray: 1.5 3; }
.random .mark { opacity: 0.65; }
.baseline { --c: var(--quiet); }
.baseline .line { stroke-width: 1.3; }
.key { display: flex; flex-wrap: wrap; gap: 0.15rem 1.2rem; font-size: 0.82rem;
  color: var(--quiet); }
.key span { display: inline-flex; align-items: center; gap: 0.35rem; }
.key b { font-weight: 400; min-width: 3.4rem; color: var(--ink); }
.key i { display: inline-block; width: 6rem; height: 0.7rem; border-radius: 2px; }
table { border-collapse: collapse; font-size: 0.82rem; font-variant-numeric: tabular-nums;
  width: 100%; margin-top: 0.5rem; }
caption { text-align: left; color: var(--quiet); padding-bottom: 0.15rem; }
th, td { text-align: right; padding: 0.18rem 0.35rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; font-weight: 400; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--quiet); }
.scroll { overflow-x: auto; }
#tip { position: fixed; z-index: 3; background: var(--ink); color: var(--paper);
  border-radius: 4px; padding: 0.4rem 0.6rem; font-size: 0.82rem; pointer-events: none;
  max-width: 19rem; left: 0; top: 0; font-variant-numeric: tabular-nums; }
#tip strong, #tip span { display: block; }
@media (min-width: 46rem) {
  .panels { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  #heads { grid-column: 1 / -1; }
  #readout { min-height: 1.5em; }
}
@media (min-width: 70rem) {
  .panels { grid-template-columns: 1.25fr 1fr 1fr; }
  .panels > section { min-width: 0; }
  #heads { grid-column: auto; }
}
@media (max-width: 46rem) {
  #choices { position: static; }
  body { padding: 0.6rem; }
  th, td { padding: 0.18rem 0.2rem; font-size: 0.76rem; }
  #choices > label { flex: 1 1 8rem; min-width: 0; }
  #choices fieldset { flex-basis: 100%; }
}
@media print {
  #choices { position: static; }
}
"""
