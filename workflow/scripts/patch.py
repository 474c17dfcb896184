"""Where a fine-tuned model's change matters: its layers exchanged with those of before."""

from __future__ import annotations

import argparse
from pathlib import Path

from layerscope.analysis import fine_tuned
from layerscope.runtime.gpus import use_gpus
from layerscope.runtime.program import run


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    fine_tuned.add_arguments(parser)
    parser.add_argument("--before", type=Path, required=True, help="the model before fine-tuning")
    return parser.parse_args()


def main() -> None:
    """Load both models, exchange their layers in each way, score each, write."""
    arguments = read_arguments()
    use_gpus(arguments.gpus)

    from layerscope.analysis.patching import Patched, patches_on, rows_of
    from layerscope.core import applicability
    from layerscope.core.formats import write_table
    from layerscope.extraction.predictions import predict_each
    from layerscope.models.loaded import load_body
    from layerscope.statistics import metrics

    asked = fine_tuned.read(arguments, arguments.before)
    loaded, task = asked.loaded, asked.task
    before = None
    if loaded.bare is None:  # an adapter is beside the weights of before
        before = load_body(arguments.before, loaded.without_head(), weights=asked.weights)
    layers, patches, missing = patches_on(loaded, before)
    scores = {}
    if patches:
        mixtures = list(dict.fromkeys(patch.mixture for patch in patches))
        patched = Patched(loaded.model, layers, mixtures)
        predictions = predict_each(patched, loaded, asked.test, task, asked.passes)
        for mixture, each in zip(mixtures, predictions, strict=True):
            answers = each["label"], each["predicted"], each["example_id"], task.names
            scores[mixture] = metrics.values(metrics.metrics_of(task.kind, *answers))
    rows = list(rows_of(patches, scores))
    write_table(arguments.out, "patch", rows, applicability.described(missing))


if __name__ == "__main__":
    run(main)
