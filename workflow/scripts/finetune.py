"""Fine-tune a pre-trained model on a sample of a task's training data."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path

from layerscope.core.kinds import KINDS
from layerscope.runtime.gpus import use_gpus
from layerscope.runtime.program import run


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS, required=True, help="of the task")
    parser.add_argument("--architecture", choices=["encoder", "decoder"], required=True)
    parser.add_argument("--settings", required=True, help="JSON of the fine-tuning settings")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--sample", type=Path, required=True, help="ids of the rows to train on")
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument(
        "--merge-tags", action="store_true", help="NER: the head learns types in place of IOB2 tags"
    )
    parser.add_argument(
        "--adapter", help="JSON of the adapter; if absent, the whole model is fine-tuned"
    )
    parser.add_argument("--dtype", default="float32", help="type of the loaded weights")
    parser.add_argument("--quantisation", choices=["4bit"], help="of an adapter's base")
    parser.add_argument("--out", type=Path, required=True, help="folder for model and history")
    parser.add_argument("--gpus", type=int, default=0, help="0 or 1; which one is chosen here")
    parser.add_argument("--checkpoints", type=Path, help="folder for this job's; if absent, none")
    parser.add_argument("--checkpoint-seconds", type=float, default=600, help="seconds between two")
    return parser.parse_args()


def main() -> None:
    """Read data and sample, fine-tune, save model, tokenizer and history."""
    arguments = read_arguments()
    use_gpus(arguments.gpus)

    from layerscope.config.training import FineTuning
    from layerscope.config.weights import Lora
    from layerscope.core.code import code_digest
    from layerscope.core.files import whole_directory
    from layerscope.core.formats import read_sample, read_table
    from layerscope.data.labels import TaskLabels
    from layerscope.models.loaded import Weights
    from layerscope.run_records.content import cached_sha256
    from layerscope.training.checkpoints import until_success
    from layerscope.training.finetuning import FineTuningData, finetune

    adapter = Lora.model_validate_json(arguments.adapter) if arguments.adapter else None
    settings = FineTuning.model_validate_json(arguments.settings)
    data = FineTuningData(
        train=read_sample(arguments.train, arguments.sample, arguments.kind),
        validation=read_table(arguments.validation, arguments.kind),
        task=TaskLabels.read(arguments.train, arguments.kind, arguments.merge_tags),
    )
    files = [arguments.train, arguments.sample, arguments.validation]
    job = {
        "code": code_digest("finetune"),
        "kind": arguments.kind,
        "architecture": arguments.architecture,
        "settings": settings.model_dump(mode="json"),
        "seed": arguments.seed,
        "merge_tags": arguments.merge_tags,
        "adapter": [arguments.adapter, version("peft")] if adapter else None,
        "weights": [arguments.dtype, arguments.quantisation],
        "model": cached_sha256(arguments.model),
        "files": [cached_sha256(path) for path in files],
    }
    inputs = [arguments.model, *files]
    kept = (arguments.checkpoints, arguments.checkpoint_seconds, job, inputs, arguments.out)
    with until_success(*kept) as checkpoints, whole_directory(arguments.out) as out:
        finetune(
            arguments.model,
            out,
            data,
            architecture=arguments.architecture,
            settings=settings,
            seed=arguments.seed,
            adapter=adapter,
            weights=Weights.named(arguments.dtype, arguments.quantisation),
            checkpoints=checkpoints,
        )


if __name__ == "__main__":
    run(main)
