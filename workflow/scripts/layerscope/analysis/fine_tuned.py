"""Arguments, model and test rows of the programs that change a fine-tuned model, or read it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.core.kinds import KINDS

if TYPE_CHECKING:  # a program chooses its GPU before anything imports torch
    import pyarrow as pa

    from layerscope.config.extraction import Activations
    from layerscope.config.interventions import Interventions
    from layerscope.data.labels import TaskLabels
    from layerscope.models.loaded import LoadedModel, Weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that `read` takes, and those of the output and the GPU."""
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
    parser.add_argument("--dtype", default="float32", help="type of the loaded weights")
    parser.add_argument("--quantisation", choices=["4bit"], help="of an adapter's base")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="Parquet, one row per score")
    parser.add_argument("--gpus", type=int, default=0, help="0 or 1; which one is chosen here")


def add_reference_arguments(parser: argparse.ArgumentParser) -> None:
    """The further arguments of programs that learn from reference rows too."""
    parser.add_argument("--task", required=True)
    parser.add_argument("--name", required=True, help="of the model")
    parser.add_argument("--variant", required=True, help="fine-tuned")
    parser.add_argument("--base", type=Path, help="the model that an adapter belongs to")
    parser.add_argument("--reference", type=Path, required=True, help="rows that probes learn from")
    parser.add_argument("--sample", type=Path, required=True, help="ids of those that are used")


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned model, and what it is asked."""

    loaded: LoadedModel
    weights: Weights  # how it was loaded
    task: TaskLabels
    test: pa.Table  # the rows that are scored
    settings: Interventions
    passes: Activations


def read(arguments: argparse.Namespace, base: Path | None) -> FineTuned:
    """The model and the test rows that a command line names.

    Args:
        arguments: as of `add_arguments`.
        base: the model that an adapter belongs to.

    Raises:
        UserError: a file is missing or unlike what it should be.
    """
    from layerscope.analysis.interventions.scored import scored_examples
    from layerscope.config.extraction import Activations
    from layerscope.config.interventions import Interventions
    from layerscope.core.formats import read_table
    from layerscope.data.labels import TaskLabels
    from layerscope.models.loaded import Weights, load_fine_tuned

    passes = Activations.model_validate_json(arguments.passes)
    passes = passes.model_copy(update={"max_length": arguments.max_length})
    task = TaskLabels.read(arguments.test, arguments.kind, arguments.merge_tags)
    settings = Interventions.model_validate_json(arguments.settings)
    test = scored_examples(read_table(arguments.test, task.kind), arguments.kind, settings)
    weights = Weights.named(arguments.dtype, arguments.quantisation)
    loaded = load_fine_tuned(arguments.model, arguments.architecture, task, base, weights)
    return FineTuned(loaded, weights, task, test, settings, passes)
