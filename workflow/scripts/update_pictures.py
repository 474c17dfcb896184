"""Take the pictures of README and docs from a finished study (`make pictures`: from the demo)."""

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
#: Figures by study. The demo's are drawn anew whenever the drawing code changes.
PICTURES = {
    "demo": ("scores", "probes-hpo-nli"),
    "open-models": ("scores", "probes-jnlpba", "similarity-jnlpba", "head_lens-hpo-nli"),
    "variance": ("variance-hpo-nli",),
}


def drawing(modules: Mapping[str, str]) -> str:
    """Digest of the modules that a picture's looks depend on, of those that its job used."""
    return digest_of(
        {name: own for name, own in modules.items() if name.startswith("layerscope.figures")}
    )


def study_digest(configuration: Mapping[str, Any]) -> str:
    """Digest of what a study is asked for: its configuration, less defaults, checksums, paths.

    Which analyses it has is left out too: a picture is of one that it has.
    """
    asked = validate(configuration).model_dump(mode="json", exclude_defaults=True)
    asked.pop("analyses", None)
    for entry in (*asked["models"].values(), *asked["tasks"].values()):
        source = entry["source"]
        source.pop("sha256", None)
        if source["kind"] == "files":
            source.pop("folder", None)
    return sha256_text(canonical_json(asked))


def picture_name(study: str, figure: str) -> str:
    """Name of the copy of a figure, without its ending."""
    return figure if study == "demo" else f"{study}-{figure}"


def main() -> None:
    """Copy each picture; note its lineage, the code that drew it and the study, as they were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "demo")
    parser.add_argument("--images", type=Path, default=ROOT / "docs" / "images")
    arguments = parser.parse_args()
    configuration = read_json(arguments.results / "config.json")
    study = configuration["study"]
    if study not in PICTURES:
        raise UserError(f"{arguments.results}: study '{study}'; allowed: {', '.join(PICTURES)}")
    taken = {}
    for name in PICTURES[study]:
        picture = arguments.results / "figures" / f"{name}.png"
        record = find_record(picture.with_suffix(".svg"))
        if record is None or marked(picture.read_bytes()) != record["lineage"]:
            raise UserError(f"{picture}: not what its record tells of; allowed: a finished study")
        copy = picture_name(study, name)
        shutil.copyfile(picture, arguments.images / f"{copy}.png")
        taken[copy] = {
            "lineage": record["lineage"],
            "figure": record["part"],
            "code": drawing(record["code"]["modules"]),
        }
    notes = arguments.images / "pictures.json"
    asked = study_digest(configuration)
    write_json(notes, {**read_json(notes), study: {"study": asked, "pictures": taken}})


if __name__ == "__main__":
    run(main)
