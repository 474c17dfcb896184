"""Change of weights: closed forms, names of real models, and files as they are stored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BioGptConfig,
    BioGptForCausalLM,
    BioGptForTokenClassification,
    BioGptModel,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    GPT2Model,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForTokenClassification,
)

from layerscope.analysis import weight_change, weight_files
from layerscope.analysis.weight_change import FROBENIUS, SPECTRAL, STABLE_RANK, weight_changes
from layerscope.core.applicability import missing_models
from layerscope.core.errors import UserError
from layerscope.core.formats import read_table, write_blocks
from layerscope.core.table_files import Sources

Tensors = dict[str, torch.Tensor]
BLOCK = "encoder.layer.{}.{}.weight"
ATTENTION, FEED_FORWARD = "attention.self.query", "intermediate.dense"


def model() -> Tensors:
    """Embeddings and three blocks of two matrices, with what else a model has."""
    torch.manual_seed(0)
    found = {
        "embeddings.word_embeddings.weight": torch.randn(50, 4),
        "embeddings.position_ids": torch.arange(8)[None],
        "embeddings.LayerNorm.weight": torch.randn(4),
        "pooler.dense.weight": torch.randn(4, 4),
    }
    for layer in range(3):
        found[BLOCK.format(layer, ATTENTION)] = torch.randn(4, 4)
        found[BLOCK.format(layer, FEED_FORWARD)] = torch.randn(8, 4)
    return found


def write(folder: Path, tensors: Tensors) -> Path:
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    return folder


def relative_changes(before: Path, after: Path) -> dict[tuple[int, str], float]:
    found = weight_changes(before, after)
    return {key[:2]: value for key, value in found.items() if key[2] == FROBENIUS}


def finetuned(tensors: Tensors) -> Tensors:
    """With the names of a model with a head, in another order, without the integers."""
    kept = {f"bert.{name}": tensor for name, tensor in reversed(tensors.items())}
    del kept["bert.embeddings.position_ids"]
    return kept | {"classifier.weight": torch.randn(3, 4)}


def test_one_block_changed_by_a_known_factor_is_all_that_changed(tmp_path: Path) -> None:
    before = model()
    after = {n: 1.25 * t if "layer.1." in n else t.clone() for n, t in before.items()}
    found = relative_changes(write(tmp_path / "a", before), write(tmp_path / "b", finetuned(after)))
    kinds = ("all", "attention", "feed-forward")
    expected = {(0, "all"): 0.0}
    expected |= {
        (layer, kind): 0.25 if layer == 2 else 0.0 for layer in (1, 2, 3) for kind in kinds
    }
    assert found == pytest.approx(expected, rel=1e-6, abs=0)


def test_a_block_is_the_norm_of_its_matrices_together(tmp_path: Path) -> None:
    before, after = model(), model()
    name, other = (BLOCK.format(0, kind) for kind in (ATTENTION, FEED_FORWARD))
    after[name] = before[name] + 1
    found = relative_changes(write(tmp_path / "a", before), write(tmp_path / "b", finetuned(after)))
    attention, feed_forward = (np.linalg.norm(before[n].numpy()) for n in (name, other))
    assert found[1, "attention"] == pytest.approx(4 / attention, rel=1e-6)
    assert found[1, "all"] == pytest.approx(4 / np.hypot(attention, feed_forward), rel=1e-6)
    assert found[1, "feed-forward"] == 0


def test_spectral_change_and_stable_rank_are_those_of_numpy(tmp_path: Path) -> None:
    """A change of three directions in one matrix, and of one in the other."""
    draw = torch.Generator().manual_seed(3)
    before = {
        BLOCK.format(0, ATTENTION): torch.randn(40, 30, generator=draw),
        BLOCK.format(0, FEED_FORWARD): torch.randn(20, 50, generator=draw),
    }
    after = {
        name: tensor
        + torch.randn(len(tensor), rank, generator=draw)
        @ torch.randn(rank, tensor.shape[1], generator=draw)
        for rank, (name, tensor) in zip((3, 1), before.items(), strict=True)
    }
    found = weight_changes(write(tmp_path / "a", before), write(tmp_path / "b", after))
    ratios, ranks = [], []
    for name, tensor in before.items():
        singular = np.linalg.svd((after[name] - tensor).double().numpy(), compute_uv=False)
        ratios.append(singular[0] / np.linalg.svd(tensor.double().numpy(), compute_uv=False)[0])
        ranks.append(np.sum(singular**2) / singular[0] ** 2)
    assert 1 < ranks[0] < 3
    assert ranks[1] == pytest.approx(1, rel=1e-5)
    for number, kind in enumerate(("attention", "feed-forward")):
        assert found[1, kind, SPECTRAL] == pytest.approx(ratios[number], rel=1e-5)
        assert found[1, kind, STABLE_RANK] == pytest.approx(ranks[number], rel=1e-5)
    assert found[1, "all", SPECTRAL] == pytest.approx(np.mean(ratios), rel=1e-5)
    assert found[1, "all", STABLE_RANK] == pytest.approx(np.mean(ranks), rel=1e-5)


def test_what_is_read_in_pieces_is_what_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = (write(tmp_path / name, finetuned(model())) for name in ("a", "b"))
    changed = finetuned({n: t + 0.1 if t.is_floating_point() else t for n, t in model().items()})
    save_file(changed, after / "model.safetensors")
    once = weight_changes(before, after)
    monkeypatch.setattr(weight_files, "_BLOCK_SIZE", 12)
    monkeypatch.setattr(weight_change, "_HELD", 0)
    assert weight_changes(before, after) == pytest.approx(once, rel=1e-7)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_numbers_are_read_as_they_are_stored(tmp_path: Path, dtype: torch.dtype) -> None:
    before = {n: t.to(dtype) if t.is_floating_point() else t for n, t in model().items()}
    after = {n: 3 * t.float() if t.is_floating_point() else t for n, t in before.items()}
    found = relative_changes(write(tmp_path / "a", before), write(tmp_path / "b", finetuned(after)))
    assert list(found.values()) == pytest.approx([2.0] * 10, rel=1e-6)


BERT = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
                  intermediate_size=16, max_position_embeddings=16)  # fmt: skip
GPT2 = GPT2Config(vocab_size=30, n_embd=8, n_layer=2, n_head=2, n_positions=16)
BIOGPT = BioGptConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
                      intermediate_size=16, max_position_embeddings=16)  # fmt: skip
LLAMA = LlamaConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
                    intermediate_size=16, tie_word_embeddings=True)  # fmt: skip


@pytest.mark.parametrize(
    ("base", "tuned", "config"),
    [
        (BertForMaskedLM, BertForSequenceClassification, BERT),
        (GPT2Model, GPT2ForSequenceClassification, GPT2),
        (GPT2LMHeadModel, GPT2ForSequenceClassification, GPT2),
        (BioGptModel, BioGptForTokenClassification, BIOGPT),
        (BioGptForCausalLM, BioGptForTokenClassification, BIOGPT),
        (LlamaForCausalLM, LlamaForTokenClassification, LLAMA),
    ],
)
def test_names_of_bases_and_of_models_with_a_head_are_matched(
    base: type, tuned: type, config: object, tmp_path: Path
) -> None:
    """All matrices of the shared body, whose heads, poolers and tied weights differ."""
    torch.manual_seed(1)
    before, after = base(config), tuned(config)
    body = getattr(before, before.base_model_prefix, before)
    getattr(after, after.base_model_prefix).load_state_dict(body.state_dict(), strict=False)
    blocks = getattr(body, "encoder", body)
    (block,) = [blocks_[1] for name in ("layer", "h", "layers")
                if (blocks_ := getattr(blocks, name, None)) is not None]  # fmt: skip
    before.save_pretrained(tmp_path / "before")
    after.save_pretrained(tmp_path / "after")
    found = relative_changes(tmp_path / "before", tmp_path / "after")
    assert found.keys() == {
        (0, "all"), *((n, k) for n in (1, 2) for k in ("all", "attention", "feed-forward"))
    }  # fmt: skip
    assert set(found.values()) == {0.0}
    matrices = [p for p in block.parameters() if p.ndim == 2]
    in_files = [m for place, m in weight_files.read_matrices(tmp_path / "before").items()
                if place.layer == 2]  # fmt: skip
    assert sorted(tuple(p.shape) for p in matrices) == sorted(m.shape for m in in_files)


def test_the_table_has_a_row_a_layer_and_kind_of_each_variant(tmp_path: Path) -> None:
    before = write(tmp_path / "models" / "m", model())
    after = [write(tmp_path / "t" / "m" / v, finetuned(model())) for v in ("f10-s1", "f100-s2")]
    made = weight_change.tabulate(
        Sources({"before": [str(before)], "files": list(map(str, after))})
    )
    path = tmp_path / "part.parquet"
    write_blocks(path, "weight_change-table", made["weight_change"].blocks)
    rows = read_table(path, "weight_change-table").to_pylist()
    assert [(row["percent"], row["seed"]) for row in rows] == [(10, 1)] * 30 + [(100, 2)] * 30
    depths = np.repeat([0.0, 1 / 3, 2 / 3, 1.0], [3, 9, 9, 9])
    assert [row["depth"] for row in rows[:30]] == [*depths]
    assert {(row["task"], row["model"]) for row in rows} == {("t", "m")}
    assert {row["value"] for row in rows if row["measure"] != STABLE_RANK} == {0.0}
    assert {row["value"] for row in rows if row["measure"] == STABLE_RANK} == {None}


def test_other_matrices_and_damaged_files_are_refused(tmp_path: Path) -> None:
    before = write(tmp_path / "a", model())
    less = model()
    del less[BLOCK.format(2, ATTENTION)]
    with pytest.raises(UserError, match=r"'attention.self.query.weight' of layer 3 is not that"):
        relative_changes(before, write(tmp_path / "b", less))
    two = model() | {"other.layer.0.attention.self.query.weight": torch.ones(4, 4)}
    with pytest.raises(UserError, match="two matrices"):
        relative_changes(before, write(tmp_path / "c", two))
    (before / "model.safetensors").write_bytes(len(json.dumps([])).to_bytes(8, "little") + b"[")
    with pytest.raises(UserError, match="unreadable weights"):
        relative_changes(before, before)


def test_of_an_encoder_decoder_the_encoder_alone_is_compared(tmp_path: Path) -> None:
    both = model() | {"decoder.layer.0.attention.self.query.weight": torch.ones(4, 4)}
    found = relative_changes(write(tmp_path / "a", both), write(tmp_path / "b", model()))
    assert set(found.values()) == {0.0}


def test_a_model_that_cannot_be_compared_leaves_the_others_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = write(tmp_path / "models" / "m", model())
    less = finetuned(model())
    del less["bert." + BLOCK.format(2, ATTENTION)]
    after = [
        write(tmp_path / "t" / "m" / "f10-s1", less),
        write(tmp_path / "t" / "m" / "f10-s2", finetuned(model())),
    ]
    sources = Sources({"before": [str(before)], "files": list(map(str, after))})
    table = weight_change.tabulate(sources)["weight_change"]
    found = [block for block in table.blocks if block]
    assert [{row["seed"] for row in block} for block in found] == [{2}]
    missing = missing_models(table.metadata, "t")
    assert {name: list(reasons) for name, reasons in missing.items()} == {
        "m": ["change of weights"]
    }
    assert caplog.text.count("no change of weights: ") == 1


def test_a_model_in_shards_is_read_whole(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", model())
    parts = tmp_path / "parts"
    parts.mkdir()
    names = sorted(model())
    for number, chosen in enumerate((names[::2], names[1::2]), start=1):
        tensors = {name: model()[name] for name in chosen}
        save_file(tensors, parts / f"model-{number:05d}-of-00002.safetensors")
    expected, found = (weight_files.read_matrices(folder) for folder in (whole, parts))
    assert found.keys() == expected.keys()
    assert set(relative_changes(whole, parts).values()) == {0.0}
