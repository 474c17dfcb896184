"""Show everything that a result was made from, down to raw data, and verify all of it.

Exit code 0 if everything verifies, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from layerscope.core.errors import UserError
from layerscope.core.files import whole_file
from layerscope.runtime.program import run


def main() -> None:
    """Find what is to be audited, audit it, say what was seen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "target", help="a study's folder (results/demo), a result in it, or a figure from anywhere"
    )
    parser.add_argument(
        "--root", default=".", help="working directory whose studies a figure may come from"
    )
    parser.add_argument("--tree", action="store_true", help="print all that it was made from")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--html", type=Path, help="write a page for people")
    arguments = parser.parse_args()

    from layerscope.provenance.audit import audit, trace, whole
    from layerscope.provenance.audit_html import page
    from layerscope.provenance.audit_text import as_json, in_words
    from layerscope.provenance.checks import Finding
    from layerscope.provenance.present import committed_code
    from layerscope.provenance.studies import find_study, has_records, read_study, study_of

    place: tuple[Path, str, Path | None] | None = find_study(arguments.target)
    named = study_of(arguments.target)
    if (
        place is None
        and named
        and not (os.path.isfile(arguments.target) and not has_records(*named))
    ):
        place = (*named, None)  # not some folder of that name
    extra: list[Finding] = []
    if place and named and place[1] != named[1]:
        message = f"the study in this folder is {place[1]}, under another name"
        extra = [Finding(os.path.join("results", named[1]), "record", message)]
    heading = ""
    with committed_code() as code:
        if place is None:
            traced = trace(arguments.target, arguments.root)
            if not traced.same:
                message = f"not the bytes of {traced.path}, whose lineage it carries"
                extra = [Finding(arguments.target, "changed", message)]
            heading = f"{arguments.target} is {traced.path} of study {traced.study.name}."
            seen = audit(traced.study, [traced.path], code)
        else:
            study = read_study(*place)
            path = study.named(os.path.abspath(arguments.target))
            everything = path == os.path.join("results", study.name)
            if not os.path.exists(arguments.target) and path not in study.made:
                raise UserError(
                    f"{arguments.target}: no such file; allowed: a result, or a study's folder"
                )
            seen = whole(study, code) if everything else audit(study, [path], code)
    seen = seen._replace(general=[*extra, *seen.general])
    if arguments.html:
        with whole_file(arguments.html) as partial:
            partial.write_text(page(seen), encoding="utf-8", errors="backslashreplace")
    if arguments.json:
        print(json.dumps(as_json(seen), indent=2))
    else:
        print(in_words(seen, arguments.tree, heading))
    sys.exit(bool(seen.findings))


if __name__ == "__main__":
    run(main)
