"""Masked heads against weights that are 0, and resumed passes against whole ones."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_families import FAMILIES, save_family
from tiny_models import TEXTS, Tiny
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertModel,
    PreTrainedModel,
)

from layerscope.config.extraction import Activations
from layerscope.core.errors import NotApplicableError
from layerscope.extraction.activations import sequence_vectors
from layerscope.models.batching import collate
from layerscope.models.hooks import (
    all_heads,
    head_outputs_captured,
    heads_masked,
    resumed,
    states_captured,
)
from layerscope.models.inputs import encode_text
from layerscope.models.loaded import load_base
from layerscope.models.parts import blocks, head_projections

HEADS = 4
WIDTH = 32 // HEADS
SETS = [[(1, 2)], [(2, 0), (2, 3)], [(1, 0), (1, 1), (2, 2)]]
NAMES = {
    "encoder": "encoder.layer.{}.attention.output.dense",
    "decoder": "h.{}.attn.c_proj",
    "biogpt": "layers.{}.self_attn.out_proj",
}
SHAPE = {"num_hidden_layers": 2, "num_attention_heads": HEADS, "hidden_size": 32}
Batch = dict[str, torch.Tensor]


def batch_of(tiny: Tiny) -> Batch:
    """Texts of different lengths, so that there is padding."""
    return collate(
        encode_text(tiny.tokenizer, tiny.special_tokens, TEXTS, 64)[0], tiny.special_tokens
    )


def run(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """States that count: of real tokens."""
    with torch.inference_mode():
        found: torch.Tensor = model(**batch).last_hidden_state
    return found[batch["attention_mask"].bool()]


def with_zeros(model: PreTrainedModel, heads: list[tuple[int, int]]) -> PreTrainedModel:
    """A copy whose output projections take nothing from these heads."""
    copied = copy.deepcopy(model)
    for layer, head in heads:
        projection = head_projections(copied)[layer - 1]
        own = slice(head * WIDTH, (head + 1) * WIDTH)
        assert isinstance(projection.weight, nn.Parameter)
        with torch.no_grad():
            if isinstance(projection, nn.Linear):  # outputs x inputs
                projection.weight[:, own] = 0
            else:  # GPT-2's Conv1D: inputs x outputs
                projection.weight[own] = 0
    return copied


def test_projections_are_the_ones_meant(tiny: Tiny, request: pytest.FixtureRequest) -> None:
    name = NAMES[request.node.callspec.params["tiny"]]
    expected = [tiny.model.get_submodule(name.format(layer)) for layer in range(2)]
    assert head_projections(tiny.model) == expected
    assert len(blocks(tiny.model)) == 2


@pytest.mark.parametrize("heads", SETS)
def test_a_masked_head_is_one_that_the_projection_takes_nothing_from(
    tiny: Tiny, heads: list[tuple[int, int]]
) -> None:
    batch = batch_of(tiny)
    with heads_masked(tiny.model, heads):
        found = run(tiny.model, batch)
    torch.testing.assert_close(found, run(with_zeros(tiny.model, heads), batch))
    assert (found - run(tiny.model, batch)).abs().max() > 1e-3


@pytest.mark.parametrize("heads", SETS)
def test_a_head_set_to_a_value_is_a_constant_that_the_projection_adds(
    tiny: Tiny, heads: list[tuple[int, int]]
) -> None:
    """As a model whose projection takes nothing from the head, with another bias."""
    values = list(torch.randn(2, HEADS * WIDTH, generator=torch.Generator().manual_seed(1)))
    copied = with_zeros(tiny.model, heads)
    for layer, head in heads:
        own = slice(head * WIDTH, (head + 1) * WIDTH)
        projection = head_projections(tiny.model)[layer - 1]
        weight = projection.weight if isinstance(projection, nn.Linear) else projection.weight.T  # type: ignore[operator, union-attr]
        with torch.no_grad():
            head_projections(copied)[layer - 1].bias += weight[:, own] @ values[layer - 1][own]  # type: ignore[operator]
    batch = batch_of(tiny)
    with heads_masked(tiny.model, heads, values):
        found = run(tiny.model, batch)
    torch.testing.assert_close(found, run(copied, batch), rtol=1e-4, atol=1e-5)


def test_outputs_of_heads_are_what_the_projection_reads(tiny: Tiny) -> None:
    batch = batch_of(tiny)
    with head_outputs_captured(tiny.model) as outputs:
        plain = run(tiny.model, batch)
    assert [each.shape for each in outputs] == [(*batch["input_ids"].shape, 32)] * 2
    # A head that is set to what it gives changes nothing.
    one = {name: tensor[:1, :1] for name, tensor in batch.items()}
    with head_outputs_captured(tiny.model) as outputs:
        alone = run(tiny.model, one)
        values = [each[0, 0] for each in outputs]
    with heads_masked(tiny.model, all_heads(tiny.model), values):
        torch.testing.assert_close(run(tiny.model, one), alone)
    assert torch.equal(run(tiny.model, batch), plain)


def test_no_head_masked_changes_nothing_and_nothing_stays_masked(tiny: Tiny) -> None:
    batch = batch_of(tiny)
    plain = run(tiny.model, batch)
    with heads_masked(tiny.model, []):
        assert torch.equal(run(tiny.model, batch), plain)
    with heads_masked(tiny.model, all_heads(tiny.model)):
        assert not torch.equal(run(tiny.model, batch), plain)
    assert torch.equal(run(tiny.model, batch), plain)


def test_of_all_heads_masked_the_bias_is_left(tiny: Tiny) -> None:
    seen = []
    projections = head_projections(tiny.model)
    hooks = [p.register_forward_hook(lambda m, i, output: seen.append(output)) for p in projections]
    with heads_masked(tiny.model, all_heads(tiny.model)):
        run(tiny.model, batch_of(tiny))
    for hook in hooks:
        hook.remove()
    for output, projection in zip(seen, projections, strict=True):
        assert isinstance(projection.bias, torch.Tensor)
        torch.testing.assert_close(output, projection.bias.expand_as(output))


def test_a_head_that_is_not_there_is_refused(encoder: Tiny) -> None:
    for head in ((0, 0), (3, 0), (1, 4)):
        with pytest.raises(ValueError, match="no such heads"), heads_masked(encoder.model, [head]):
            pass


def test_states_are_what_the_next_block_reads(tiny: Tiny) -> None:
    """The last one is before a decoder's final LayerNorm."""
    read = []
    hook = blocks(tiny.model)[1].register_forward_pre_hook(lambda m, inputs: read.append(inputs[0]))
    with states_captured(tiny.model) as states, torch.inference_mode():
        output = tiny.model(**batch_of(tiny)).last_hidden_state
    hook.remove()
    assert torch.equal(states[0], read[0])
    norm = getattr(tiny.model, "ln_f", None) or getattr(tiny.model, "layer_norm", None)
    with torch.inference_mode():
        torch.testing.assert_close(norm(states[1]) if norm else states[1], output)
    assert (norm is None) == (tiny.architecture == "encoder")


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_resumed_pass_is_the_whole_one(tiny: Tiny, layer: int) -> None:
    batch = batch_of(tiny)
    with states_captured(tiny.model) as states:
        plain = run(tiny.model, batch)
    with resumed(tiny.model, layer, states[layer - 1]):
        assert torch.equal(run(tiny.model, batch), plain)
    changed = [state.clone() for state in states]
    for state in changed:
        state[:, 1] += 1
    with resumed(tiny.model, layer, changed[layer - 1]):
        assert torch.equal(run(tiny.model, batch), plain) == (layer == 0)
    assert torch.equal(run(tiny.model, batch), plain)


def test_an_architecture_whose_parts_are_not_found_is_refused() -> None:
    shape = {"embedding_size": 8, "hidden_size": 8, "intermediate_size": 8, "vocab_size": 9}
    model = AlbertModel(AlbertConfig(num_hidden_layers=3, num_attention_heads=2, **shape))
    with pytest.raises(NotApplicableError, match="AlbertModel: its blocks are not found"):
        blocks(model)
    encoder = nn.ModuleList([nn.Linear(2, 2)] * 3)
    model.encoder = nn.ModuleDict({"layers": encoder})
    with pytest.raises(NotApplicableError, match="AlbertModel: its attention heads are not found"):
        head_projections(model)


@pytest.mark.parametrize("name", ["BERT", "GPT-2", "Mamba"])
def test_layers_are_what_the_first_block_reads_and_gives(name: str, tmp_path: Path) -> None:
    """Mamba's `hidden_states` begin with what the first block gives."""
    loaded = load_base(save_family(name, tmp_path / "model"), FAMILIES[name].architecture)
    seen: list[torch.Tensor] = []

    def keep(_: object, inputs: Any, output: Any) -> None:
        seen.extend((inputs[0], output[0] if isinstance(output, tuple) else output))

    blocks(loaded.model)[0].register_forward_hook(keep)
    sequences, _ = encode_text(loaded.tokenizer, loaded.special_tokens, TEXTS[:1], 48)
    found = sequence_vectors(loaded, sequences, Activations())
    assert found.shape[1] == 3
    expected = [state[0].mean(dim=0).numpy() for state in seen]
    np.testing.assert_allclose(found[0, :2], expected, atol=1e-5)
