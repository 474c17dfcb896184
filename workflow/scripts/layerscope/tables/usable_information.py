"""A part of the table of usable information: all variants of a model on a task, with intervals.

As in the table of probes, there are means over seeds beside the variants, and `gain` is the
difference from the pre-trained model, on the same test examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from layerscope.config.statistics import Statistics
from layerscope.core.formats import read_table
from layerscope.core.formats.pointwise import Place, Pointwise, PointwiseFile
from layerscope.core.table_files import Row, Sources, Table, path_parts
from layerscope.core.variants import PRETRAINED
from layerscope.statistics.inference import Floats, group_sums
from layerscope.statistics.probe_intervals import Resampled, Scorer
from layerscope.tables.probes import INTERVALS, members, named, with_gains

#: Ends the name of the file of bits, which lies beside the table.
POINTWISE = ".pointwise.parquet"
#: Bits have no bounds: a predictor that is sure of wrong answers does worse than without vectors.
UNBOUNDED = (-np.inf, np.inf)


def tabulate(sources: Sources) -> dict[str, Table]:
    """The part, from files …/{task}/{model}/{variant}.parquet, bits of test rows beside them."""
    scorer = Scorer(Statistics.model_validate_json(sources.settings))
    stored: dict[str, pd.DataFrame] = {}
    files: dict[str, PointwiseFile] = {}
    keys: Row = {}
    for path in sources.files:
        task, model, variant = path_parts(path, ("task", "model", "variant"))
        keys = {"task": task, "model": model}
        stored[variant] = read_table(path, "usable_information").to_pandas()
        files[variant] = PointwiseFile(Path(path).with_suffix(POINTWISE))

    def blocks() -> Iterator[list[Row]]:
        for place in next(iter(files.values())).places if files else ():
            yield _of_place(place, keys, stored, files, scorer)

    described = {"confidence": scorer.settings.confidence}
    return {"usable_information": Table(blocks(), described)}


def _of_place(
    place: Place,
    keys: Row,
    stored: dict[str, pd.DataFrame],
    files: dict[str, PointwiseFile],
    scorer: Scorer,
) -> list[Row]:
    """Rows of a view and family: each variant, then means over seeds, layer by layer."""
    view, family = place
    own = {
        variant: table[(table["view"] == view) & (table["family"] == family)]
        for variant, table in stored.items()
    }
    curves, entropy, rows = {}, 0.0, []
    for variant, file in files.items():
        block = file.block(place)
        curves[variant] = resampled(block, _drawn(own[variant], file.layers), scorer)
        entropy = float(np.mean(block.keys["label_bits"]))
    controls = {
        variant: table[table["labels"] == "permuted"].set_index("layer")["value"]
        for variant, table in own.items()
    }
    file = next(iter(files.values()))
    for name, variants in members(list(files)).items():
        about = named({**keys, "view": view, "family": family}, name, variants)
        before = curves.get(PRETRAINED) if about["percent"] else None
        seeds = [curves[variant] for variant in variants]
        found = with_gains(scorer, seeds, before, UNBOUNDED, UNBOUNDED)
        for layer, values in zip(file.layers, found, strict=True):
            control = float(np.mean([controls[variant][layer] for variant in variants]))
            further = {"permuted": control, "label_entropy": entropy}
            place_of = {"layer": layer, "depth": layer / max(file.last, 1)}
            unknown = dict.fromkeys(INTERVALS)
            told = dict(zip(INTERVALS, values, strict=False))
            rows.append({**about, **place_of, **unknown, **told, **further})
    return rows


def _drawn(rows: pd.DataFrame, layers: Sequence[int]) -> Floats:
    """Information of predictors that learned from draws of the rows: draws x layers."""
    drawn = rows[(rows["labels"] == "true") & (rows["draw"] > 0)]
    by_layer = drawn.pivot(index="draw", columns="layer", values="value")
    return by_layer[list(layers)].to_numpy(np.float64)


def resampled(block: Pointwise, drawn: Floats, scorer: Scorer) -> Resampled:
    """Information by layer, in resamples of the groups of test rows, and in draws of rows.

    Args:
        block: bits of the test rows of a view and family.
        drawn: information of predictors that learned from draws: draws x layers.
        scorer: whose resamples are taken; those of all variants of a model are the same.
    """
    bits = block.bits.astype(np.float64)
    counted = np.concatenate([bits, np.ones((len(bits), 1))], axis=1)
    sums = group_sums(counted, block.keys["group_id"])
    totals = scorer.weights(len(sums)) @ sums
    return Resampled(bits.mean(axis=0), totals[:, :-1] / totals[:, -1:], drawn)
