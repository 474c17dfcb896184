"""Show everything that a result was made from, down to raw data, and verify all of it.

Exit code 0 if everything verifies, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """What it is told on a command line."""
    parser.add_argument(
        "target", help="a study (results/demo), a folder or result in it, or a figure from anywhere"
    )
    parser.add_argument(
        "--root", default=".", help="working directory whose studies a figure may come from"
    )
    parser.add_argument("--tree", action="store_true", help="print all that it was made from")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--html", type=Path, help="write a page for people to a new file")


def carry_out(arguments: argparse.Namespace) -> None:
    """Find what is to be audited, audit it, say what was seen."""
    from layerscope.core.files import whole_file
    from layerscope.provenance.asked import audit_asked
    from layerscope.provenance.audit_html import page, require_page
    from layerscope.provenance.audit_text import as_json, in_words
    from layerscope.provenance.present import committed_code

    if arguments.html:
        require_page(arguments.html)
    with committed_code() as code:
        seen, heading = audit_asked(arguments.target, arguments.root, code)
    if arguments.html:
        with whole_file(arguments.html) as partial:
            partial.write_text(page(seen), encoding="utf-8", errors="backslashreplace")
    if arguments.json:
        print(json.dumps(as_json(seen), indent=2))
    else:
        print(in_words(seen, arguments.tree, heading))
    sys.exit(bool(seen.findings))
