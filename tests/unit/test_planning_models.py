"""What an estimate says of models before they are loaded, from their `config.json`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from planned_jobs import PAPER, Config, estimated, paper
from transformers import BertConfig

from layerscope.config.load import read_yaml
from layerscope.resources.attention import why_no_maps
from layerscope.resources.estimate import in_words


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"layer_types": ["sliding_attention", "full_attention", "hybrid", "conv"]}, 1),
        ({"layers_block_type": ["mamba", "hybrid", "mamba", "mamba"]}, 3),
        ({"hybrid_override_pattern": "M-*E"}, 3),
        ({"block_types": ["recurrent", "recurrent", "attention"]}, 3),
        ({"attn_layer_indices": [2]}, 3),
        ({"full_attn_idxs": [0, 1, 2, 3]}, 0),
        ({"attn_layer_period": 3, "attn_layer_offset": 0}, 2),
        ({"full_attention_interval": 2}, 2),
        ({"attn_layer_period": 0, "layer_types": "all"}, 0),
    ],
)
def test_layers_without_attention_are_counted_however_a_config_names_them(
    config: Config, expected: int
) -> None:
    said = f"{expected} of its 4 layers {'has' if expected == 1 else 'have'} no attention"
    assert why_no_maps({"model_type": "some", **config}, 4) == (said if expected else "")


def test_the_estimate_names_models_that_read_or_give_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bert = read_yaml(PAPER)["models"]["bert"]
    study = paper(models={"bert": bert | {"finetuning": {"ner": {"max_length": 1024}}}})
    folder = tmp_path / "resources" / "models" / "bert"
    folder.mkdir(parents=True)
    config = json.loads(BertConfig().to_json_string()) | {"layer_types": ["conv"] * 12}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    text = in_words(study, estimated(study))
    assert "than a max_length: bert 512 (fine-tuning on jnlpba 1024)." in text
    assert "without attention maps: bert (none of its layers has attention)." in text
