"""Draw inner measures against downstream scores, with their association."""

from __future__ import annotations

import argparse

from layerscope.association import ATTENTION, inner_measures, points
from layerscope.formats import file_metadata
from layerscope.measures import task_metrics
from layerscope.plotting.association import draw
from layerscope.plotting.style import models_of, save
from layerscope.program import run
from layerscope.tables import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--association", required=True, help="table of associations")
    parser.add_argument("--scores", required=True, help="table of scores")
    parser.add_argument("--probes", required=True, help="table of probe scores")
    parser.add_argument("--attention", required=True, help="table of attention measures")
    parser.add_argument("--out", required=True, help="SVG; PDF and PNG go beside it")
    arguments = parser.parse_args()

    task = arguments.task
    association = read_task(arguments.association, "association-table", task).to_pylist()
    scores = read_task(arguments.scores, "scores-table", task).to_pylist()
    probes = read_task(arguments.probes, "probes-table", task).to_pylist()
    attention = read_task(arguments.attention, "attention-table", task, ATTENTION).to_pylist()
    metric, _ = task_metrics({row["metric"] for row in scores})
    figure = draw(
        {
            name: points(scores, inner, metric)
            for name, inner in inner_measures(probes, attention, metric).items()
        },
        [row for row in association if row["metric"] == metric],
        models_of([row for row in scores if row["architecture"] != "baseline"]),
        metric,
        file_metadata(arguments.association, "association-table")["confidence"],
    )
    save(figure, arguments.out)


if __name__ == "__main__":
    run(main)
