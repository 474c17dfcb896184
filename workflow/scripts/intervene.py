"""Causal checks on a fine-tuned model: what masked heads and an erased label cost in score."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from layerscope.runtime.gpus import use_gpus
from layerscope.runtime.program import run


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--name", required=True, help="of the model")
    parser.add_argument("--variant", required=True, help="fine-tuned")
    parser.add_argument("--kind", choices=["nli", "ner"], required=True)
    parser.add_argument("--architecture", choices=["encoder", "decoder"], required=True)
    parser.add_argument("--settings", required=True, help="JSON of the interventions' settings")
    parser.add_argument("--passes", required=True, help="JSON of the activation settings")
    parser.add_argument(
        "--max-length", type=int, required=True, help="sub-words to predict from, as in fine-tuning"
    )
    parser.add_argument(
        "--merge-tags", action="store_true", help="NER: the head knows types in place of IOB2 tags"
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of the fine-tuned model")
    parser.add_argument("--attention", required=True, help="its attention before and after")
    parser.add_argument("--data", type=Path, required=True, help="rows to fit erasers to")
    parser.add_argument("--sample", type=Path, required=True, help="ids of those that are used")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="Parquet, a row a score")
    parser.add_argument("--gpus", type=int, default=0, help="0 or 1: which GPU is chosen here")
    return parser.parse_args()


def main() -> None:
    """Load the model, change it in each way, score each, write."""
    arguments = read_arguments()
    use_gpus(arguments.gpus)

    from layerscope.analysis.interventions import (
        Intervened,
        erased_layers,
        masked_heads,
        ranked_heads,
        rows_of,
    )
    from layerscope.config.extraction import Activations
    from layerscope.config.interventions import Interventions
    from layerscope.core.formats import read_sample, read_table, write_table
    from layerscope.data.labels import TaskLabels
    from layerscope.extraction.predictions import predict_each
    from layerscope.models.hooks import all_heads
    from layerscope.models.loaded import load_fine_tuned
    from layerscope.statistics import metrics

    passes = Activations.model_validate_json(arguments.passes)
    passes = passes.model_copy(update={"max_length": arguments.max_length})
    task = TaskLabels.read(arguments.test, arguments.kind, arguments.merge_tags)
    test = read_table(arguments.test, task.kind)
    sample = read_sample(arguments.data, arguments.sample, task.kind)
    loaded = load_fine_tuned(arguments.model, arguments.architecture, task)

    settings = Interventions.model_validate_json(arguments.settings)
    attention = read_table(arguments.attention, "attention")
    name = f"{arguments.task} {arguments.name} {arguments.variant}"
    ranked = ranked_heads(attention, all_heads(loaded.model))
    interventions = masked_heads(ranked, settings, name)
    interventions += erased_layers(loaded, sample, task, settings.seed, passes)
    changed = Intervened(loaded.model, interventions)
    predictions = predict_each(changed, loaded, test, task, passes)

    def score(found: dict[str, Any]) -> dict[str, float]:
        answers = found["label"], found["predicted"]
        if task.kind == "nli":
            return metrics.values(metrics.nli_metrics(*answers, task.names))
        return metrics.values(metrics.ner_metrics(*answers, found["example_id"], task.names))

    rows = list(rows_of(interventions, [score(found) for found in predictions]))
    write_table(arguments.out, "intervention", rows)


if __name__ == "__main__":
    run(main)
