"""Causal checks on a fine-tuned model: how much score masked heads and an erased label cost."""

from __future__ import annotations

import argparse
from typing import Any

from layerscope.analysis import fine_tuned
from layerscope.runtime.gpus import use_gpus
from layerscope.runtime.program import run


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    fine_tuned.add_arguments(parser)
    fine_tuned.add_reference_arguments(parser)
    parser.add_argument(
        "--attention", help="before and after; ranks heads by change; if absent, none is masked"
    )
    return parser.parse_args()


def main() -> None:
    """Load the model, change it in each way, score each, write."""
    arguments = read_arguments()
    use_gpus(arguments.gpus)

    from layerscope.analysis.interventions.checks import check, sample_of
    from layerscope.analysis.interventions.choice import interventions_of
    from layerscope.analysis.interventions.passes import Intervened, rows_of
    from layerscope.core import applicability
    from layerscope.core.formats import read_sample, write_table
    from layerscope.extraction.predictions import predict_each
    from layerscope.statistics import metrics

    asked = fine_tuned.read(arguments, arguments.base)
    loaded, task, passes = asked.loaded, asked.task, asked.passes
    reference = read_sample(arguments.reference, arguments.sample, task.kind)

    def score(truth: Any, predicted: Any, examples: Any) -> dict[str, float]:
        parts = metrics.metrics_of(task.kind, truth, predicted, examples, task.names)
        return metrics.values(parts)

    name = f"{arguments.task} {arguments.name} {arguments.variant}"
    interventions, missing = interventions_of(
        loaded, reference, task, name, asked.settings, passes, arguments.attention
    )
    checked = []
    if interventions:
        sample = sample_of(loaded, asked.test, task, asked.settings.seed, passes)
        checked = check(loaded, sample, interventions, task, score, passes)
    changed = Intervened(loaded.model, interventions)
    predictions = predict_each(changed, loaded, asked.test, task, passes)
    scores = [score(each["label"], each["predicted"], each["example_id"]) for each in predictions]
    rows = list(rows_of(interventions, scores, checked))
    write_table(arguments.out, "intervention", rows, applicability.described(missing))


if __name__ == "__main__":
    run(main)
