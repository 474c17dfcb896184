"""Pre-train a model on a corpus, from scratch or from another model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from layerscope.runtime.gpus import use_gpus
from layerscope.runtime.program import run


def main() -> None:
    """Read the corpus, pre-train, save model and evaluation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="of the model")
    parser.add_argument("--corpus-name", required=True)
    parser.add_argument("--architecture", choices=["encoder", "decoder"], required=True)
    parser.add_argument("--settings", required=True, help="JSON: training, and shape from scratch")
    parser.add_argument("--base", type=Path, help="folder of the model to continue from")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for model and tokenizer")
    parser.add_argument("--out-evaluation", type=Path, required=True)
    parser.add_argument("--gpus", type=int, default=0, help="0 or 1; which one is chosen here")
    parser.add_argument("--checkpoints", type=Path, help="folder for this job's; if absent, none")
    parser.add_argument("--checkpoint-seconds", type=float, default=600, help="seconds between two")
    arguments = parser.parse_args()
    use_gpus(arguments.gpus, most=1)

    from layerscope.config.training import PreTraining, Shape
    from layerscope.core.code import code_digest
    from layerscope.core.files import whole_directory, write_json
    from layerscope.core.formats import read_table
    from layerscope.run_records.content import cached_sha256
    from layerscope.training.checkpoints import until_success
    from layerscope.training.pretraining import pretrain

    settings = json.loads(arguments.settings)
    files = [arguments.train, arguments.heldout]
    texts = [read_table(path, "corpus", ["text"]).column("text").to_pylist() for path in files]
    job = {
        "code": code_digest("pretrain"),
        "architecture": arguments.architecture,
        "settings": settings,
        "base": cached_sha256(arguments.base) if arguments.base else None,
        "files": [cached_sha256(path) for path in files],
    }
    inputs = [*files, arguments.base] if arguments.base else files
    kept = (arguments.checkpoints, arguments.checkpoint_seconds, job, inputs, arguments.out)
    with until_success(*kept) as checkpoints:
        with whole_directory(arguments.out) as out:
            result = pretrain(
                out,
                *texts,
                architecture=arguments.architecture,
                settings=PreTraining.model_validate(settings["training"]),
                base=arguments.base,
                shape=Shape.model_validate(settings["shape"]) if "shape" in settings else None,
                checkpoints=checkpoints,
            )
        description = {"model": arguments.name, "corpus": arguments.corpus_name}
        write_json(arguments.out_evaluation, {**description, **result})


if __name__ == "__main__":
    run(main)
