"""Importance of heads against finite differences, planted heads, and passes without padding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from planted import LABELS, PASSES, examples, inputs, with_head
from synthetic_tables import run_program
from tiny_models import Tiny
from torch.nn.functional import cross_entropy

from layerscope.analysis import head_importance
from layerscope.analysis.head_importance import gate_gradients, head_gradients
from layerscope.analysis.interventions.erasure import labelled_inputs
from layerscope.core.applicability import reasons_of
from layerscope.core.errors import NotApplicableError
from layerscope.core.formats import read_table, write_table
from layerscope.data.labels import TaskLabels
from layerscope.models.batching import collate
from layerscope.models.hooks import heads_gated, heads_masked
from layerscope.models.inputs import labelled_position
from layerscope.models.load import load_with_head
from layerscope.models.parts import head_projections, key_value_heads

HEADS, SHAPE = 4, (2, 4)


def losses(model: Any, tiny: Tiny, table: pa.Table, kind: str, limit: int = 64) -> np.ndarray:
    """Mean loss of the labels of each example, every window in a pass of its own."""
    task, found = TaskLabels(kind, LABELS[kind]), []
    for row in range(len(table)):
        own = replace(tiny, model=model)
        sequences, codes = labelled_inputs(own, table.slice(row, 1), task, limit)
        logits = []
        for sequence in sequences:
            answer = model(**collate([sequence], tiny.special_tokens)).logits[0]
            places = [labelled_position(span, tiny.architecture) for span in sequence.words]
            logits.append(answer[places] if sequence.words else answer[None])
        targets = torch.from_numpy(np.concatenate(codes))
        found.append(cross_entropy(torch.cat(logits), targets).item())
    return np.asarray(found)


@pytest.mark.parametrize(("name", "kind"), [("encoder", "nli"), ("decoder", "ner")])
def test_gradients_are_finite_differences_of_the_loss(
    name: str, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each example and head, in float64; long sentences are read in windows."""
    tiny: Tiny = request.getfixturevalue(name)
    model: Any = with_head(tiny, kind).double()
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor.double())
    table, step = examples(kind, 2, 1), 1e-5
    limit = 8 if kind == "ner" else 64
    loaded, passes = replace(tiny, model=model), PASSES.model_copy(update={"max_length": limit})
    columns = head_gradients(loaded, table, TaskLabels(kind, LABELS[kind]), 0, passes)
    windows = labelled_inputs(loaded, table, TaskLabels(kind, LABELS[kind]), limit)[0]
    assert (len(windows) > len(table)) == (kind == "ner")
    found = np.asarray(columns["gradient"]).reshape(len(table), *SHAPE)
    for layer, head in np.ndindex(SHAPE):
        sides = []
        for sign in (1, -1):
            gates = torch.ones(SHAPE[0], 1, HEADS, dtype=torch.float64)
            gates[layer, 0, head] += sign * step
            with torch.no_grad(), heads_gated(model, list(gates)):
                sides.append(losses(model, tiny, table, kind, limit))
        expected = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(found[:, layer, head], expected, rtol=1e-4, atol=1e-7)
    assert (np.abs(found) > 1e-6).all()


def test_a_gate_of_0_masks_a_head(encoder: Tiny) -> None:
    model = with_head(encoder, "nli")
    given = inputs(encoder, model, examples("nli", 3, 0), "nli")
    batch = collate(given.sequences, encoder.special_tokens)
    gates = torch.ones(2, 3, HEADS)
    with torch.no_grad():
        plain = model(**batch).logits
        with heads_gated(model, list(gates)):
            assert torch.equal(model(**batch).logits, plain)
        gates[0, :, 1] = gates[1, :, 3] = 0
        with heads_gated(model, list(gates)):
            gated = model(**batch).logits
        with heads_masked(model, [(1, 1), (2, 3)]):
            torch.testing.assert_close(gated, model(**batch).logits)
        assert (gated - plain).abs().max() > 1e-3
        assert torch.equal(model(**batch).logits, plain)  # nothing stays


@pytest.mark.parametrize(("name", "kind"), [("encoder", "nli"), ("decoder", "ner")])
def test_the_one_head_whose_output_is_used_has_all_the_importance(
    name: str, kind: str, request: pytest.FixtureRequest
) -> None:
    """Planted: of all others the projection takes nothing, so that theirs is exactly 0."""
    tiny: Tiny = request.getfixturevalue(name)
    model = with_head(tiny, kind)
    for layer, projection in enumerate(head_projections(model), start=1):
        weight = projection.weight if name == "encoder" else projection.weight.T  # type: ignore
        kept = weight[:, 16:24].detach().clone()  # type: ignore[index]
        with torch.no_grad():
            weight.zero_()  # type: ignore[operator]
            if layer == 2:
                weight[:, 16:24] = kept  # type: ignore[index, operator]
    loaded = replace(tiny, model=model)
    found = gate_gradients(loaded, inputs(tiny, model, examples(kind, 4, 0), kind), PASSES)
    used = np.zeros(SHAPE, bool)
    used[1, 2] = True
    assert (found[:, ~used] == 0).all()
    assert (np.abs(found[:, 1, 2]) > 1e-6).all()


def test_padding_and_the_rest_of_a_batch_change_nothing(tiny: Tiny) -> None:
    model = with_head(tiny, "nli")
    given = inputs(tiny, model, examples("nli", 9, 0), "nli")
    assert len({len(sequence.ids) for sequence in given.sequences}) > 1
    loaded = replace(tiny, model=model)
    together, alone = (
        gate_gradients(loaded, given, PASSES.model_copy(update={"batch_tokens": tokens}))
        for tokens in (4096, 4)
    )
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-6)


def test_no_weights_get_gradients_and_stratified_rows_are_taken(
    encoder: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_importance, "MOST_EXAMPLES", 6)
    table, task = examples("nli", 30, 0), TaskLabels("nli", LABELS["nli"])
    model = with_head(encoder, "nli")
    columns = head_gradients(replace(encoder, model=model), table, task, 0, PASSES)
    assert all(each.grad is None and not each.requires_grad for each in model.parameters())
    taken = list(dict.fromkeys(columns["example_id"]))
    labels = dict(zip(table["example_id"].to_pylist(), table["label"].to_pylist(), strict=True))
    assert sorted(labels[example] for example in taken) == sorted(2 * LABELS["nli"])
    assert len(columns["gradient"]) == 6 * 2 * HEADS
    assert columns["layer"][: 2 * HEADS].tolist() == [1] * HEADS + [2] * HEADS
    assert columns["key_value_head"].tolist() == columns["head"].tolist()


def test_heads_that_share_keys_are_told(encoder: Tiny) -> None:
    model = with_head(encoder, "nli")
    model.config.num_key_value_heads = 2
    assert key_value_heads(model) == [0, 0, 1, 1]


def test_a_loss_without_gradients_is_not_applicable(encoder: Tiny) -> None:
    model = with_head(encoder, "nli")
    given = inputs(encoder, model, examples("nli", 2, 0), "nli")
    model.bert.encoder.layer[1].register_forward_hook(lambda *_: _[2].detach())  # type: ignore
    with pytest.raises(NotApplicableError, match=r"^BertFor.*: no gradient of its loss"):
        gate_gradients(replace(encoder, model=model), given, PASSES)


def test_the_program_reads_reference_rows_alone_and_is_deterministic(
    decoder: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, task = "ner", TaskLabels("ner", LABELS["ner"], merged=True)
    torch.manual_seed(11)
    model = load_with_head(decoder.folder, decoder.tokenizer, kind, task.learned)
    model.save_pretrained(tmp_path / "model")
    decoder.tokenizer.save_pretrained(tmp_path / "model")
    tables = {"validation": examples(kind, 12, 0), "test": examples(kind, 9, 1)}
    for split, table in tables.items():
        write_table(tmp_path / f"{split}.parquet", kind, table, {"labels": task.names})
    ids = tables["validation"].select(["example_id"]).slice(0, 10)
    write_table(tmp_path / "sample.parquet", "sample", ids)
    arguments = [
        *("--task", "t", "--name", "m", "--variant", "f100-s1", "--kind", kind),
        *("--architecture", "decoder", "--model", tmp_path / "model", "--max-length", 64),
        *("--settings", '{"examples": null, "seed": 0}', "--passes", PASSES.model_dump_json()),
        *("--reference", tmp_path / "validation.parquet", "--sample", tmp_path / "sample.parquet"),
        *("--test", tmp_path / "test.parquet", "--merge-tags"),
    ]
    outs = [tmp_path / f"{name}.parquet" for name in ("one", "two", "none")]
    for out in outs[:2]:
        run_program("head_importance", *arguments, "--out", out)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    rows = read_table(outs[0], "head_importance")
    assert set(rows["example_id"].to_pylist()) == set(ids["example_id"].to_pylist())
    expected = head_gradients(
        replace(decoder, model=model), tables["validation"].slice(0, 10), task, 0, PASSES
    )
    np.testing.assert_allclose(rows["gradient"].to_numpy(), expected["gradient"], rtol=1e-5)

    def refuse(*_: Any) -> None:
        raise NotApplicableError("no heads")

    monkeypatch.setattr(head_importance, "head_gradients", refuse)
    run_program("head_importance", *arguments, "--out", outs[2])
    assert not len(read_table(outs[2], "head_importance"))
    assert reasons_of(outs[2], "head_importance") == {"head importance": "no heads"}
