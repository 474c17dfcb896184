"""The explorer as one HTML file that opens offline: markup, style, script and numbers."""

from __future__ import annotations

import html
import json
from typing import Any

from layerscope.lineage import mark, of_this_run
from layerscope.plotting.explorer.script_charts import CHARTS
from layerscope.plotting.explorer.script_curves import CURVES
from layerscope.plotting.explorer.script_heads import HEADS
from layerscope.plotting.explorer.script_pointer import POINTER
from layerscope.plotting.explorer.script_start import START
from layerscope.plotting.explorer.script_state import STATE
from layerscope.plotting.explorer.sheet import sheet

#: Nothing is loaded from anywhere, whatever a name in a table says.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_SCRIPT = (STATE, CHARTS, POINTER, HEADS, CURVES, START)


def embedded(content: Any) -> str:
    """JSON that can stand in a script element: no text in it can end the element."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def page(content: dict[str, Any]) -> str:
    """The whole page.

    Args:
        content: of `contents`. The page belongs into the study's folder: the audit is linked from
            there.
    """
    study = html.escape(content["study"])
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            *_origin(),
            f"<title>Explorer of study {study}</title>",
            f"<style>{sheet()}</style></head><body>",
            _BODY.replace("STUDY", study),
            f'<script type="application/json" id="content">{embedded(content)}</script>',
            f'<script>"use strict";\n{"".join(_SCRIPT)}</script>',
            "</body></html>",
            "",
        ]
    )


def _origin() -> list[str]:
    """Where the page comes from, as figures carry it."""
    origin = of_this_run()
    if origin is None:
        return []
    described = {"description": origin.statement, "identifier": mark(origin.lineage)}
    return [
        f'<meta name="{name}" content="{html.escape(text)}">' for name, text in described.items()
    ]


_BODY = """
<header><h1>Study STUDY: layers, heads and scores</h1>
<p class="lead">What each layer encodes and where each head attends, before and after fine-tuning,
and the score that goes with it. <span id="sources"></span></p></header>
<noscript><p class="notice">This page draws with JavaScript, which is off in this browser. The same
numbers are in <code>tables/*.csv</code> beside this file, and drawn in <code>figures/</code>.</p>
</noscript>
<main id="main" hidden>
<form id="choices" aria-label="What to show">
<label>Task <select id="task"></select></label>
<label>Score <select id="score"></select></label>
<label>Share of data <select id="share"></select></label>
<label>Seed <select id="seed"></select></label>
<fieldset id="models"><legend>Models</legend></fieldset>
</form>
<p id="readout" role="status" aria-live="polite"></p>
<div class="panels">
<section id="heads" aria-labelledby="heads-title">
<h2 id="heads-title">Layers and heads</h2>
<label>Measure of attention <select id="attention"></select></label>
<div class="key" id="heads-key"></div><div id="heads-charts"></div>
<p class="note" id="heads-note"></p>
</section>
<section id="curves" aria-labelledby="curves-title">
<h2 id="curves-title">Layers and score</h2>
<label>Measure by layer <select id="curve"></select></label>
<fieldset id="lines"><legend>Lines</legend></fieldset>
<div id="layer-chart"></div><div class="scroll" id="entry-table"></div>
<h3 id="share-title"></h3><div id="share-chart"></div><p class="note" id="curves-note"></p>
</section>
<section id="association" aria-labelledby="association-title">
<h2 id="association-title">Inner measure and score</h2>
<label>Inner measure <select id="inner"></select></label>
<div id="points-chart"></div><div class="scroll" id="statistics-table"></div>
<p class="note" id="association-note"></p>
</section>
</div>
<p class="note">Keys: <kbd>Tab</kbd> goes from chart to chart; arrow keys, <kbd>Home</kbd> and
<kbd>End</kbd> go from number to number. The address of this page holds what is chosen, so that a
link shows the same. <span id="missing"></span></p>
</main>
<div id="tip" aria-hidden="true" hidden></div>
"""
