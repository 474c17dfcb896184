"""Restamp the pictures that the present code draws as an earlier commit's did.

`python tests/unit/same_pictures.py COMMIT` draws each picture's figure from made-up tables by the
code of both. Where files are the same bytes, docs/images/pictures.json gets the present code's
digest: reorganised code needs no new run of the demo. A figure that differs stays as it is.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(TESTS.parent), str(TESTS)]

#: Draws a figure by the library of a checkout: its folder, module, task, output, NAME=TABLE …
DRAW = """
import sys
checkout, module, task, out, *tables = sys.argv[1:]
sys.path.insert(0, f"{checkout}/workflow/scripts")
from importlib import import_module
from layerscope.core.table_files import Drawn, by_name
from layerscope.figures.style import save
module = import_module(f"layerscope.{module}")
save(module.figure(Drawn(by_name(tables), task or None)), out)
"""


def drawn(checkout: Path, module: str, task: str, tables: list[str], out: Path) -> list[str]:
    """Digests of a figure's files, as the code of a checkout draws it."""
    command = [sys.executable, "-c", DRAW, str(checkout), module, task, str(out), *tables]
    subprocess.run(command, check=True)
    endings = (".svg", ".pdf", ".png")
    return [hashlib.sha256(out.with_suffix(e).read_bytes()).hexdigest() for e in endings]


def main() -> None:
    from synthetic_tables import make_tables

    from layerscope import catalogue
    from layerscope.core.code import code_modules
    from layerscope.core.files import read_json, write_json
    from update_pictures import drawing

    notes = ROOT / "docs" / "images" / "pictures.json"
    taken = read_json(notes)
    with tempfile.TemporaryDirectory() as name:
        folder, before = Path(name), Path(name, "before")
        tables = make_tables(folder)
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(before), sys.argv[1]], check=True)
        for study in taken.values():
            for picture, about in study["pictures"].items():
                (figure,) = [f for f in catalogue.FIGURES if f.module == about["figure"]]
                given = [f"{table}={tables[table]}" for table in figure.tables]
                given = [*(about["figure"], "one-nli" if figure.by_task else "", given)]
                old = drawn(before, *given, folder / "old.svg")
                same = old == drawn(ROOT, *given, folder / "new.svg")
                print(f"{picture}: {'the same bytes' if same else 'differs: take it anew'}")
                if same:
                    about["code"] = drawing(code_modules("draw", about["figure"]))
        subprocess.run([*git, "remove", "--force", str(before)], check=True)
    write_json(notes, taken)


if __name__ == "__main__":
    main()
