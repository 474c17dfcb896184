"""How much a cap on the words that a probe learns from costs in probe score.

    export PYTHONPATH=workflow/scripts
    python benchmarks/probe_limit.py --data ../shared/data/jnlpba/dataset --out FILE.json

Encodes JNLPBA once with the demo's encoder (MiniLM, pre-trained), probes some layers from capped
samples of the training words (seeded and stratified, as `probe_limit` draws them) and scores all
test sentences by entity F1. The whole training set is the last row.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.analysis.probing.features import standardise
from layerscope.analysis.probing.linear import predict_linear
from layerscope.analysis.probing.stacked_crf import predict_stacked
from layerscope.config import jobs
from layerscope.config.load import read_yaml, validate
from layerscope.core.files import write_json
from layerscope.core.formats import activation_metadata, read_keys, read_layer, read_table
from layerscope.data.sampling import capped_sample, strata
from layerscope.statistics import metrics

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "workflow" / "scripts"


def program(name: str, *arguments: str | Path) -> None:
    """Run a program of the workflow."""
    subprocess.run([sys.executable, PROGRAMS / f"{name}.py", *map(str, arguments)], check=True)


def encode(data: Path, folder: Path) -> tuple[Path, Path, Path]:
    """Prepare JNLPBA and encode all of it; training table, activations of training and test."""
    study = validate(read_yaml(ROOT / "config" / "open-data.yaml") | {"references": None})
    program(
        "prepare_task", "--settings", jobs.task_settings(study, "jnlpba"),
        "--statements", jobs.task_statements(study, "jnlpba"),
        "--folder", data, "--out-dir", folder / "data",
    )  # fmt: skip
    program(
        "fetch_model", "--settings", jobs.source_settings(study, "minilm"), "--sha256", "{}",
        "--out", folder / "model",
    )  # fmt: skip
    train, test = folder / "data" / "train.parquet", folder / "data" / "test.parquet"
    program(
        "sample_for_probes", "--data", train, "--kind", "ner", "--limit", "all", "--seed", "0",
        "--out", folder / "sample.parquet",
    )  # fmt: skip
    program(
        "extract", "--task", "jnlpba", "--name", "minilm", "--variant", "pretrained",
        "--kind", "ner", "--architecture", "encoder",
        "--settings", jobs.activation_settings(study), "--model", folder / "model",
        "--probe-rows", "train", "--data", train, "--samples", folder / "sample.parquet",
        "--test", test,
        "--views", "word", "--out-activations", folder / "activations",
    )  # fmt: skip
    made = folder / "activations" / "word"
    return train, made / "train.parquet", made / "test.parquet"


def measure(
    table: Path, train: Path, test: Path, limits: list[int | None], seeds: list[int],
    layers: list[int],
) -> list[dict[str, Any]]:  # fmt: skip
    """Entity F1 of both probes by limit, seed of the sample and layer."""
    tags = activation_metadata(train)["labels"]
    sentences = read_table(table, "ner").to_pylist()
    ids = [row["example_id"] for row in sentences]
    groups, sizes = strata("ner", sentences), [len(row["tokens"]) for row in sentences]
    keys, test_keys = read_keys(train), read_keys(test)
    labels = metrics.encode(keys["label"], tags)
    examples, test_examples = np.asarray(keys["example_id"]), test_keys["example_id"]
    found = []
    for layer in layers:
        every, test_vectors = read_layer(train, layer), read_layer(test, layer)
        for limit in limits:
            for seed in seeds if limit is not None else seeds[:1]:
                chosen = {ids[row] for row in capped_sample(ids, groups, sizes, limit, seed)}
                rows = np.flatnonzero(np.isin(examples, sorted(chosen)))
                vectors, scaled = standardise(every[rows], test_vectors)
                answers = {
                    "linear": predict_linear(vectors, [labels[rows]], scaled, 1.0, 200)[0],
                    "bilstm-crf": predict_stacked(
                        vectors[None], labels[rows], list(examples[rows]), scaled[None],
                        test_examples, tags=len(tags), hidden=256, epochs=3, batch_size=64,
                        learning_rate=0.001, seed=0,
                    )[0],
                }  # fmt: skip
                for probe, predicted in answers.items():
                    named = [tags[code] for code in predicted]
                    parts = metrics.ner_metrics(test_keys["label"], named, test_examples, tags)
                    found.append(
                        {
                            "probe": probe, "layer": layer, "limit": limit, "seed": seed,
                            "words": len(rows), "entity_f1": metrics.values(parts)["entity_f1"],
                        }
                    )  # fmt: skip
                    print(json.dumps(found[-1]), flush=True)
    return found


def main() -> None:
    """Encode, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of JNLPBA's JSON files")
    parser.add_argument("--limits", type=int, nargs="+", default=[2000, 5000, 20000, 50000, 150000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 3, 6])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        files = encode(arguments.data, Path(scratch))
        limits = [*arguments.limits, None]
        rows = measure(*files, limits, arguments.seeds, arguments.layers)
    write_json(arguments.out, rows)


if __name__ == "__main__":
    main()
