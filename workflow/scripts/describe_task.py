"""Write the page that describes the prepared data of a task."""

from __future__ import annotations

import argparse
import json

from layerscope.core.files import read_json_object, whole_file
from layerscope.runtime.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="its name")
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--data-report", required=True, help="report.json of the prepared data")
    for split in ("train", "validation", "test"):
        parser.add_argument(f"--{split}", required=True, help="prepared table")
    parser.add_argument(
        "--tokenizers", nargs="+", required=True, metavar="NAME=PATH", help="folders of models"
    )
    parser.add_argument("--settings", required=True, help="JSON: how each model reads the data")
    parser.add_argument("--out", required=True, help="HTML")
    arguments = parser.parse_args()

    report, settings = read_json_object(arguments.data_report), json.loads(arguments.settings)

    from layerscope.core.formats import read_table
    from layerscope.core.table_files import by_name, only_path
    from layerscope.data_report.lengths import readers
    from layerscope.data_report.page import Described, page

    given = by_name(arguments.tokenizers)
    content = page(
        Described(
            study=arguments.study,
            task=arguments.task,
            report=report,
            tables={
                split: read_table(getattr(arguments, split), report["kind"])
                for split in ("train", "validation", "test")
            },
            readers=readers(settings, {name: only_path(given, name) for name in given}),
            withheld=settings["credentialed"],
        )
    )
    with whole_file(arguments.out) as partial:
        partial.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    run(main)
