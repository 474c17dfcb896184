"""Loading replicas of the published models: each weight and each setting where it belongs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from replicas import KINDS, make_replica
from safetensors.torch import load_file
from tiny_models import Tiny, copied

from layerscope.core.errors import UserError
from layerscope.download.casing import state_casing
from layerscope.models.load import load_language_model, load_model, load_with_head
from layerscope.models.tokenizers import load_tokenizer


@pytest.mark.slow
def test_published_weights_land_where_they_belong(published: dict[str, Tiny]) -> None:
    # As the hub has them: names of TensorFlow in BERT, no prefix in BioBERT and GPT-2.
    for name, tiny in published.items():
        stored = {
            key.replace("LayerNorm.gamma", "LayerNorm.weight")
            .replace("LayerNorm.beta", "LayerNorm.bias")
            .removeprefix("bert.")
            .removeprefix("biogpt."): weight
            for key, weight in load_file(tiny.folder / "model.safetensors").items()
        }
        for model in (
            load_model(tiny.folder, tiny.tokenizer),
            load_with_head(tiny.folder, tiny.tokenizer, "nli", ["x", "y"]),
            load_with_head(tiny.folder, tiny.tokenizer, "ner", ["x", "y"]),
            load_language_model(tiny.folder, tiny.tokenizer, tiny.architecture),
        ):
            body = dict(model.base_model.named_parameters())
            assert len(body) > 20
            for key, weight in body.items():
                assert torch.equal(weight, stored[key]), (name, type(model), key)


def test_published_language_heads_are_kept(published: dict[str, Tiny]) -> None:
    for name in ("bert", "gpt2", "biogpt"):
        tiny = published[name]
        model = load_language_model(tiny.folder, tiny.tokenizer, tiny.architecture)
        assert torch.equal(
            model.get_output_embeddings().weight, model.get_input_embeddings().weight
        )
        if name == "bert":
            stored = load_file(tiny.folder / "model.safetensors")
            assert torch.equal(model.cls.predictions.decoder.bias, stored["cls.predictions.bias"])


def test_a_cased_vocabulary_is_never_lower_cased_unasked(
    published: dict[str, Tiny], tmp_path: Path
) -> None:
    folder = copied(published["bert"], tmp_path)
    (folder / "tokenizer_config.json").unlink()
    # The class lower-cases by default, even beside a tokenizer.json that does not.
    assert load_tokenizer(folder).tokenize("IL") == ["IL"]
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"capital letters.*lower_case.*says do_lower_case"):
        load_tokenizer(folder)
    for lower_case, read in ((True, "il"), (False, "IL")):
        state_casing("here", folder, lower_case)
        tokens = load_tokenizer(folder).tokenize("IL")
        assert tokens == load_tokenizer(folder).tokenize(read)
        assert (tokens == ["IL"]) is not lower_case
        (folder / "tokenizer_config.json").unlink()
    lower = {word.lower(): None for word in (folder / "vocab.txt").read_text().split()}
    specials = [f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")]
    (folder / "vocab.txt").write_text("\n".join([*specials, *lower]) + "\n")
    load_tokenizer(folder)


def test_a_tokenizer_in_python_without_its_files_or_package_gives_one_line(
    published: dict[str, Tiny], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sacremoses", None)
    with pytest.raises(UserError, match="install sacremoses"):
        load_tokenizer(published["biogpt"].folder)
    monkeypatch.undo()
    folder = copied(published["biogpt"], tmp_path)
    (folder / "merges.txt").unlink()
    with pytest.raises(UserError, match="no tokenizer can be loaded"):
        load_tokenizer(folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_replicas_are_the_same_every_time_and_pickled_hold_the_same_weights(
    kind: str, published: dict[str, Tiny], tmp_path: Path
) -> None:
    again = make_replica(kind, tmp_path / "again")
    for path in published[kind].folder.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name
    pickled = make_replica(kind, tmp_path / "pickled", pickled=True)
    assert not (pickled / "model.safetensors").exists()
    weights = torch.load(pickled / "pytorch_model.bin", weights_only=True)
    stored = load_file(again / "model.safetensors")
    assert weights.keys() == stored.keys()
    assert all(torch.equal(weights[name], stored[name]) for name in stored)
