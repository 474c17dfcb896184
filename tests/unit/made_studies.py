"""Small studies made up to be compared, and the program that compares them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from forking import run_program
from running import ROOT

from layerscope.core.formats import write_table
from layerscope.provenance.studies import Study, read_study

PROGRAM = ROOT / "workflow" / "scripts" / "compare.py"
CLASSES = ["entailment", "neutral", "contradiction"]
Codes = Any  # an array of label codes


def nli(path: Path, labels: Codes, predicted: Codes, ids: str = "e", order: Codes = None) -> Path:
    """Predictions of pairs, one a group."""
    rows = np.arange(len(labels)) if order is None else order
    columns = {
        "example_id": [f"{ids}{row}" for row in rows],
        "group_id": [f"g-{ids}{row}" for row in rows],
        "word_index": [0] * len(rows),
        "label": [CLASSES[labels[row]] for row in rows],
        "predicted": [CLASSES[predicted[row]] for row in rows],
        "probabilities": [[1.0] * 3] * len(rows),
    }
    described = {"task": "t", "model": "m", "variant": path.stem, "kind_of_task": "nli"}
    write_table(path, "predictions", columns, {**described, "labels": CLASSES})
    return path


def answers(labels: Codes, right: float, seed: int) -> Codes:
    """Answers that are right with a probability."""
    rng = np.random.default_rng(seed)
    wrong = (labels + rng.integers(1, 3, size=len(labels))) % 3
    return np.where(rng.random(len(labels)) < right, labels, wrong)


LABELS = np.random.default_rng(0).integers(3, size=400)


CONFIG = {"study": "s", "models": {"m": {"rate": 0.1}}, "statistics": {"resamples": 100}}


def study(
    root: Path, config: Any = CONFIG, jobs: Any = (), models: dict[str, Codes] | None = None
) -> Study:
    """A small study of one task, on disk."""
    results = root / "results" / "s"
    results.mkdir(parents=True)
    (results / "config.json").write_text(json.dumps(config))
    for model, predicted in (models or {"m": answers(LABELS, 0.6, 1)}).items():
        nli(results / f"predictions/t/{model}/f10-s1.parquet", LABELS, predicted)
    for record in jobs:
        path = root / f"{record['outputs'][0]['path']}.run.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))
    return read_study(root, "s")


def run(*arguments: object, program: Path = PROGRAM) -> subprocess.CompletedProcess[str]:
    return run_program(program, *arguments)
