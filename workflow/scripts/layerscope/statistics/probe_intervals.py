"""Intervals of probe scores over test examples, seeds, and the rows that probes learned from.

All scores of a model on a task are resampled with the same groups, so that differences between
them are of the same test examples: a fine-tuned variant and the pre-trained model (the gain), or
probes that learned from two splits.

A mean over S seeds has three sources of error, and its interval adds them: groups by the percentile
bootstrap; seeds by Student's t with S - 1 degrees of freedom; and D draws of the rows that probes
learned from by Student's t with D - 1, times their deviation, which is that of a score from one
sample of rows. Few seeds that are drawn with replacement scatter too little (with two, half of the
draws are of one alone). The half-widths add as roots of squares, on each side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import t

from layerscope.config.statistics import Statistics
from layerscope.core.formats.probe_predictions import Place, ProbePredictions
from layerscope.statistics import metrics
from layerscope.statistics.inference import (
    Floats,
    bootstrap_weights,
    group_sums,
    interval,
)

Ends = tuple[float, float, float]


@dataclass(frozen=True)
class Resampled:
    """Scores and their resamples.

    Attributes:
        value: scores by layer.
        draws: the same in each resample of groups: resamples x layers.
        rows: the same of probes that learned from draws of the rows: draws x layers, often none.
    """

    value: Floats
    draws: Floats
    rows: Floats

    def __sub__(self, other: Resampled) -> Resampled:
        return Resampled(self.value - other.value, self.draws - other.draws, self.rows - other.rows)

    @cached_property
    def best(self) -> Resampled:
        """That of the best layer, which each resample chooses anew."""
        drawn = (draws.max(axis=1, keepdims=True) for draws in (self.draws, self.rows))
        return Resampled(self.value.max(keepdims=True), *drawn)


class Scorer:
    """Scores of predictions, all resampled with the same groups."""

    def __init__(self, settings: Statistics) -> None:
        self.settings = settings
        self._weights: Floats | None = None

    def scores(self, file: ProbePredictions, places: Sequence[Place]) -> dict[str, Resampled]:
        """Scores of the task's metrics by layer, averaged over probe seeds.

        Args:
            file: predictions of a probe on a variant.
            places: of the same split and view, one for each probe seed and draw of the rows.
        """
        by_draw: dict[int, list[Place]] = {}
        for place in places:
            by_draw.setdefault(place[-1], []).append(place)
        found: dict[str, list[Resampled]] = {}
        for layer in file.layers:
            whole = self._of_layer(file, by_draw[0], layer)
            drawn = [self._of_layer(file, own, layer) for draw, own in by_draw.items() if draw]
            for metric, (value, resampled) in whole.items():
                rows = np.asarray([each[metric][0] for each in drawn])
                own = Resampled(np.asarray([value]), resampled[:, None], rows[:, None])
                found.setdefault(metric, []).append(own)
        return {
            metric: Resampled(
                np.concatenate([each.value for each in layers]),
                np.concatenate([each.draws for each in layers], axis=1),
                np.concatenate([each.rows for each in layers], axis=1),
            )
            for metric, layers in found.items()
        }

    def _of_layer(
        self, file: ProbePredictions, places: Sequence[Place], layer: int
    ) -> dict[str, tuple[float, Floats]]:
        """Mean over places of each metric, and, of probes of all rows, of its resamples."""
        keys, names = file.keys, file.described["labels"]
        by_seed: dict[str, list[tuple[float, Floats]]] = {}
        for place in places:
            answers = file.predicted(place, layer)
            kind = file.described["kind_of_task"]
            parts = metrics.metrics_of(kind, keys["label"], answers, keys["example_id"], names)
            for metric, (counts, statistic) in parts.items():
                sums = group_sums(counts, keys["group_id"])
                value = float(statistic(sums.sum(axis=0)))
                weights = self.weights(len(sums)) if place[-1] == 0 else np.empty((0, len(sums)))
                by_seed.setdefault(metric, []).append((value, statistic(weights @ sums)))
        return {
            metric: (
                float(np.mean([value for value, _ in values])),
                np.mean([draws for _, draws in values], axis=0),
            )
            for metric, values in by_seed.items()
        }

    def weights(self, groups: int) -> Floats:
        """How often each of so many groups is in each resample: always the same ones."""
        if self._weights is None or self._weights.shape[1] != groups:
            rng = np.random.default_rng(self.settings.seed)
            self._weights = bootstrap_weights(groups, self.settings.resamples, rng)
        return self._weights

    def ends(self, seeds: Sequence[Resampled], bounds: tuple[float, float] = (0, 1)) -> list[Ends]:
        """Mean over seeds with its interval, by layer; one seed has an interval over groups.

        Args:
            seeds: of the same layers.
            bounds: that no value can pass: of a score 0 and 1, of a difference of two -1 and 1.
        """
        values = np.stack([each.value for each in seeds])
        draws = np.mean([each.draws for each in seeds], axis=0)
        rows = np.mean([each.rows for each in seeds], axis=0)
        found = []
        for layer, mean in enumerate(values.mean(axis=0)):
            low, high = interval(draws[:, layer], self.settings.confidence)
            seed = student(values[:, layer], self.settings.confidence)
            # That of one sample, not of a mean of samples.
            row = student(rows[:, layer], self.settings.confidence) * np.sqrt(len(rows))
            further = np.hypot(seed, row)
            below = np.hypot(max(mean - low, 0), further)
            above = np.hypot(max(high - mean, 0), further)
            low, high = np.clip([mean - below, mean + above], *bounds)
            found.append((float(mean), float(low), float(high)))
        return found


def student(values: Floats, confidence: float) -> float:
    """Half-width of the t-interval of a mean; 0 of a single value, which says nothing of others."""
    n = len(values)
    if n < 2:
        return 0.0
    return float(t.ppf((1 + confidence) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
