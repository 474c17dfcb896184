"""What probes cost: operations, memory and time of one on a layer's vectors."""

from __future__ import annotations

from layerscope.config import jobs
from layerscope.config.probes import TOGETHER_MB, BilstmCrfProbe, LinearProbe
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
#: What choosing the penalty takes: steps over all values of it, parts that the rows are held out
#: in, and rows at most (`layerscope.analysis.probing.linear`).
CHOOSING_STEPS, FOLDS, CHOOSING = 50, 3, 5000


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
) -> tuple[int, float]:
    """MB and seconds of a probe that learns from and is tested on rows of so many labels."""
    settings, (train, test, classes) = study.probes[probe], data
    views = jobs.views(study, name)
    states, kind = states_of(study, size), study.tasks[name].kind
    width = size.width * max(map(sides, views))
    halved = any(sides(view) > 1 for view in views)
    machines = 3 if halved else 1  # of a pair and of its halves
    if isinstance(settings, LinearProbe):
        halves = 1.5 if halved else 1.0  # of a pair, each alone: half as wide
        lengths = 2.0 if settings.code_length else 1.0  # of half the rows, a quarter, ...
        chosen = settings.inverse_regularisation is None
        lengths += settings.row_draws / 4  # which start from the fit to all rows
        one = lengths * halves * fit(train, width, classes, chosen)
        if halved and settings.combined:
            width *= 2
            one += lengths * fit(train, width, classes, chosen)
    elif isinstance(settings, BilstmCrfProbe):
        words = 3 * settings.epochs * train * len(settings.seeds) + test
        words *= 1 + settings.row_draws
        each = 8 * settings.hidden * (width + settings.hidden) + 5e5 + 20 * classes**2
        one = each * words
    else:
        # Of raw vectors and of standardised ones.
        fits = (2 + settings.row_draws) * machines
        one = 2 * 2 * train * (train + test) * width + fits * 1000 * train**2
    kernels = 0.0
    if labels_examples(kind):
        kernels = 8 * train * (machines * (train + test) + train) / 1e6
    vectors = (train + test) * width * (4 + 4 + 8) / 1e6
    if isinstance(settings, BilstmCrfProbe):
        vectors += 3 * min(TOGETHER_MB, states * vectors / 4)  # of layers that are read together
    answers = (train + test) * classes * 16 / 1e6
    return int(TORCH + kernels + vectors + answers), states * len(views) * one / (CORE / 2)
