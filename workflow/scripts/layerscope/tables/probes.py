"""A part of the table of probe scores: all variants of a model on a task, with intervals.

Beside each fine-tuned variant there is the mean over seeds of its percentage (`f{percent}`, seed
null), beside each draw of random weights the mean over draws (`random`), and beside the layers the
best one (layer null). `gain` is the score less that of the
pre-trained model, on the same test examples. Where probes learned from two splits, the difference
of both has rows of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from layerscope.config.statistics import Statistics
from layerscope.core.formats import SCHEMAS, read_table
from layerscope.core.formats.probe_predictions import ProbePredictions
from layerscope.core.measures import MEMORISED
from layerscope.core.table_files import Row, Sources, Table, path_parts, variant_keys
from layerscope.core.variants import PRETRAINED, without_seed
from layerscope.statistics.probe_intervals import Ends, Resampled, Scorer
from layerscope.tables.rows import probe_rows

#: Ends the name of a probe's predictions, which lie beside its scores.
PREDICTIONS = ".predictions.parquet"
#: Scores by variant and metric.
Scores = Mapping[str, Mapping[str, Resampled]]
#: What no score can pass, nor a difference of two.
SCORE, DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)
INTERVALS = ("value", "low", "high", "gain", "gain_low", "gain_high")


def tabulate(sources: Sources) -> dict[str, Table]:
    """The part, from files …/{task}/{model}/{variant}/{probe}.parquet, predictions beside them."""
    scorer = Scorer(Statistics.model_validate_json(sources.settings))
    names = ("task", "model", "variant", "probe")
    files: dict[str, dict[str, tuple[str, str]]] = {}
    task = model = ""
    for path in sources.files:
        task, model, variant, probe = path_parts(path, names)
        files.setdefault(probe, {})[variant] = (path, str(Path(path).with_suffix(PREDICTIONS)))

    def blocks() -> Iterator[pd.DataFrame]:
        for probe, paths in files.items():
            answers = {variant: ProbePredictions(path) for variant, (_, path) in paths.items()}
            stored = {
                variant: probe_rows(
                    read_table(path, "probe"), task, model, variant, probe, answers[variant].last
                )
                for variant, (path, _) in paths.items()
            }
            yield from _of_probe(stored, answers, scorer)

    described = {"confidence": scorer.settings.confidence}
    return {"probes": Table(blocks(), described)}


def _of_probe(
    stored: Mapping[str, pd.DataFrame],
    answers: Mapping[str, ProbePredictions],
    scorer: Scorer,
) -> Iterator[pd.DataFrame]:
    """Rows of a probe, view by view; of the resamples, those of one view are in memory."""
    first = next(iter(stored.values()))
    places = _places(next(iter(answers.values())))
    keys = {name: first[name].iloc[0] for name in ("task", "model", "probe")}
    for view in first["view"].unique():
        by_split = {
            split: {
                variant: scorer.scores(file, [p for p in file.places if p[:2] == (split, view)])
                for variant, file in answers.items()
            }
            for split in first["rows"].unique()
        }
        for split, scores in by_split.items():
            about = keys | {"rows": split, "view": view}
            yield _frame(_scored(scores, scorer, about, places))
            yield _frame(_unscored(stored, scores, about))
        fresh = [split for split in by_split if split != "train"] if "train" in by_split else []
        for split in fresh:
            differences = {
                variant: {m: r - by_split[split][variant][m] for m, r in found.items()}
                for variant, found in by_split["train"].items()
            }
            about = keys | {"rows": MEMORISED + split, "view": view}
            yield _frame(_scored(differences, scorer, about, places, DIFFERENCE))


def _frame(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(SCHEMAS["probes-table"]))


def members(variants: Sequence[str]) -> dict[str, list[str]]:
    """Each variant by itself, then the means over seeds with the variants that they are of."""
    found = {variant: [variant] for variant in variants}
    means: dict[str, list[str]] = {}
    for variant in variants:
        if variant != PRETRAINED:
            means.setdefault(without_seed(variant), []).append(variant)
    return found | means


def named(keys: Row, name: str, variants: Sequence[str]) -> Row:
    """Keys of a variant, or of a mean over some, whose seed is null.

    Args:
        keys: `task` and `model`, and what else is the same in all rows.
        name, variants: as from `members`.
    """
    own = variant_keys(keys["task"], keys["model"], variants[0])
    return {**keys, **own, "variant": name} | ({} if name in variants else {"seed": None})


#: A layer's number and depth; of the best one, which is another in each resample, neither.
Place = tuple[int | None, float | None]


def _places(file: ProbePredictions) -> list[Place]:
    return [(layer, layer / max(file.last, 1)) for layer in file.layers]


def _scored(
    scores: Scores,
    scorer: Scorer,
    keys: Row,
    layers: Sequence[Place],
    bounds: tuple[float, float] = SCORE,
) -> list[Row]:
    """Rows of metrics with intervals: every layer, and, of scores, the best one."""
    rows, best = [], bounds == SCORE
    before = scores.get(PRETRAINED)
    for name, variants in members(list(scores)).items():
        about = named(keys, name, variants)
        for metric in scores[variants[0]]:
            curves = [scores[variant][metric] for variant in variants]
            start = before[metric] if before and about["percent"] else None
            found = with_gains(scorer, curves, start, bounds)
            places = list(layers)
            if best:
                found += with_gains(
                    scorer, [each.best for each in curves], start.best if start else None, bounds
                )
                places.append((None, None))
            rows += [
                {**about, "metric": metric, "layer": layer, "depth": depth}
                | dict(zip(INTERVALS, values, strict=False))
                for (layer, depth), values in zip(places, found, strict=True)
            ]
    return rows


def with_gains(
    scorer: Scorer,
    curves: Sequence[Resampled],
    before: Resampled | None,
    bounds: tuple[float, float],
    gains: tuple[float, float] = DIFFERENCE,
) -> list[tuple[float, ...]]:
    """Mean over seeds of each layer with its interval, and behind it that of the gain, if any.

    Args:
        scorer: of intervals.
        curves: scores of each seed by layer.
        before: what they are compared with; None for no gain.
        bounds, gains: what no value, and no gain, can pass.
    """
    found = scorer.ends(curves, bounds)
    if before is None:
        return [*found]
    gained: list[Ends] = scorer.ends([each - before for each in curves], gains)
    return [(*ends, *gain) for ends, gain in zip(found, gained, strict=True)]


def _unscored(stored: Mapping[str, pd.DataFrame], scores: Scores, keys: Row) -> list[Row]:
    """Rows of the further measures, which are not of test examples: no intervals."""
    rows = []
    for name, variants in members(list(stored)).items():
        about = named(keys, name, variants)
        tables = [
            own[(own["rows"] == keys["rows"]) & (own["view"] == keys["view"])]
            for own in (stored[variant] for variant in variants)
        ]
        values = np.mean([own["value"].to_numpy() for own in tables], axis=0)
        for row, value in zip(tables[0].to_dict("records"), values, strict=True):
            if row["metric"] not in scores[variants[0]]:
                further = {key: row[key] for key in ("metric", "layer", "depth")}
                rows.append({**about, **further, "value": value})
    return rows
