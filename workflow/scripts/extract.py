"""All forward passes of one variant of a model: activations, attention and predictions.

One process loads the model once for all that needs it. The pre-trained and the random variant have
no predictions, since their head is untrained.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from layerscope.runtime.gpus import use_gpus
from layerscope.runtime.program import run


def main() -> None:
    """Load the model, run it over the data, write the files that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--name", required=True, help="of the model")
    parser.add_argument("--variant", required=True)
    parser.add_argument("--kind", choices=["nli", "ner"], required=True)
    parser.add_argument("--architecture", choices=["encoder", "decoder"], required=True)
    parser.add_argument("--settings", required=True, help="JSON of the activation settings")
    parser.add_argument("--model", type=Path, required=True, help="folder of the variant's model")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--train-sample", type=Path, required=True, help="ids that probes train on")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument(
        "--views", nargs="+", required=True, help="separate, joint, word; or of the last sub-word"
    )
    parser.add_argument("--out-activations", type=Path, required=True, help="folder; VIEW/SPLIT")
    parser.add_argument(
        "--max-length", type=int, help="sub-words to predict from, as in fine-tuning"
    )
    parser.add_argument("--out-predictions", type=Path, help="of a fine-tuned variant")
    parser.add_argument(
        "--merge-tags", action="store_true", help="NER: the head knows types in place of IOB2 tags"
    )
    parser.add_argument("--out-attention", type=Path)
    parser.add_argument("--attention-settings", help="JSON of the attention settings")
    parser.add_argument("--before", type=Path, help="the pre-trained model, to compare maps with")
    parser.add_argument("--other-seed", type=Path, help="same variant, other seed: the ceiling")
    parser.add_argument("--gpus", type=int, default=0, help="0 or 1: which GPU is chosen here")
    arguments = parser.parse_args()
    use_gpus(arguments.gpus)

    from layerscope.config.extraction import Activations, Attention
    from layerscope.core.encodings import encoding
    from layerscope.core.files import whole_directory
    from layerscope.core.formats import file_metadata, read_sample, read_table, write_table
    from layerscope.core.variants import RANDOM
    from layerscope.data.iob import merged_labels
    from layerscope.extraction.activations import write_activations
    from layerscope.extraction.attention import choose_examples, compare_attention
    from layerscope.extraction.predictions import predict
    from layerscope.models.inputs import read_special_tokens
    from layerscope.models.load import (
        device,
        load_model,
        load_tokenizer,
        load_with_head,
        random_model,
    )
    from layerscope.run_records.content import known_sha256

    settings = Activations.model_validate_json(arguments.settings)
    kind, architecture = arguments.kind, arguments.architecture
    test = read_table(arguments.test, kind)
    labels = file_metadata(arguments.test, kind)["labels"]
    described = {
        "task": arguments.task,
        "model": arguments.name,
        "variant": arguments.variant,
        "kind_of_task": kind,
        "labels": labels,
        "model_sha256": known_sha256(arguments.model),
    }
    tokenizer = load_tokenizer(arguments.model)
    special_tokens = read_special_tokens(tokenizer, architecture)
    if arguments.out_predictions:
        outputs = merged_labels(labels) if arguments.merge_tags else labels
        whole = load_with_head(arguments.model, tokenizer, kind, outputs).to(device())  # type: ignore[arg-type]
        limit = arguments.max_length or settings.max_length
        columns = predict(
            whole,
            tokenizer,
            special_tokens,
            test,
            kind=kind,
            architecture=architecture,
            labels=labels,
            settings=settings.model_copy(update={"max_length": limit}),
            merge_tags=arguments.merge_tags,
        )
        write_table(arguments.out_predictions, "predictions", columns, described)
        model = whole.base_model
    elif arguments.variant == RANDOM:
        model = random_model(arguments.model, tokenizer, settings.random_seed).to(device())  # type: ignore[arg-type]
    else:
        model = load_model(arguments.model, tokenizer).to(device())  # type: ignore[arg-type]

    probed = read_sample(arguments.train, arguments.train_sample, kind)
    parts = {
        "train": (probed, known_sha256(arguments.train)),
        "test": (test, known_sha256(arguments.test)),
    }
    with whole_directory(arguments.out_activations) as folder:
        for how in dict.fromkeys(map(encoding, arguments.views)):
            views = [view for view in arguments.views if encoding(view) == how]
            for split, (table, digest) in parts.items():
                write_activations(
                    model,
                    tokenizer,
                    special_tokens,
                    table,
                    {view: folder / view / f"{split}.parquet" for view in views},
                    settings,
                    {**described, "split": split, "data_sha256": digest},
                )

    if arguments.out_attention:
        attention = Attention.model_validate_json(arguments.attention_settings)
        before, other_seed = (
            load_model(folder, tokenizer).to(device()) if folder else None  # type: ignore[arg-type]
            for folder in (arguments.before, arguments.other_seed)
        )
        for each in (model, before, other_seed):
            if each is not None:
                each.set_attn_implementation("eager")
        examples = choose_examples(model, tokenizer, special_tokens, test, kind, attention)
        columns = compare_attention(
            examples, special_tokens, model, before, other_seed, attention.batch_examples
        )
        write_table(arguments.out_attention, "attention", columns, described)


if __name__ == "__main__":
    run(main)
