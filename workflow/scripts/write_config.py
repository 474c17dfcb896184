"""Write the resolved configuration of a study, and what each column of its tables holds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from layerscope.core.files import whole_file, write_json
from layerscope.runtime.program import run

OPENING = """
The tables of study {study}, each as Parquet and CSV. What follows says what each column holds; the
schema of a Parquet file says the same of its columns. How each measure is computed and how to
read it is described in docs/methods.md of the workflow layerscope. An empty cell of a CSV is null.
Intervals are at {confidence:.0%} unless a column says otherwise.
"""


def main() -> None:
    """Write the configuration as indented JSON, the columns as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configuration", required=True, help="JSON")
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    parser.add_argument("--tables", nargs="+", default=[], help="names of the study's tables")
    parser.add_argument("--words", help="digest of the data dictionary, for the run record")
    parser.add_argument("--out-columns", type=Path, help="what their columns hold: Markdown")
    arguments = parser.parse_args()
    configuration = json.loads(arguments.configuration)
    write_json(arguments.out, configuration)
    if not arguments.out_columns:
        return

    from layerscope.catalogue import about_tables
    from layerscope.core.formats.dictionary import page

    confidence = configuration["statistics"]["confidence"]
    opening = OPENING.format(study=configuration["study"], confidence=confidence)
    with whole_file(arguments.out_columns) as partial:
        text = page("Tables", opening, about_tables(arguments.tables))
        partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
