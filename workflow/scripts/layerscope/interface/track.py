"""Write the losses of a study's trainings as event files, which TensorBoard shows.

`tensorboard --logdir FOLDER` then shows a curve per training. It needs the package tensorboardX.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Point(NamedTuple):
    """A value at a step of a training."""

    name: str
    value: float
    step: int


def add_options(parser: argparse.ArgumentParser) -> None:
    """What it is told on a command line."""
    parser.add_argument("study", help="folder of its results, such as results/demo")
    parser.add_argument("--out", type=Path, required=True, help="new folder to write")


def carry_out(arguments: argparse.Namespace) -> None:
    """Write a folder of event files per training that has ended."""
    from layerscope.core.errors import UserError
    from layerscope.core.files import whole_directory
    from layerscope.interface.places import require_study

    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UserError(
            "tensorboardX is not installed; allowed: `pip install tensorboardX -c constraints.txt`"
        ) from None
    study, out = require_study(arguments.study)[2], arguments.out
    if out.exists():
        raise UserError(f"{out}: is there already; allowed: a new folder")
    found = dict(trainings(study))
    if not found:
        raise UserError(f"{study}: no training has ended; allowed: a study with fine-tuned models")
    with whole_directory(out) as folder:
        for name, points in found.items():
            with SummaryWriter(str(folder / name)) as writer:
                for point in points:
                    writer.add_scalar(point.name, point.value, point.step)
    print(f"{out}: {len(found)} trainings; `tensorboard --logdir {out}` shows them")


def trainings(study: Path) -> Iterator[tuple[str, list[Point]]]:
    """Place and values of each training below a study's folder that has ended."""
    from layerscope.core.files import read_json

    for file in sorted(study.glob("finetuned/*/*/*/history.json")):
        history = read_json(file)
        points = [
            Point(name, entry[name], entry["step"])
            for entry in history["log"]
            for name in ("loss", "learning_rate")
        ]
        points.append(Point("validation_loss", history["validation_loss"], history["steps"]))
        yield str(file.parent.relative_to(study)), points
    for file in sorted(study.glob("pretrained/*.json")):
        evaluations = read_json(file).get("evaluations", [])
        if evaluations:
            points = [Point("heldout_loss", each["loss"], each["step"]) for each in evaluations]
            yield f"pretrained/{file.stem}", points
