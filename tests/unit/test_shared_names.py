"""Two studies of a working directory that mean different things by a name."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from layerscope.config.load import read_yaml, validate
from layerscope.config.schema import Study
from layerscope.config.shared_names import check_shared_names
from layerscope.core.errors import UserError

PAPER = Path(__file__).parents[2] / "config" / "paper.yaml"
REVISION = "0" * 40


@pytest.fixture(scope="module")
def paper() -> Study:
    return validate(read_yaml(PAPER) | {"references": None})


def other(paper: Study, results: Path, **changes: Any) -> dict[str, Any]:
    """The configuration of another study, kept in its results; changes of bert and jnlpba."""
    config = paper.model_dump(mode="json") | {"study": "other"}
    config["models"]["bert"]["source"] |= changes.get("bert", {})
    config["tasks"]["jnlpba"]["source"] |= changes.get("jnlpba", {})
    keep(results / "other", config)
    return config


def keep(folder: Path, content: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "key", "folder"),
    [
        ({"bert": {"revision": REVISION}}, "models.bert.source.revision", "models/bert"),
        ({"bert": {"kind": "package", "package": "p"}}, "models.bert.source.kind", "models/bert"),
        ({"jnlpba": {"revision": REVISION}}, "tasks.jnlpba.source.revision", "datasets/jnlpba"),
    ],
)
def test_a_name_with_two_sources_is_refused_in_one_line(
    paper: Study, tmp_path: Path, changes: dict[str, Any], key: str, folder: str
) -> None:
    other(paper, tmp_path, **changes)
    with pytest.raises(UserError) as error:
        check_shared_names(paper, tmp_path)
    (line,) = str(error.value).splitlines()
    ours, _, rest = line.partition(", but study 'other' has ")
    assert ours.startswith(f"{key}: ")
    assert f"kept in resources/{folder}; allowed: the same source, another name, or " in rest


def test_an_adapter_that_reads_the_files_of_another_model_is_fetched_under_no_name(
    paper: Study, tmp_path: Path
) -> None:
    """Neither here nor in another study, whichever of the two has the base beside it."""
    own = paper.model_dump(mode="json")
    own["models"]["lora"] = {**own["models"]["bert"], "adapter": {"kind": "lora"}}
    config = other(paper, tmp_path)
    config["models"]["lora"] = copy.deepcopy(config["models"]["biobert"])
    keep(tmp_path / "other", config)
    check_shared_names(validate(own | {"references": None}), tmp_path)
    keep(tmp_path / "other", {**own, "study": "other"})
    check_shared_names(validate({**config, "study": "paper", "references": None}), tmp_path)
    del own["models"]["bert"]
    keep(tmp_path / "other", {**own, "study": "other"})  # there, the adapter's base is its own
    with pytest.raises(UserError, match=r"^models\.lora\.source\.re"):
        check_shared_names(validate({**config, "study": "paper", "references": None}), tmp_path)


def test_what_does_not_change_what_is_fetched_is_allowed(paper: Study, tmp_path: Path) -> None:
    same = {"bert": {"sha256": {}, "size": None}, "jnlpba": {"labels": None, "license": "CC0"}}
    config = other(paper, tmp_path, **same)
    del config["models"]["bert"]["source"]["revision"]  # as an older version might have it
    check_shared_names(paper, tmp_path)
    changed = copy.deepcopy(config)
    changed["models"]["bert"]["source"]["repository"] = "an/other"
    keep(tmp_path / "paper", changed | {"study": "paper"})  # itself, before a change
    keep(tmp_path / "paper-before", changed | {"study": "paper"})  # and a copy of it
    for number, content in enumerate(([], "text", {"study": "s3", "models": {"bert": None}})):
        keep(tmp_path / f"s{number + 1}", content)
    (tmp_path / "s9").mkdir()
    (tmp_path / "s9" / "config.json").write_bytes(b"\xff")
    check_shared_names(paper, tmp_path)
    check_shared_names(paper, tmp_path / "nowhere")
