"""Causal checks on a fine-tuned model: how much score masked heads and an erased label cost."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from layerscope.core.kinds import KINDS
from layerscope.runtime.gpus import use_gpus
from layerscope.runtime.program import run


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--name", required=True, help="of the model")
    parser.add_argument("--variant", required=True, help="fine-tuned")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--architecture", choices=["encoder", "decoder"], required=True)
    parser.add_argument("--settings", required=True, help="JSON of the interventions' settings")
    parser.add_argument("--passes", required=True, help="JSON of the activation settings")
    parser.add_argument(
        "--max-length",
        type=int,
        required=True,
        help="limit of predictions in sub-words",
    )
    parser.add_argument(
        "--merge-tags", action="store_true", help="NER: the head knows types in place of IOB2 tags"
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of the fine-tuned model")
    parser.add_argument("--base", type=Path, help="the model that an adapter belongs to")
    parser.add_argument("--dtype", default="float32", help="type of the loaded weights")
    parser.add_argument("--quantisation", choices=["4bit"], help="of an adapter's base")
    parser.add_argument(
        "--attention", help="before and after; ranks heads by change; if absent, none is masked"
    )
    parser.add_argument("--reference", type=Path, required=True, help="rows that probes learn from")
    parser.add_argument("--sample", type=Path, required=True, help="ids of those that are used")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="Parquet, one row per score")
    parser.add_argument("--gpus", type=int, default=0, help="0 or 1; which one is chosen here")
    return parser.parse_args()


def main() -> None:
    """Load the model, change it in each way, score each, write."""
    arguments = read_arguments()
    use_gpus(arguments.gpus)

    from layerscope.analysis.interventions.checks import check, sample_of
    from layerscope.analysis.interventions.choice import interventions_of
    from layerscope.analysis.interventions.passes import Intervened, rows_of
    from layerscope.analysis.interventions.scored import scored_examples
    from layerscope.config.extraction import Activations
    from layerscope.config.interventions import Interventions
    from layerscope.core import applicability
    from layerscope.core.formats import read_sample, read_table, write_table
    from layerscope.data.labels import TaskLabels
    from layerscope.extraction.predictions import predict_each
    from layerscope.models.loaded import Weights, load_fine_tuned
    from layerscope.statistics import metrics

    passes = Activations.model_validate_json(arguments.passes)
    passes = passes.model_copy(update={"max_length": arguments.max_length})
    task = TaskLabels.read(arguments.test, arguments.kind, arguments.merge_tags)
    settings = Interventions.model_validate_json(arguments.settings)
    test = scored_examples(read_table(arguments.test, task.kind), arguments.kind, settings)
    reference = read_sample(arguments.reference, arguments.sample, task.kind)
    weights = Weights.named(arguments.dtype, arguments.quantisation)
    loaded = load_fine_tuned(arguments.model, arguments.architecture, task, arguments.base, weights)

    def score(truth: Any, predicted: Any, examples: Any) -> dict[str, float]:
        parts = metrics.metrics_of(task.kind, truth, predicted, examples, task.names)
        return metrics.values(parts)

    name = f"{arguments.task} {arguments.name} {arguments.variant}"
    interventions, missing = interventions_of(
        loaded, reference, task, name, settings, passes, arguments.attention
    )
    checked = []
    if interventions:
        sample = sample_of(loaded, test, task, settings.seed, passes)
        checked = check(loaded, sample, interventions, task, score, passes)
    changed = Intervened(loaded.model, interventions)
    predictions = predict_each(changed, loaded, test, task, passes)
    scores = [score(each["label"], each["predicted"], each["example_id"]) for each in predictions]
    rows = list(rows_of(interventions, scores, checked))
    write_table(arguments.out, "intervention", rows, applicability.described(missing))


if __name__ == "__main__":
    run(main)
