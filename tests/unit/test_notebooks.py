"""The notebooks are valid and hold no outputs; the one that needs no study runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import notebooks
import numpy as np
import pytest

if TYPE_CHECKING:
    from tiny_models import Tiny

NAMES = sorted(path.name for path in notebooks.FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_valid_and_holds_no_outputs(name: str) -> None:
    """What the schema of nbformat 4.5 asks for, and no more."""
    notebook = notebooks.read(name)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook.keys() == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert notebook["metadata"]["kernelspec"].keys() >= {"name", "display_name"}
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", each) for each in ids)
    for cell in notebook["cells"]:
        common = {"cell_type", "id", "metadata", "source"}
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert cell["cell_type"] in ("code", "markdown")
        assert cell.keys() == common | code
        assert all(isinstance(line, str) for line in cell["source"])
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_three_sentences_are_read(encoder: Tiny) -> None:
    """The other notebook reads a study: tests/end_to_end/test_miniature_tables.py runs it."""
    names = notebooks.run("sentences.ipynb", SOURCE={"kind": "folder", "path": str(encoder.folder)})
    layers = encoder.model.config.num_hidden_layers
    assert names["vectors"].shape == (3, layers + 1, encoder.model.config.hidden_size)
    words = sum(len(sentence.split()) for sentence in names["SENTENCES"])
    assert names["of_words"].shape == (words, *names["vectors"].shape[1:])
    assert np.isfinite(names["of_words"]).all()
    assert set(names["attention"]["layer"]) == set(range(1, layers + 1))
    assert set(names["attention"]["measure"]) == {"entropy", "distance", "special", "first"}
    assert [row["layer"] for row in names["rows"]] == list(range(layers + 1))
    assert all(0 <= row["accuracy"] <= 1 for row in names["rows"])
