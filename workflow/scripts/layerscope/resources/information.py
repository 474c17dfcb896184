"""What usable information costs: linear probes and perceptrons of each layer of each view."""

from __future__ import annotations

from layerscope.config import jobs
from layerscope.config.schema import Study
from layerscope.resources.layers import states_of
from layerscope.resources.probes import CORE, fit, sides
from layerscope.resources.rows import probed_rows
from layerscope.resources.scoring import SMALL, START
from layerscope.resources.sizes import ModelSize, TaskSize

#: Units of perceptrons; how many are tried together, in each part of the rows with each penalty, of
#: true and permuted labels; and those learned from all rows, or a draw (`analysis.probing.mlp`).
UNITS, TRIED, REFITTED = 32, 3 * 3 * 2, 2 + 5
#: Rows of a step, and steps, or how often they pass over the rows, half of what is allowed; and
#: seconds of a step that products do not take.
BATCH, STEPS, PASSES, STEP = 512, 128, 4, 1e-3


def usable_information(
    study: Study, size: ModelSize, task: TaskSize, name: str
) -> tuple[int, float]:
    """MB and seconds of a variant."""
    learned, test = probed_rows(study, task, name)
    rows, classes = learned[0], task.labels
    widths = [size.width * sides(view) for view in jobs.views(study, name)]
    stepped = max(PASSES * rows, STEPS * min(rows, BATCH))
    # Forward and back; held-out rows, and test rows, forward alone.
    each = 6 * stepped * (TRIED + REFITTED) + 2 * (12 * rows * TRIED + test * REFITTED)
    seconds = 0.0
    for width in widths:
        lines = (1 + (REFITTED - 2) / 4) * fit(rows, width, classes, chosen=True)
        seconds += (lines + each * min(rows, width) * UNITS) / (CORE / 2) + 2 * STEPS * STEP
    vectors = 12 * (rows + test) * max(widths) / 1e6
    hidden = 8 * (4096 * UNITS + rows) * TRIED / 1e6
    answers = 8 * (REFITTED + 4) * test * classes / 1e6
    layers = states_of(study, size)
    bits = 4 * 2 * test * layers * len(widths) / 1e6
    return int(SMALL + vectors + hidden + answers + bits), START + layers * seconds
