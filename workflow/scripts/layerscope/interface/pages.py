"""Say where a study's report, explorer, summary and tables are, and open the first page of them.

A browser is opened only where there is one: not on a node without a display.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """What it is told on a command line."""
    parser.add_argument("study", help="folder of its results, such as results/demo")


def carry_out(arguments: argparse.Namespace) -> None:
    """Print paths, or how what is missing is made; open the report, or else the explorer."""
    from layerscope.catalogue import EXPLORER, SUMMARY
    from layerscope.config.targets import DICTIONARY, REPORT
    from layerscope.interface.places import require_study

    folder = require_study(arguments.study)[2]
    pages = {
        "report": (REPORT, "`snakemake report` makes it"),
        "explorer": (EXPLORER.file, "`analyses.explorer` is off, or the study is not finished"),
        "summary": (SUMMARY.file, "`analyses.summary` is off, or the study is not finished"),
        "tables": (DICTIONARY, "the study is not finished"),
    }
    there = {name: folder / file for name, (file, _) in pages.items() if (folder / file).is_file()}
    for name, (file, reason) in pages.items():
        print(f"{name + ':':<10}{there.get(name) or f'no {file}: {reason}'}")
    page = there.get("report") or there.get("explorer")
    if page and _shown(page):
        print(f"opened    {page}")


def _shown(page: Path) -> bool:
    """Open a page in the user's browser, if there is a display for one."""
    import webbrowser

    graphical = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    return graphical and webbrowser.open(page.as_uri())
