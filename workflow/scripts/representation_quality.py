"""Quality of each layer's representations without labels: entropy, rank, curvature, invariance."""

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
    parser.add_argument("--variant", required=True)
    parser.add_argument("--kind", choices=KINDS, required=True, help="of the task")
    parser.add_argument("--architecture", choices=["encoder", "decoder"], required=True)
    parser.add_argument("--passes", required=True, help="JSON of the activation settings")
    parser.add_argument("--model", type=Path, required=True, help="folder of the variant's model")
    parser.add_argument("--base", type=Path, help="the model that an adapter belongs to")
    parser.add_argument("--dtype", default="float32", help="type of the loaded weights")
    parser.add_argument("--quantisation", choices=["4bit"], help="of an adapter's base")
    parser.add_argument(
        "--merge-tags", action="store_true", help="NER: the head knows types in place of IOB2 tags"
    )
    parser.add_argument("--reference", type=Path, required=True, help="rows that probes learn from")
    parser.add_argument("--sample", type=Path, required=True, help="ids of those that are used")
    parser.add_argument("--out", type=Path, required=True, help="Parquet, one row per value")
    parser.add_argument("--gpus", type=int, default=0, help="0 or 1; which one is chosen here")
    return parser.parse_args()


def main() -> None:
    """Load the model, run it over texts and their edits, write the measures."""
    arguments = read_arguments()
    use_gpus(arguments.gpus)

    from layerscope.analysis.representation_quality.passes import described_layers
    from layerscope.config.extraction import Activations
    from layerscope.core.applicability import described
    from layerscope.core.errors import NotApplicableError
    from layerscope.core.formats import read_sample, write_table
    from layerscope.core.variants import RANDOM, parse_variant, without_seed
    from layerscope.data.labels import TaskLabels
    from layerscope.models.loaded import Weights, load_base, load_fine_tuned

    task = TaskLabels.read(arguments.reference, arguments.kind, arguments.merge_tags)
    weights = Weights.named(arguments.dtype, arguments.quantisation)
    percent, seed = parse_variant(arguments.variant)
    given = (arguments.model, arguments.architecture)
    if percent > 0:
        loaded = load_fine_tuned(*given, task, arguments.base, weights).without_head()
    else:
        random = without_seed(arguments.variant) == RANDOM
        loaded = load_base(*given, seed if random else None, weights)
    reference = read_sample(arguments.reference, arguments.sample, task.kind)
    settings = Activations.model_validate_json(arguments.passes)
    try:
        rows, missing = described_layers(loaded, reference, task.kind, settings)
    except NotApplicableError as error:
        rows, missing = [], {"representation quality": str(error)}
    for analysis, reason in missing.items():
        log.warning("%s is not applicable: %s", analysis, reason)
    write_table(arguments.out, "representation_quality", rows, described(missing))


if __name__ == "__main__":
    run(main)
