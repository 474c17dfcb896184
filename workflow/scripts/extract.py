"""All forward passes of one variant of a model: activations, attention and predictions.

One process loads the model once for all three. The pre-trained and the random variant have
no predictions, since their head is untrained.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from layerscope.core.kinds import KINDS
from layerscope.runtime.gpus import use_gpus
from layerscope.runtime.program import run


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--name", required=True, help="of the model")
    parser.add_argument("--variant", required=True)
    parser.add_argument("--kind", choices=KINDS, required=True, help="of the task")
    parser.add_argument("--architecture", choices=["encoder", "decoder"], required=True)
    parser.add_argument("--settings", required=True, help="JSON of the activation settings")
    parser.add_argument("--model", type=Path, required=True, help="folder of the variant's model")
    parser.add_argument("--base", type=Path, help="the model that an adapter belongs to")
    parser.add_argument("--dtype", default="float32", help="type of the loaded weights")
    parser.add_argument("--quantisation", choices=["4bit"], help="of an adapter's base")
    parser.add_argument(
        "--probe-rows", nargs="+", required=True, help="names of splits that probes learn from"
    )
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="table of each split")
    parser.add_argument(
        "--samples", nargs="+", type=Path, required=True, help="ids of each that probes learn from"
    )
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument(
        "--test-sample", type=Path, help="ids of test rows that probes are tested on; default: all"
    )
    parser.add_argument(
        "--views", nargs="+", required=True, help="such as separate, joint, word, word-last"
    )
    parser.add_argument("--out-activations", type=Path, required=True, help="folder; VIEW/SPLIT")
    parser.add_argument("--max-length", type=int, help="limit of predictions in sub-words")
    parser.add_argument("--out-predictions", type=Path, help="of a fine-tuned variant")
    parser.add_argument(
        "--merge-tags", action="store_true", help="NER: the head knows types in place of IOB2 tags"
    )
    parser.add_argument("--out-attention", type=Path)
    parser.add_argument("--attention-settings", help="JSON of the attention settings")
    parser.add_argument("--before", type=Path, help="the pre-trained model, to compare maps with")
    parser.add_argument("--other-seed", type=Path, help="same variant, other seed: the ceiling")
    parser.add_argument("--gpus", type=int, default=0, help="0 or 1; which one is chosen here")
    return parser.parse_args()


def main() -> None:
    """Load the model, run it over the data, write the files that were asked for."""
    arguments = read_arguments()
    use_gpus(arguments.gpus)

    from layerscope.config.extraction import Activations, Attention
    from layerscope.core.files import whole_directory
    from layerscope.core.formats import read_sample, read_table, write_table
    from layerscope.core.variants import RANDOM, parse_variant, without_seed
    from layerscope.data.labels import TaskLabels
    from layerscope.extraction.activations import write_all_activations
    from layerscope.extraction.attention import attention_table
    from layerscope.extraction.predictions import predict
    from layerscope.models.loaded import Weights, load_base, load_body, load_fine_tuned
    from layerscope.run_records.content import cached_sha256

    weights = Weights.named(arguments.dtype, arguments.quantisation)
    loading = (arguments.base, weights)
    settings = Activations.model_validate_json(arguments.settings)
    task = TaskLabels.read(arguments.test, arguments.kind, arguments.merge_tags)
    test = read_table(arguments.test, task.kind)
    described = {
        "task": arguments.task,
        "model": arguments.name,
        "variant": arguments.variant,
        "kind_of_task": task.kind,
        "labels": task.names,
        "model_sha256": cached_sha256(arguments.model),
    }
    if arguments.out_predictions:
        tuned = load_fine_tuned(arguments.model, arguments.architecture, task, *loading)
        limit = arguments.max_length or settings.max_length
        columns = predict(tuned, test, task, settings.model_copy(update={"max_length": limit}))
        write_table(arguments.out_predictions, "predictions", columns, described)
        loaded = tuned.without_head()
    else:
        random = without_seed(arguments.variant) == RANDOM
        seed = parse_variant(arguments.variant)[1] if random else None
        loaded = load_base(arguments.model, arguments.architecture, seed, weights)

    splits = {}
    for split, data, sample in (
        *zip(arguments.probe_rows, arguments.data, arguments.samples, strict=True),
        ("test", arguments.test, arguments.test_sample),
    ):
        table = read_sample(data, sample, task.kind) if sample else test
        about = {"split": split, "data_sha256": cached_sha256(data)}
        splits[split] = (table, described | about)
    with whole_directory(arguments.out_activations) as folder:
        write_all_activations(loaded, splits, arguments.views, folder, settings)

    if arguments.out_attention:
        attention = Attention.model_validate_json(arguments.attention_settings)
        before, other_seed = (
            load_body(folder, loaded, *loading) if folder else None
            for folder in (arguments.before, arguments.other_seed)
        )
        given = (loaded, before, other_seed, test, task.kind, attention)
        columns, reasons = attention_table(*given)
        write_table(arguments.out_attention, "attention", columns, {**described, **reasons})


if __name__ == "__main__":
    run(main)
