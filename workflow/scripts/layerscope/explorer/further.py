"""What the explorer shows beside scores, probes, similarity and attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from layerscope.core.variants import PRETRAINED

#: Columns of what `further_curves` gives.
COLUMNS = ["model", "variant", "layer", "depth", "value", "table", "key", "group", "name"]


class _Curves(NamedTuple):
    """Curves of a table: one for each group and metric."""

    table: str
    group: str  # with columns in braces
    metric: str  # the column that names the value; empty if there is one value
    name: str = "{}"  # of the metric, in words
    value: str = "value"


_CURVES = (
    _Curves("weight_change", "change of weights, {matrices}", "measure"),
    _Curves("representation_quality", "representations", "measure"),
    _Curves("usable_information", "usable information, {family}, {view}", "", "Bits per label"),
    _Curves("head_lens", "head lens, {lens}", "metric"),
    _Curves("patching", "{patch} {direction}", "metric", "Change of {}", "change"),
    _Curves("interventions", "{intervention} ({fitted})", "metric", "Change of {}", "change"),
)
#: Tables that curves are of.
TABLES = tuple(curves.table for curves in _CURVES)


def further_curves(own: Mapping[str, pd.DataFrame], in_words: Callable[[str], str]) -> pd.DataFrame:
    """Rows with a value by layer of further analyses; of single variants, means left out.

    Args:
        own: one task's rows of each of `TABLES`.
        in_words: the name of a measure.

    Returns:
        `COLUMNS`: of each curve the table that it is from, a `key`, the `group` that it is listed
        in, and its `name`.
    """
    return pd.concat([_rows(own[curves.table], curves, in_words) for curves in _CURVES])


def _rows(rows: pd.DataFrame, curves: _Curves, in_words: Callable[[str], str]) -> pd.DataFrame:
    single = rows["seed"].notna() | (rows["variant"] == PRETRAINED)
    rows = rows[single & rows["layer"].notna()].reset_index(drop=True)
    metrics = rows[curves.metric] if curves.metric else pd.Series("", rows.index, dtype=object)
    groups = [curves.group.format(**row) for row in rows.to_dict("records")]
    found = rows.assign(
        value=rows[curves.value],
        table=curves.table,
        group=groups,
        key=[f"{curves.table}|{group}|{m}" for group, m in zip(groups, metrics, strict=True)],
        name=[curves.name.format(in_words(metric)) for metric in metrics],
    )
    return found[COLUMNS]


def importance_of_heads(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table of importance of heads, as those of the table of attention."""
    found = rows.assign(
        measure="importance",
        value=rows["importance"],
        low=rows["importance_low"],
        high=rows["importance_high"],
    )
    return found[
        ["model", "variant", "percent", "layer", "head", "measure", "value", "low", "high"]
    ]


#: Measures of a model's predictions that have a column of their own, and how it is headed.
_PREDICTED = {
    "ece": "ECE",
    "brier": "Brier",
    "f1_seen": "F1, seen entities",
    "f1_unseen": "F1, unseen entities",
}


def evaluation(rows: pd.DataFrame) -> dict[str, Any]:
    """Calibration and F1 of classes, from one task's rows of the table of error analysis.

    Returns:
        `columns` of a table; `values` by model, variant and column; and `bins` by model and
        variant: confidence, accuracy, and how many answers. Numbers are not rounded.
    """
    single = rows[rows["seed"].notna()]
    labels = single.loc[single["measure"] == "f1", "label"].unique()
    heads = {(measure, None): words for measure, words in _PREDICTED.items()}
    heads |= {("f1", label): f"F1, {label}" for label in labels}
    values: dict[str, Any] = {}
    bins: dict[str, Any] = {}
    for (model, variant), own in single.groupby(["model", "variant"], sort=False):
        found = {
            (measure, label if isinstance(label, str) else None): value
            for measure, label, value in zip(
                own["measure"], own["label"], own["value"], strict=True
            )
        }
        values.setdefault(model, {})[variant] = {
            words: found[key] for key, words in heads.items() if key in found
        }
        binned = own[own["bin"].notna()].pivot(index="bin", columns="measure", values="value")
        count = own[own["measure"] == "bin_accuracy"].set_index("bin")["n"]
        if len(binned):
            bins.setdefault(model, {})[variant] = [
                [row["bin_confidence"], row["bin_accuracy"], int(count[at])]
                for at, row in binned.iterrows()
            ]
    known = {words for by in values.values() for row in by.values() for words in row}
    return {
        "columns": [words for words in heads.values() if words in known],
        "values": values,
        "bins": bins,
    }
