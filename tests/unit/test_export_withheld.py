"""What an export for a hub keeps back: models that learned from private data, and places."""

from __future__ import annotations

from typing import Any

import pytest
from running import MINIATURE, read_config

from layerscope.config.load import validate
from layerscope.provenance.hub_export import withheld, without_places

FILES = {"train": "/home/me/notes.txt", "heldout": "/home/me/held.txt"}


def study(task: bool, corpus: bool) -> dict[str, Any]:
    """The miniature with pairs and a corpus of the user's own, under an agreement or not."""
    config = read_config(MINIATURE)
    config["tasks"]["hpo-nli"]["source"] = {
        "kind": "files", "folder": "/home/me/pairs", "format": "csv", "credentialed": task,
        "files": {"train": "/home/me/a.csv", "validation": "b.csv", "test": "c.csv"},
        "obtain": "ask me",
    }  # fmt: skip
    config["corpora"]["hpo"]["source"] = {"kind": "files", **FILES, "credentialed": corpus}
    return config


@pytest.mark.parametrize("task", [True, False])
@pytest.mark.parametrize("corpus", [True, False])
def test_models_that_learned_from_data_under_an_agreement_stay(task: bool, corpus: bool) -> None:
    """The miniature's decoder is pre-trained on the corpus."""
    settings = validate(study(task, corpus))
    for name in settings.tasks:
        for model in settings.models:
            reason = withheld(settings, name, model)
            private = (task and name == "hpo-nli") or (corpus and model == "gpt-tiny")
            assert bool(reason) == private
            assert reason is None or reason.endswith(", which is under an agreement")


def test_a_base_s_corpus_counts() -> None:
    config = study(False, True)
    training = config["models"]["gpt-tiny"]["source"]["training"]
    config["corpora"]["open"] = {"source": {"kind": "hpo-text"}}
    further = {"kind": "continued", "base": "gpt-tiny", "corpus": "open", "training": training}
    config["models"]["further"] = {**config["models"]["gpt-tiny"], "source": further}
    reason = withheld(validate(config), "hpo-ner", "further")
    assert reason == "pre-trained on hpo, which is under an agreement"


def test_no_place_of_the_maker_s_machine_is_kept() -> None:
    config = study(False, False)
    model = {**config["models"]["bert-tiny"], "source": {"kind": "folder", "path": "/home/me/m"}}
    config["models"]["folder"] = model
    full = validate(config).model_dump(mode="json")
    kept = without_places(full)
    assert "/home/me" not in str(kept)
    assert set(kept["models"]) == set(full["models"])  # one has the name of an entry
    assert kept["models"]["bert-tiny"] == full["models"]["bert-tiny"]
