"""The head lens: the head of a fine-tuned model put on each of its layers, and how it answers."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from layerscope.core.kinds import KINDS
from layerscope.runtime.gpus import use_gpus
from layerscope.runtime.program import run

log = logging.getLogger(__name__)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--name", required=True, help="of the model")
    parser.add_argument("--variant", required=True, help="fine-tuned")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--architecture", choices=["encoder", "decoder"], required=True)
    parser.add_argument("--settings", required=True, help="JSON: test examples, and the seed")
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
    parser.add_argument("--reference", type=Path, required=True, help="rows that probes learn from")
    parser.add_argument("--sample", type=Path, required=True, help="ids of those that are used")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="Parquet, one row per score")
    parser.add_argument("--gpus", type=int, default=0, help="0 or 1; which one is chosen here")
    return parser.parse_args()


def main() -> None:
    """Load the model, fit translators on reference rows, answer test rows, score, write."""
    arguments = read_arguments()
    use_gpus(arguments.gpus)

    from layerscope.analysis.head_lens.lens import lens, own_rows
    from layerscope.analysis.interventions.scored import scored_examples
    from layerscope.config.extraction import Activations
    from layerscope.config.interventions import Interventions
    from layerscope.core.applicability import described
    from layerscope.core.errors import NotApplicableError
    from layerscope.core.formats import read_sample, read_table, write_table
    from layerscope.data.labels import TaskLabels
    from layerscope.extraction.predictions import predict
    from layerscope.models.loaded import Weights, load_fine_tuned

    passes = Activations.model_validate_json(arguments.passes)
    passes = passes.model_copy(update={"max_length": arguments.max_length})
    task = TaskLabels.read(arguments.test, arguments.kind, arguments.merge_tags)
    settings = Interventions.model_validate_json(arguments.settings)
    test = scored_examples(read_table(arguments.test, task.kind), arguments.kind, settings)
    reference = read_sample(arguments.reference, arguments.sample, task.kind)
    weights = Weights.named(arguments.dtype, arguments.quantisation)
    loaded = load_fine_tuned(arguments.model, arguments.architecture, task, arguments.base, weights)
    name = f"{arguments.task} {arguments.name} {arguments.variant}"
    missing = {}
    try:
        rows = lens(loaded, reference, test, task, name, settings.seed, passes)
    except NotApplicableError as error:
        log.warning("the head lens is not applicable: %s", error)
        missing = {"head lens": str(error)}
        rows = own_rows(predict(loaded, test, task, passes)["predicted"], test, task)
    write_table(arguments.out, "head_lens", rows, described(missing))


if __name__ == "__main__":
    run(main)
