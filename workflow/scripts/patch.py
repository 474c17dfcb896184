"""Where a fine-tuned model's change matters: its layers exchanged with those of before."""

from __future__ import annotations

import argparse
from pathlib import Path

from layerscope.core.kinds import KINDS
from layerscope.runtime.gpus import use_gpus
from layerscope.runtime.program import run


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--architecture", choices=["encoder", "decoder"], required=True)
    parser.add_argument("--settings", required=True, help="JSON of which examples are scored")
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
    parser.add_argument("--before", type=Path, required=True, help="the model before fine-tuning")
    parser.add_argument("--dtype", default="float32", help="type of the loaded weights")
    parser.add_argument("--quantisation", choices=["4bit"], help="of an adapter's base")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="Parquet, one row per score")
    parser.add_argument("--gpus", type=int, default=0, help="0 or 1; which one is chosen here")
    return parser.parse_args()


def main() -> None:
    """Load both models, exchange their layers in each way, score each, write."""
    arguments = read_arguments()
    use_gpus(arguments.gpus)

    from layerscope.analysis.interventions.scored import scored_examples
    from layerscope.analysis.patching import Patched, patches_on, rows_of
    from layerscope.config.extraction import Activations
    from layerscope.config.interventions import Interventions
    from layerscope.core import applicability
    from layerscope.core.formats import read_table, write_table
    from layerscope.data.labels import TaskLabels
    from layerscope.extraction.predictions import predict_each
    from layerscope.models.loaded import Weights, load_body, load_fine_tuned
    from layerscope.statistics import metrics

    passes = Activations.model_validate_json(arguments.passes)
    passes = passes.model_copy(update={"max_length": arguments.max_length})
    task = TaskLabels.read(arguments.test, arguments.kind, arguments.merge_tags)
    settings = Interventions.model_validate_json(arguments.settings)
    test = scored_examples(read_table(arguments.test, task.kind), arguments.kind, settings)
    weights = Weights.named(arguments.dtype, arguments.quantisation)
    given = (arguments.model, arguments.architecture, task, arguments.before, weights)
    loaded = load_fine_tuned(*given)
    before = None
    if loaded.bare is None:  # an adapter is beside the weights of before
        before = load_body(arguments.before, loaded.without_head(), weights=weights)
    layers, patches, missing = patches_on(loaded, before)
    scores = {}
    if patches:
        mixtures = list(dict.fromkeys(patch.mixture for patch in patches))
        patched = Patched(loaded.model, layers, mixtures)
        predictions = predict_each(patched, loaded, test, task, passes)
        for mixture, each in zip(mixtures, predictions, strict=True):
            answers = each["label"], each["predicted"], each["example_id"], task.names
            scores[mixture] = metrics.values(metrics.metrics_of(task.kind, *answers))
    rows = list(rows_of(patches, scores))
    write_table(arguments.out, "patch", rows, applicability.described(missing))


if __name__ == "__main__":
    run(main)
