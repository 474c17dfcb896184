"""Which metrics a task is judged by, and what is related with its score."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from layerscope.core.encodings import WHOLE
from layerscope.core.errors import UserError
from layerscope.core.kinds import KINDS, labels_examples
from layerscope.core.variants import PRETRAINED

if TYPE_CHECKING:
    import pandas as pd

#: The primary metric and the second one of each kind of task.
TASK_METRICS: dict[str, tuple[str, str]] = {
    kind: ("accuracy", "macro_f1") if labels_examples(kind) else ("entity_f1", "token_macro_f1")
    for kind in KINDS
}

#: Two models are said to differ where p of a paired test, after Holm's correction, is below this.
LEVEL = 0.05

#: What stands in place of a model where no language model is used.
BASELINES = ("majority", "bag-of-words", "premise-only", "hypothesis-only")

#: Which of them each kind of task has: those of halves are for pairs.
BASELINES_OF_KIND: dict[str, tuple[str, ...]] = {
    kind: BASELINES if kind == "nli" else BASELINES[:2] for kind in KINDS
}


def task_metrics(names: Collection[str]) -> tuple[str, str]:
    """The primary and the second metric of a task whose scores have metrics `names`.

    Probes of entities report token accuracy too, so entity F1 decides the kind.

    Raises:
        UserError: `names` holds no primary metric.
    """
    for metrics in (TASK_METRICS["ner"], TASK_METRICS["nli"]):
        if metrics[0] in names:
            return metrics
    primary = ", ".join(dict.fromkeys(metrics[0] for metrics in TASK_METRICS.values()))
    raise UserError(f"metrics: {sorted(names)}; allowed: one of {primary} among them")


#: What `rows` of the table of probes begins with where it is a difference: what was memorised.
MEMORISED = "train - "


def of_main_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Probe scores of one task that its further analyses use: of variants, layer by layer.

    They are those of the probes that learned from the first split.

    Args:
        rows: one task's rows of the table of probes, in its order.
    """
    chosen = of_first_split(rows)
    single = chosen["seed"].notna() | (chosen["variant"] == PRETRAINED)
    return chosen[chosen["layer"].notna() & single].astype({"layer": int})


def of_first_split(rows: pd.DataFrame) -> pd.DataFrame:
    """The same with means over seeds, whose seed is missing, and best layers, whose layer is."""
    return rows[rows["rows"] == rows["rows"].iloc[0]] if len(rows) else rows


def last_layer(rows: pd.DataFrame) -> int:
    """Number of a model's last layer, whether it is among the rows or not.

    Args:
        rows: of one model, with `layer` and `depth`, the layer over the last one.
    """
    layer = rows["layer"].max()
    depth = rows["depth"].max()
    return round(layer / depth) if depth else int(layer)


_WHOLE_VIEWS = tuple(f", {view} view" for view in WHOLE)


def chosen_probe(probes: Collection[str]) -> str | None:
    """The probe and view that stands for all, of names such as `linear probe, joint view`.

    The linear probe, or else the first, in the view that encodes what the task is about (`WHOLE`,
    or else the first); None of none.
    """
    return min(
        dict.fromkeys(probes),
        key=lambda p: (not p.startswith("linear"), not p.endswith(_WHOLE_VIEWS)),
        default=None,
    )


def chosen_measures(names: Sequence[str]) -> list[str]:
    """Six inner measures to show as scatter plots, or fewer if there are not so many.

    Of the probe that `chosen_probe` names: best layer, gain and depth; and the three of attention.
    """
    best = chosen_probe([name.split(": ")[0] for name in names if ": " in name])
    wanted = [f"{best}: {m}" for m in ("best layer", "gain of best layer", "depth")]
    wanted += ["attention cosine", "attention JSD", "attention JSD depth"]
    return [name for name in wanted if name in names]
