"""Relate inner measures to downstream scores, with intervals, in one table."""

from __future__ import annotations

import argparse

from layerscope.association import ATTENTION, association_rows
from layerscope.config.statistics import Statistics
from layerscope.formats import read_table
from layerscope.measures import task_metrics
from layerscope.program import run
from layerscope.tables import read_task, write_both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of the section 'statistics'")
    parser.add_argument("--scores", required=True, help="table of scores")
    parser.add_argument("--probes", required=True, help="table of probe scores")
    parser.add_argument("--attention", required=True, help="table of attention measures")
    parser.add_argument("--out", required=True, help="Parquet; the CSV goes beside it")
    arguments = parser.parse_args()

    settings = Statistics.model_validate_json(arguments.settings)
    rows = []
    tasks = read_table(arguments.scores, "scores-table", ["task"])["task"].to_pylist()
    for task in dict.fromkeys(tasks):
        scores = read_task(arguments.scores, "scores-table", task).to_pylist()
        rows += association_rows(
            task,
            task_metrics({row["metric"] for row in scores}),
            scores,
            read_task(arguments.probes, "probes-table", task).to_pylist(),
            read_task(arguments.attention, "attention-table", task, ATTENTION).to_pylist(),
            settings.resamples,
            settings.confidence,
            settings.seed,
        )
    write_both(arguments.out, "association-table", rows, {"confidence": settings.confidence})


if __name__ == "__main__":
    run(main)
