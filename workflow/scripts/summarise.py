"""Write a study's findings in sentences, from its tables."""

from __future__ import annotations

import argparse

from layerscope.files import whole_file
from layerscope.formats import read_table
from layerscope.program import run

#: What findings are made from; a study may be without some.
TABLES = ("scores", "probes", "association")
OPTIONAL = ("differences", "evaluation", "similarity", "heads", "interventions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="its name")
    parser.add_argument("--settings", required=True, help="JSON of the statistics settings")
    for table in TABLES:
        parser.add_argument(f"--{table}", required=True, help="table")
    for table in OPTIONAL:
        parser.add_argument(f"--{table}", help="table; nothing is said of it without it")
    parser.add_argument("--out", required=True, help="Markdown")
    arguments = parser.parse_args()

    from layerscope.config.statistics import Statistics
    from layerscope.summary.text import summarise

    settings = Statistics.model_validate_json(arguments.settings)
    paths = {name: getattr(arguments, name) for name in (*TABLES, *OPTIONAL)}
    tables = {
        name: read_table(path, f"{name}-table").to_pylist() for name, path in paths.items() if path
    }
    with whole_file(arguments.out) as partial:
        text = summarise(arguments.study, tables, settings.confidence, settings.resamples)
        partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
