"""What the page on a task's data is told by the configuration."""

from __future__ import annotations

import json

from running import DEMO, PAPER

from layerscope.config.description import description_settings
from layerscope.config.load import read_yaml, validate


def test_the_page_knows_whose_tokenizer_a_model_has_and_what_may_be_shown() -> None:
    """A model that is pre-trained further has the tokenizer of its base."""
    settings = json.loads(description_settings(validate(read_yaml(DEMO)), "hpo-nli"))
    owners = {name: model["tokenizer"] for name, model in settings["models"].items()}
    assert owners == {
        "minilm": "minilm",
        "minilm-hpo": "minilm",
        "gpt-mini": "gpt-mini",
        "gpt-mini-hpo": "gpt-mini-hpo",
    }
    assert settings["credentialed"] is False
    paper = validate({**read_yaml(PAPER), "references": None})
    told = {
        task: json.loads(description_settings(paper, task))["credentialed"] for task in paper.tasks
    }
    assert told == {"mednli": True, "jnlpba": False}
