"""README's pictures are those that were taken, of the demo and the drawing code as they are."""

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
ANEW = "run `make demo` and `make pictures`"


def test_every_picture_of_the_readme_was_taken() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(docs/images/(\S+)\.png\)", text)) == set(TAKEN["pictures"])


@pytest.mark.parametrize("name", TAKEN["pictures"])
def test_a_picture_is_what_the_present_code_draws(name: str) -> None:
    taken = TAKEN["pictures"][name]
    assert marked((IMAGES / f"{name}.png").read_bytes()) == taken["lineage"]
    assert drawing(code_modules("draw", taken["figure"])) == taken["code"], ANEW


def test_they_are_of_the_demo_as_it_is_configured() -> None:
    assert study_digest(read_yaml(DEMO)) == TAKEN["study"], ANEW
