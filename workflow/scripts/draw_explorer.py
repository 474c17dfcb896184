"""Write the explorer: one HTML page in which to choose what of a study's tables to see."""

from __future__ import annotations

import argparse
from typing import Any

from layerscope.core.files import whole_file
from layerscope.runtime.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="its name")
    parser.add_argument(
        "--tables", nargs="+", required=True, metavar="NAME=PATH", help="those that the study has"
    )
    parser.add_argument("--out", required=True, help="HTML")
    arguments = parser.parse_args()

    from layerscope.core.formats import file_metadata, read_table
    from layerscope.core.table_files import by_name, only_path
    from layerscope.explorer.content import contents
    from layerscope.explorer.page import page

    given = by_name(arguments.tables)
    paths = {name: only_path(given, name) for name in given}
    tables = {name: read_table(path, f"{name}-table") for name, path in paths.items()}
    content = contents(
        arguments.study,
        tables,
        {task: _points(paths, task) for task in _tasks(tables["scores"])},
        file_metadata(paths["association"], "association-table")["confidence"],
    )
    with whole_file(arguments.out) as partial:
        partial.write_text(page(content), encoding="utf-8")


def _tasks(scores: Any) -> list[str]:
    return list(dict.fromkeys(scores["task"].to_pylist()))


def _points(paths: dict[str, str], task: str) -> dict[str, dict[str, Any]]:
    """What the association of a task is of: points of each inner measure, by metric."""
    from layerscope.core.measures import task_metrics
    from layerscope.core.table_files import read_task
    from layerscope.statistics.inner_measures import ATTENTION, inner_measures, points

    scores = read_task(paths["scores"], "scores-table", task).to_pylist()
    probes = read_task(paths["probes"], "probes-table", task).to_pylist()
    attention = read_task(paths["attention"], "attention-table", task, ATTENTION).to_pylist()
    return {
        metric: {
            name: points(scores, inner, metric)
            for name, inner in inner_measures(probes, attention, metric).items()
        }
        for metric in task_metrics({row["metric"] for row in scores})
    }


if __name__ == "__main__":
    run(main)
