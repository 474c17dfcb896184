"""Write the explorer: an interactive HTML page of a study's tables."""

from __future__ import annotations

import argparse

from layerscope.core.files import whole_file
from layerscope.runtime.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="its name")
    parser.add_argument(
        "--tables", nargs="+", required=True, metavar="NAME=PATH", help="tables that the study has"
    )
    parser.add_argument("--out", required=True, help="HTML")
    arguments = parser.parse_args()

    from layerscope.core.formats import file_metadata
    from layerscope.core.table_files import by_name, only_path, read_frame
    from layerscope.explorer.content import contents
    from layerscope.explorer.page import page

    given = by_name(arguments.tables)
    paths = {name: only_path(given, name) for name in given}
    content = contents(
        arguments.study,
        {name: read_frame(path, f"{name}-table") for name, path in paths.items()},
        file_metadata(paths["association"], "association-table")["confidence"],
    )
    with whole_file(arguments.out) as partial:
        partial.write_text(page(content), encoding="utf-8")


if __name__ == "__main__":
    run(main)
