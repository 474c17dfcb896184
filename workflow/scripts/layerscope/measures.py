"""Which metrics a task is judged by, and what is related with its score."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from layerscope.errors import UserError

#: The primary metric and the second one of each kind of task.
TASK_METRICS = {"nli": ("accuracy", "macro_f1"), "ner": ("entity_f1", "token_macro_f1")}

#: Two models are said to differ where p of a paired test, after Holm's correction, is below this.
LEVEL = 0.05

#: What stands in place of a model where no language model is used.
BASELINES = ("majority", "bag-of-words", "premise-only", "hypothesis-only")

#: Which of them each kind of task has: a sentence has no halves.
BASELINES_OF_KIND = {"nli": BASELINES, "ner": BASELINES[:2]}


class Point(NamedTuple):
    """A fine-tuned variant: one inner measure and its downstream score."""

    model: str
    percent: int
    seed: int
    inner: float
    score: float


def task_metrics(names: Collection[str]) -> tuple[str, str]:
    """The primary and the second metric of a task whose scores have metrics `names`.

    Probes of entities report token accuracy too, so entity F1 decides the kind.

    Raises:
        UserError: `names` holds no primary metric.
    """
    for kind in ("ner", "nli"):
        if TASK_METRICS[kind][0] in names:
            return TASK_METRICS[kind]
    primary = ", ".join(metrics[0] for metrics in TASK_METRICS.values())
    raise UserError(f"metrics: {sorted(names)}; allowed: one of {primary} among them")
