"""What probes cost: operations, memory and time of one on a layer's vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from layerscope.config import jobs
from layerscope.config.probes import DECODED, BilstmCrfProbe, LinearProbe, together_mb
from layerscope.config.schema import Study
from layerscope.core.encodings import SEPARATE, encoding
from layerscope.core.kinds import labels_examples
from layerscope.resources.layers import states_of
from layerscope.resources.sizes import ModelSize

#: Operations a second of one core (float32). Those of a GPU are in `resources.rates`.
CORE = 4e10
#: MB of a process that has imported torch and transformers.
TORCH = 1200
#: Steps of L-BFGS that a linear probe takes for each set of labels.
STEPS = 40
#: Whole fits that the fits of code length take as many steps as; each starts from the one before.
LENGTHS = 4
#: What a step of L-BFGS starts on a GPU, over what a layer does in a step of training: 207 kernels
#: and 60.
STARTED = 3.5
#: Words of a long sentence, which those that are tagged with it are padded to.
LONGEST = 150
#: Numbers that a core reads, standardises, and multiplies with a probe's weights in a second.
HANDLED = 5e7
#: What choosing the penalty takes: steps over all values of it, parts that the rows are held out
#: in, and rows at most (`layerscope.analysis.probing.linear`).
CHOOSING_STEPS, FOLDS, CHOOSING = 50, 3, 5000


@dataclass(frozen=True)
class ProbeCost:
    """What one kind of probe takes on all layers and views of a variant.

    Attributes:
        mem_mb: memory on a processor.
        operations: that a GPU can do.
        on_core: operations that a processor does in any case, in seconds of a core.
        steps: small steps one after the other that leave a GPU waiting.
        further_mb: memory beside a GPU that is more than on a processor.
        gpu_mb: memory on a GPU.
    """

    mem_mb: int
    operations: float
    on_core: float = 0.0
    steps: float = 0.0
    further_mb: float = 0.0
    gpu_mb: float = 0.0


def sides(view: str) -> int:
    """Vectors of the model's width that stand side by side in a view."""
    return 2 if encoding(view) == SEPARATE else 1


def fit(rows: float, width: int, classes: int, chosen: bool) -> float:
    """Operations of a linear probe, in the space of its rows or of its columns.

    True and control labels: a product with the vectors and one with their transpose a step.
    """
    inner = min(rows, width)
    passes = STEPS * rows + chosen * CHOOSING_STEPS * FOLDS * min(rows, CHOOSING)
    return 8 * passes * inner * classes + 4 * rows * width * inner + 10 * inner**3


def probe_of(
    study: Study, size: ModelSize, data: tuple[float, float, int], name: str, probe: str
) -> ProbeCost:
    """Cost of a probe that learns from and is tested on rows of so many labels."""
    settings, (train, test, classes) = study.probes[probe], data
    views = jobs.views(study, name)
    states, kind = states_of(study, size), study.tasks[name].kind
    width = size.width * max(map(sides, views))
    halved = any(sides(view) > 1 for view in views)
    machines = 3 if halved else 1  # of a pair and of its halves
    searched = steps = here = further = decoded = 0.0
    layers = states * len(views)
    if isinstance(settings, LinearProbe):
        halves = 1.5 if halved else 1.0  # of a pair, each alone: half as wide
        lengths = 2.0 if settings.code_length else 1.0  # of half the rows, a quarter, ...
        chosen = settings.inverse_regularisation is None
        lengths += settings.row_draws / 4  # which start from the fit to all rows
        one = lengths * halves * fit(train, width, classes, chosen)
        if halved and settings.combined:
            width *= 2
            one += lengths * fit(train, width, classes, chosen)
        inputs = machines + (halved and settings.combined)
        fits = 1 + (LENGTHS if settings.code_length else 0)
        steps = fits * (STEPS + chosen * CHOOSING_STEPS) + (settings.row_draws > 0) * STEPS
        steps *= STARTED * inputs
    elif isinstance(settings, BilstmCrfProbe):
        runs = len(settings.seeds) * (1 + settings.row_draws)
        each = 8 * settings.hidden * (width + settings.hidden) + 5e5 + 20 * classes**2
        one = each * runs * (3 * settings.epochs * train + test)
        # A word of all sentences of a batch, in all layers that are read together, is a step.
        read = states * (train + test) * width * 4 / 1e6
        here, there = (min(together_mb(on_gpu), read) for on_gpu in (False, True))
        further = 3 * (there - here)
        steps = runs * (settings.epochs * train + test) / settings.batch_size
        together = min(max(1, int(together_mb(True) * states / read)), states)
        steps *= math.ceil(states / together) / states
        # Sentences that are tagged at once, in all these layers: their words, and gates thrice.
        decoded = 4e-6 * DECODED * LONGEST * together * (width + 12 * settings.hidden)
    else:
        # Of raw vectors and of standardised ones.
        fits = (2 + settings.row_draws) * machines
        one = 2 * 2 * train * (train + test) * width
        searched = fits * 1000 * train**2
    kernels = 0.0
    if labels_examples(kind):
        kernels = 8 * train * (machines * (train + test) + train) / 1e6
    vectors = (train + test) * width * (4 + 4 + 8) / 1e6 + 3 * here  # of layers read together
    answers = (train + test) * classes * 16 / 1e6
    handled = (train + test) * width / HANDLED
    return ProbeCost(
        int(TORCH + kernels + vectors + answers),
        operations=layers * one,
        on_core=layers * (searched / (CORE / 2) + handled),
        steps=layers * steps,
        further_mb=further,
        gpu_mb=kernels + vectors + further / 3 + decoded,
    )
