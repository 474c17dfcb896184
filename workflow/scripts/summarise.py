"""Write a study's findings in sentences, from its tables."""

from __future__ import annotations

import argparse
import json

from layerscope.core.files import whole_file
from layerscope.runtime.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="its name")
    parser.add_argument("--settings", required=True, help="JSON of the statistics settings")
    parser.add_argument(
        "--tables", nargs="+", required=True, metavar="NAME=PATH", help="tables that the study has"
    )
    parser.add_argument("--notes", required=True, help="JSON: what to know of a model, by name")
    parser.add_argument("--out", required=True, help="Markdown")
    arguments = parser.parse_args()

    from layerscope.config.statistics import Statistics
    from layerscope.core.applicability import sentences
    from layerscope.core.table_files import by_name, only_path, read_frame
    from layerscope.summary.text import summarise

    settings = Statistics.model_validate_json(arguments.settings)
    paths = by_name(arguments.tables)
    tables = {name: read_frame(only_path(paths, name), f"{name}-table") for name in paths}
    with whole_file(arguments.out) as partial:
        notes = json.loads(arguments.notes)
        missing = list(sentences(tables["not_applicable"].to_dict("records")))
        text = summarise(arguments.study, tables, settings.confidence, notes, missing)
        partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
