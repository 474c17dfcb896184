"""Two models' attention compared with all measures, against the published loop.

The published loop takes a sentence at a time through both models, a pass a layer, and every map to
the host.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import common
import shapes
import torch
from common import Setting, row
from stage_attention import of_columns as cosines_of
from stage_attention import published, published_by_layer, tuned

from layerscope.config.extraction import Attention
from layerscope.extraction.attention import choose_examples, compare_attention

GOAL = 50
TOLERANCE = 1e-4  # of a cosine, in float32


def run(setting: Setting) -> dict[str, Any]:
    """Measure BERT-base."""
    count, few = (12, 3) if setting.tiny else (512, 16)
    made = common.made(
        "BERT-base", common.large_config("BERT-base", setting), setting, torch.float32
    )
    before = made.model
    after = tuned(before)
    for model in (before, after):
        model.set_attn_implementation("eager")
    settings = Attention(examples=count, max_length=shapes.LIMIT, batch_examples=64)
    table = shapes.tagged(count)
    changed = replace(made, model=after)
    examples = choose_examples(made, table, "ner", settings)
    step = len(examples) / few
    some = [examples[int(step * (at + 0.5))] for at in range(few)]

    def ours(chosen: Any = examples) -> Any:
        return compare_attention(chosen, changed, before, None, settings.batch_examples)

    found = cosines_of(ours(some), [name for name, _ in some])
    far = float(abs(found - published(some, (before, after))).max())
    fast = setting.seconds(ours, turns=2)
    slow = setting.seconds(lambda: published_by_layer(some, (before, after)), turns=1)
    rate = [len(examples) / each for each in fast]
    ratio = [each / (len(some) / slow[0]) for each in rate]
    reached = None if setting.tiny else min(ratio) >= GOAL
    rows = [
        common.within("cosines, against the published loop", far, TOLERANCE),
        row("layerscope, all measures", rate, "sentences/s"),
        row("against published, cosine alone", ratio, "x", f"{GOAL} x", reached),
    ]
    return {"rows": rows}


if __name__ == "__main__":
    common.main(run)
