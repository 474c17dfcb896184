"""A part of the table of representation quality: all variants of a model on a task."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from layerscope.config.statistics import Statistics
from layerscope.core.applicability import gathered_from
from layerscope.core.formats import read_table
from layerscope.core.table_files import Row, Sources, Table, number, path_parts, variant_keys
from layerscope.statistics.inference import bootstrap_mean

KEYS = ("task", "model", "variant")


def tabulate(sources: Sources) -> dict[str, Table]:
    """The part, from files …/{task}/{model}/{variant}.parquet; the settings are of statistics."""
    settings = Statistics.model_validate_json(sources.settings)
    missing = gathered_from(sources.files, "representation_quality")
    rows = (list(_rows(path, settings)) for path in sources.files)
    metadata = {"confidence": settings.confidence, **missing}
    return {"representation_quality": Table(rows, metadata)}


def _rows(path: str, settings: Statistics) -> Iterator[Row]:
    """Means over texts with intervals; what all texts give together has none."""
    keys = variant_keys(*path_parts(path, KEYS))
    found = read_table(path, "representation_quality").to_pandas()
    last = max(found["layer"].max(), 1) if len(found) else 1
    count = found["text"].nunique()
    for (layer, measure), own in found.groupby(["layer", "measure"], sort=False):
        values = own["value"].dropna().to_numpy(np.float64)
        mean, low, high = (values.mean() if len(values) else np.nan), np.nan, np.nan
        if len(values) > 1:
            rng = np.random.default_rng(settings.seed)
            ends = bootstrap_mean(values[:, None], settings.resamples, settings.confidence, rng)
            low, high = (float(end[0]) for end in ends[1:])
        yield {
            **keys,
            "layer": layer,
            "depth": layer / last,
            "measure": measure,
            "value": number(mean),
            "low": number(low),
            "high": number(high),
            "texts": len(values) if own["text"].notna().any() else count,
        }
