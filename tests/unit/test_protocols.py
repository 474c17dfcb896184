"""Both protocols as docs/protocols.md sets them side by side, and what a study makes of them."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from layerscope.config import jobs
from layerscope.config.load import read_yaml, validate
from layerscope.config.probes import BilstmCrfProbe, SvmProbe
from layerscope.config.protocols import PROBES, SECTIONS, TAG_SCHEMES
from layerscope.config.training import FineTuning
from layerscope.core.errors import UserError

ROOT = Path(__file__).parents[2]
PROTOCOLS = ("published", "recommended")
TEXT = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")


def rows_below(heading: str) -> dict[str, list[str]]:
    """The table of a section: its other cells by the first one."""
    section = TEXT.split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0].strip("` "): row[1:] for row in cells}


def said(value: Any) -> str:
    """A setting as the document writes it."""
    if isinstance(value, float) and 0 < value < 1e-3:
        return re.sub(r"^(\d)e-0?", r"\1.0e-", f"{value:g}")
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize(
    ("kind", "name"), [("nli", "inference"), ("classification", "inference"), ("ner", "entities")]
)
def test_the_document_has_every_setting_of_fine_tuning(kind: str, name: str) -> None:
    rows = rows_below(f"Fine-tuning, {name} ")
    for place, protocol in enumerate(PROTOCOLS):
        settings = SECTIONS[protocol]["finetuning"][kind]  # type: ignore[index]
        assert set(settings) == set(FineTuning.model_fields)
        assert FineTuning.model_validate(settings).model_dump() == settings
        assert {field: rows[field][place] for field in settings} == {
            field: said(value) for field, value in settings.items()
        }
        adam = settings["weight_decay"] == 0
        assert rows["optimiser"][place] == ("Adam" if adam else "AdamW")
        if kind == "ner":
            assert rows["tags (`tag_scheme`)"][place] == TAG_SCHEMES[protocol]  # type: ignore[index]


def test_the_document_has_the_settings_of_the_published_probes() -> None:
    rows = rows_below("Probes")
    for section in SECTIONS.values():
        assert section["probes"] is PROBES
    for name, probe in (
        ("svm", SvmProbe.model_validate(PROBES["svm"])),
        ("bilstm-crf", BilstmCrfProbe.model_validate(PROBES["bilstm-crf"])),
    ):
        for field, value in probe.model_dump().items():
            if field not in ("kind", "seeds"):
                assert rows[f"{name}.{field}"][:2] == [str(value)] * 2


def test_published_settings_are_those_of_the_studys_code() -> None:
    """As numbers, so that nobody changes document and code together."""
    tuning = SECTIONS["published"]["finetuning"]
    nli, ner = (FineTuning.model_validate(tuning[kind]) for kind in ("nli", "ner"))
    assert (nli.learning_rate, nli.epochs, nli.batch_size, nli.weight_decay) == (2e-5, 3, 1, 0)
    assert (ner.learning_rate, ner.epochs, ner.batch_size, ner.weight_decay) == (1e-5, 5, 4, 0.01)
    assert ner.max_length == 128
    assert {nli.schedule, ner.schedule} == {"constant"}
    probe = BilstmCrfProbe(kind="bilstm-crf")
    assert (probe.hidden, probe.epochs, probe.batch_size) == (256, 3, 64)
    assert SvmProbe(kind="svm").inverse_regularisation == 1.0
    assert TAG_SCHEMES == {"published": "merged", "recommended": "iob2"}


@pytest.fixture
def config() -> dict[str, Any]:
    """The demo without what a protocol gives."""
    content = copy.deepcopy(read_yaml(ROOT / "config" / "config.yaml"))
    del content["finetuning"], content["probes"]
    return content


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_study_gets_what_it_leaves_out(config: dict[str, Any], protocol: str) -> None:
    study = validate({**config, "protocol": protocol})
    settings = json.loads(jobs.finetuning_settings(study, "hpo-nli", "minilm"))
    given = SECTIONS[protocol]["finetuning"]["nli"]  # type: ignore[index]
    assert {key: settings[key] for key in given} == given
    assert set(study.probes) == set(PROBES)
    assert jobs.merges_tags(study, "hpo-ner") is (protocol == "published")
    assert jobs.merges_tags(study, "hpo-nli") is False


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_settings_of_fine_tuning_that_a_study_leaves_out_are_the_protocols(
    config: dict[str, Any], protocol: str
) -> None:
    own = {"ner": {"learning_rate": 3.0e-4}, "nli": None}
    study = validate({**config, "protocol": protocol, "finetuning": own})
    given = SECTIONS[protocol]["finetuning"]  # type: ignore[index]
    for task, kind in (("hpo-ner", "ner"), ("hpo-nli", "nli")):
        settings = json.loads(jobs.finetuning_settings(study, task, "minilm"))
        assert settings == {**given[kind], **(own[kind] or {})}


def test_an_unknown_protocol_is_the_only_mistake_of_a_study_that_relies_on_it(
    config: dict[str, Any],
) -> None:
    with pytest.raises(UserError, match=r"^protocol: 'paper'; allowed: .*$"):
        validate({**config, "protocol": "paper", "finetuning": {"ner": {"epochs": 2}}})


def test_what_a_study_says_itself_stands_before_its_protocol(config: dict[str, Any]) -> None:
    config["protocol"] = "published"
    config["tasks"]["hpo-ner"]["tag_scheme"] = "iob2"
    config["probes"] = {"svm": {"kind": "svm"}, "linear": {"kind": "linear"},
                        "bilstm-crf": {"kind": "bilstm-crf", "hidden": 8}}  # fmt: skip
    study = validate(config)
    assert jobs.merges_tags(study, "hpo-ner") is False
    assert json.loads(jobs.probe_settings(study, "bilstm-crf"))["hidden"] == 8
    assert json.loads(jobs.finetuning_settings(study, "hpo-nli", "minilm"))["batch_size"] == 1


def test_both_protocols_are_the_same_where_nothing_is_left_out() -> None:
    content = read_yaml(ROOT / "config" / "config.yaml")
    for settings in content["finetuning"].values():
        settings |= {"weight_decay": 0.0, "warmup_ratio": 0.2, "schedule": "linear"}
    found = [
        validate({**content, "protocol": protocol}).model_dump(exclude={"protocol"})
        for protocol in PROTOCOLS
    ]
    assert found[0] == found[1]
