"""Compare two studies or two commits: what differs, and how the scores changed.

Exits with 0 if the comparison could be made, whatever the result, and with 1 if it could not.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from layerscope.interface.places import CHECKOUT


def add_options(parser: argparse.ArgumentParser) -> None:
    """What it is told on a command line."""
    place = "folder of a study, such as results/demo, or a commit of this checkout"
    parser.add_argument("a", metavar="A", help=f"{place}: before")
    parser.add_argument("b", metavar="B", help="the same: after")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def carry_out(arguments: argparse.Namespace) -> None:
    """Find out what is to be compared, compare, print."""
    from layerscope.core.errors import UserError
    from layerscope.provenance.comparison import commits, folders, words

    sides: list[Any] = [_side(name) for name in (arguments.a, arguments.b)]
    if isinstance(sides[0], str) != isinstance(sides[1], str):
        raise UserError(
            f"{arguments.a} and {arguments.b}: one is a commit, the other a folder; allowed: "
            "two commits or two folders"
        )
    if isinstance(sides[0], str):
        found = commits.compare_commits(CHECKOUT, *sides)
        text = words.commits_in_words
    else:
        found = folders.compare_studies(*sides)
        text = words.studies_in_words
    print(json.dumps(found, indent=2) if arguments.json else text(found))


def _side(name: str) -> Any:
    """A study, or the full name of a commit.

    Raises:
        UserError: it is neither.
    """
    from layerscope.core.errors import UserError
    from layerscope.provenance.comparison.commits import find_commit
    from layerscope.provenance.studies import find_study, read_study, study_of

    commit = None if os.path.exists(name) else find_commit(CHECKOUT, name)
    if commit:
        return commit
    place, named = find_study(name), study_of(name)
    folder = place[2] if place else Path(named[0], "results", named[1]) if named else None
    if folder and folder.is_dir() and folder != Path(os.path.abspath(name)):
        raise UserError(f"{name}: inside a study's folder; allowed: that folder, {_short(folder)}")
    if place:
        return read_study(_short(place[0]), place[1], _short(place[2]))
    if named:
        return read_study(_short(named[0]), named[1])  # says what is missing
    if os.path.isdir(name):
        raise UserError(
            f"{name}: not a study, since it has no config.json; allowed: the whole folder of "
            "a study, such as results/demo or a copy of it"
        )
    raise UserError(
        f"{name}: not found; allowed: the folder of a study, such as results/demo, or a commit of "
        f"{CHECKOUT}"
    )


def _short(folder: Path) -> Path:
    """A folder relative to the working directory, if it is inside it."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
