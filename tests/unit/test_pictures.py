"""Pictures are those that were taken, of studies as configured; the demo's by the present code."""

from __future__ import annotations

import re

import pytest
from running import DEMO, ROOT

from layerscope.config.load import read_yaml
from layerscope.core.code import code_modules
from layerscope.core.files import read_json
from layerscope.core.lineage import marked
from update_pictures import drawing, study_digest

IMAGES = ROOT / "docs" / "images"
TAKEN = read_json(IMAGES / "pictures.json")
STUDIES = {study: ROOT / "config" / f"{study}.yaml" for study in TAKEN} | {"demo": DEMO}
PICTURES = {
    name: (study, taken) for study in TAKEN for name, taken in TAKEN[study]["pictures"].items()
}
ANEW = "run `make demo` and `make pictures`"


def test_every_picture_of_a_study_that_is_shown_was_taken() -> None:
    pages = {
        "README.md": r"\(docs/images/(\S+)\.png\)",
        "docs/showcase.md": r"\(images/(\S+)\.png\)",
    }
    shown = {
        name
        for page, link in pages.items()
        for name in re.findall(link, (ROOT / page).read_text(encoding="utf-8"))
    }
    assert shown == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_was_drawn(name: str) -> None:
    """That of the demo by the present code; other studies take hours."""
    study, taken = PICTURES[name]
    assert marked((IMAGES / f"{name}.png").read_bytes()) == taken["lineage"]
    if study == "demo":
        assert drawing(code_modules("draw", taken["figure"])) == taken["code"], ANEW


@pytest.mark.parametrize("study", TAKEN)
def test_they_are_of_a_study_as_it_is_configured(study: str) -> None:
    assert study_digest(read_yaml(STUDIES[study])) == TAKEN[study]["study"], ANEW
