"""Probe every layer of cached activations."""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import Any

from layerscope.core.kinds import KINDS
from layerscope.runtime.gpus import use_gpus
from layerscope.runtime.program import run


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS, required=True, help="of the task")
    parser.add_argument("--probe-settings", required=True, help="JSON of a probe")
    parser.add_argument(
        "--activations",
        type=Path,
        required=True,
        help="folder of VIEW/SPLIT.parquet: `test`, and what is learned from",
    )
    parser.add_argument(
        "--views", nargs="+", required=True, help="such as separate, joint, word, word-last"
    )
    parser.add_argument(
        "--probe-rows", nargs="+", required=True, help="splits to learn from, each by itself"
    )
    parser.add_argument(
        "--merge-tags", action="store_true", help="NER: it learns types in place of IOB2 tags"
    )
    parser.add_argument("--gpus", type=int, default=0, help="0 or 1; which one is chosen here")
    parser.add_argument("--out", required=True, help="table of rows, view, layer, metric and value")
    parser.add_argument("--out-predictions", required=True, help="answers to the test rows")
    return parser.parse_args()


def main() -> None:
    """Read the arguments, probe, write."""
    arguments = read_arguments()
    use_gpus(arguments.gpus, most=1)

    import numpy as np
    from pydantic import TypeAdapter

    from layerscope.analysis.probing.files import shared_metadata
    from layerscope.analysis.probing.run import probe_layers
    from layerscope.config.probes import Probe
    from layerscope.core.formats import read_keys, write_table
    from layerscope.core.formats.probe_predictions import Answers, write_probe_predictions

    probe: Probe = TypeAdapter(Probe).validate_json(arguments.probe_settings)
    device = None
    if arguments.gpus:
        from layerscope.models.placement import device as accelerator

        found = accelerator()
        # Without CUDA as on a core: by numpy, in a core's memory.
        device = found if found.type == "cuda" else None
    settings = probe, arguments.kind, arguments.merge_tags, device
    rows: list[dict[str, object]] = []
    answers: dict[tuple[str, str, int, int], list[Any]] = {}
    for split, view in product(arguments.probe_rows, arguments.views):
        train, test = (arguments.activations / view / f"{part}.parquet" for part in (split, "test"))
        for probed in probe_layers(train, test, *settings):
            rows += [{"rows": split, **row} for row in probed.rows()]
            by_layer = answers.setdefault((split, probed.view, probed.seed, probed.draw), [])
            by_layer.append(probed.predicted.astype(np.int16))
        described, keys = shared_metadata(train, test), read_keys(test)
    metadata = {key: described[key] for key in ("task", "model", "variant")}
    write_probe_predictions(
        arguments.out_predictions,
        keys,
        (Answers(place, np.stack(codes, axis=1)) for place, codes in answers.items()),
        described["layers"],
        metadata | {"labels": described["labels"], "kind_of_task": arguments.kind},
        described.get("stored"),
    )
    write_table(arguments.out, "probe", rows, metadata | {"probe": probe.model_dump(mode="json")})


if __name__ == "__main__":
    run(main)
