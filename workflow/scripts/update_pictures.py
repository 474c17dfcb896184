"""Take README's pictures from the finished demo (`make pictures`)."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerscope.config.load import validate
from layerscope.core.code import digest_of
from layerscope.core.errors import UserError
from layerscope.core.files import canonical_json, read_json, sha256_text, write_json
from layerscope.core.lineage import marked
from layerscope.run_records.content import find_record
from layerscope.runtime.program import run

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ("scores", "probes-hpo-nli")


def drawing(modules: Mapping[str, str]) -> str:
    """Digest of the modules that a picture's looks depend on, of those that its job used."""
    return digest_of(
        {name: own for name, own in modules.items() if name.startswith("layerscope.figures")}
    )


def study_digest(configuration: Mapping[str, Any]) -> str:
    """Digest of what a study is asked for: its configuration without defaults and checksums."""
    asked = validate(configuration).model_dump(mode="json", exclude_defaults=True)
    for entry in (*asked["models"].values(), *asked["tasks"].values()):
        entry["source"].pop("sha256", None)
    return sha256_text(canonical_json(asked))


def main() -> None:
    """Copy each picture; note its lineage, the code that drew it and the study, as they were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "demo")
    parser.add_argument("--images", type=Path, default=ROOT / "docs" / "images")
    arguments = parser.parse_args()
    taken = {}
    for name in PICTURES:
        picture = arguments.results / "figures" / f"{name}.png"
        record = find_record(picture.with_suffix(".svg"))
        if record is None or marked(picture.read_bytes()) != record["lineage"]:
            raise UserError(f"{picture}: not what its record tells of; allowed: a finished demo")
        shutil.copyfile(picture, arguments.images / picture.name)
        taken[name] = {
            "lineage": record["lineage"],
            "figure": record["part"],
            "code": drawing(record["code"]["modules"]),
        }
    study = study_digest(read_json(arguments.results / "config.json"))
    write_json(arguments.images / "pictures.json", {"study": study, "pictures": taken})


if __name__ == "__main__":
    run(main)
