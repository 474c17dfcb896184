"""Erased labels against planted ones, the library by hand, and passes one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from concept_erasure import LeaceEraser
from planted import LABELS, PASSES, examples, fitted, inputs, pooled, with_head
from tiny_models import Tiny

from layerscope.analysis.interventions.checks import check, cross_predicted, sample_of
from layerscope.analysis.interventions.erasure import (
    edits,
    erased_layers,
    permuted,
    pooled_states,
    scaled,
)
from layerscope.core.errors import UserError
from layerscope.data.labels import TaskLabels
from layerscope.models.batching import collate
from layerscope.models.parts import blocks

# --- erasure -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["nli", "classification", "ner"])
def test_labels_go_with_their_words_over_windows(tiny: Tiny, kind: str) -> None:
    table = examples(kind, 12, 0)
    sequences, codes, tokens = inputs(tiny, with_head(tiny, kind), table, kind, limit=10)
    names = LABELS[kind]
    expected = table["tags"].to_pylist() if kind == "ner" else [table["label"].to_pylist()]
    assert [names[code] for each in codes for code in each] == [t for ts in expected for t in ts]
    if kind == "ner":
        assert len(sequences) > 12
        assert [len(sequence.words) for sequence in sequences] == [len(each) for each in codes]
    else:
        assert tokens == ("first" if tiny.architecture == "encoder" else "last")


def test_permuted_labels_are_the_same_ones_in_another_order_for_each_model() -> None:
    codes = [np.asarray([0, 1, 2]), np.asarray([1]), np.asarray([2, 2, 0, 1])]
    found = permuted(codes, "m", 0)
    assert [len(each) for each in found] == [3, 1, 4]
    assert sorted(np.concatenate(found)) == sorted(np.concatenate(codes))
    for orders in (
        {tuple(np.concatenate(permuted(codes, "m", seed))) for seed in range(5)},
        {tuple(np.concatenate(permuted(codes, name, 0))) for name in "abcde"},
    ):
        assert len(orders) > 1
    np.testing.assert_array_equal(np.concatenate(permuted(codes, "m", 0)), np.concatenate(found))


@pytest.mark.parametrize("kind", ["nli", "ner"])
@pytest.mark.parametrize("place", ["read", "mean"])
def test_batches_give_the_eraser_of_all_vectors_at_once(tiny: Tiny, kind: str, place: str) -> None:
    """The library's own fit of what was captured; after it no covariance with labels is left."""
    model, table = with_head(tiny, kind), examples(kind, 60, 0)
    erasers = fitted(tiny, model, table, kind)[0][place]
    vectors, labels = pooled(tiny, model, table, kind, place)
    one_hot = torch.eye(3, dtype=torch.float64)[torch.from_numpy(labels)]
    for layer, eraser in enumerate(erasers):
        x = torch.from_numpy(vectors[:, layer]).double()
        whole = LeaceEraser.fit(x, one_hot, svd_tol=1e-6)
        assert eraser.P.dtype == torch.float64
        torch.testing.assert_close(eraser.P, whole.P, rtol=1e-6, atol=1e-8)
        assert torch.linalg.matrix_rank(eraser.P) == 32 - 2  # three classes
        left = eraser(x)
        covariance = (left - left.mean(dim=0)).mH @ (one_hot - one_hot.mean(dim=0)) / len(x)
        assert covariance.abs().max() < 1e-10 < 1e-3 < (x.std(dim=0)).max()


@pytest.mark.parametrize("kind", ["nli", "ner"])
def test_vectors_read_are_those_of_the_positions_a_head_reads(tiny: Tiny, kind: str) -> None:
    """Passes one at a time: the first or the last token, or a word's labelled sub-word."""
    model, table = with_head(tiny, kind), examples(kind, 5, 0)
    given = inputs(tiny, model, table, kind)
    states: list[torch.Tensor] = []
    block = blocks(model)[0]
    for indices, vectors in pooled_states(replace(tiny, model=model), given, PASSES):
        row = 0
        for index in indices:
            sequence = given.sequences[index]
            hook = block.register_forward_hook(lambda m, x, output: states.append(output[0]))
            with torch.no_grad():
                model(**collate([sequence], tiny.special_tokens))
            hook.remove()
            for start, end in sequence.words or [(0, len(sequence.ids))]:
                at = start if tiny.architecture == "encoder" else end - 1
                close = {"rtol": 1e-4, "atol": 1e-5}
                torch.testing.assert_close(vectors["read"][row, 0], states[-1][at], **close)
                row += 1
        assert row == len(vectors["read"])


def test_a_fresh_probe_is_at_chance_where_the_direction_is_erased_and_not_after_an_equal_edit() -> (
    None
):
    """Planted in normal noise of unequal variances; the eraser was fitted to other rows."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((3, 16))

    def made(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(3, size=count)
        noise = rng.standard_normal((count, 16)) * np.linspace(0.5, 2, 16)
        return directions[labels] + noise, labels

    def eraser_of(x: np.ndarray, labels: np.ndarray) -> LeaceEraser:
        one_hot = torch.eye(3, dtype=torch.float64)[torch.from_numpy(labels)]
        return LeaceEraser.fit(torch.from_numpy(x), one_hot, svd_tol=1e-6)

    def size(eraser: LeaceEraser) -> float:
        x = torch.from_numpy(fitted_to)
        return float((eraser(x) - x).square().sum())

    fitted_to, labels = made(4000)
    own, other = eraser_of(fitted_to, labels), eraser_of(fitted_to, rng.permutation(labels))
    control = scaled(other, float(np.sqrt(size(own) / size(other))))
    assert size(control) == pytest.approx(size(own))
    x, labels = made(3000)
    half = rng.random(3000) < 0.5
    accuracy = {}
    for name, change in (("before", None), ("own", own), ("control", control)):
        left = x if change is None else change(torch.from_numpy(x)).numpy()
        answers = cross_predicted(left.astype(np.float32), labels, half)
        accuracy[name] = float(np.mean(answers == labels))
    assert accuracy["own"] == pytest.approx(1 / 3, abs=0.04)
    assert accuracy["control"] > accuracy["before"] - 0.1 > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nli", "ner"])
def test_a_check_says_how_far_tokens_move_and_what_is_left(tiny: Tiny, kind: str) -> None:
    """On rows that the eraser was not fitted to, at the token that the head reads."""
    loaded, task = replace(tiny, model=with_head(tiny, kind)), TaskLabels(kind, LABELS[kind])
    given = inputs(tiny, loaded.model, examples(kind, 300, 0), kind)
    erased = erased_layers(loaded, given, task, "m", 0, PASSES)
    sums = edits(loaded, given.sequences, erased, PASSES)
    half = len(erased) // 2
    np.testing.assert_allclose(sums[:half], sums[half:], rtol=1e-5)

    def score(truth: Any, predicted: Any, _: Any) -> dict[str, float]:
        return {"accuracy": float(np.mean(np.asarray(truth) == np.asarray(predicted)))}

    sample = sample_of(loaded, examples(kind, 200, 1), task, 0, PASSES)
    found = [each for each in check(loaded, sample, erased, task, score, PASSES) if each]
    for change, own, control in zip(erased, found[:half], found[half:], strict=False):
        assert own.edit == pytest.approx(control.edit, rel=0.25)
        if change.fitted == "read":
            before, after, kept = (
                each["accuracy"] for each in (own.before, own.after, control.after)
            )
            assert before > own.chance["accuracy"] + 0.25
            # Few kinds of words are few clusters: some of what is left is no mean of a class.
            assert after < min(before, kept) - 0.15
            assert kept > before - 0.1


def test_halves_of_a_sample_share_no_group_and_one_group_gives_no_probe(encoder: Tiny) -> None:
    loaded, task = (
        replace(encoder, model=with_head(encoder, "ner")),
        TaskLabels("ner", LABELS["ner"]),
    )
    table = examples("ner", 30, 0)
    groups = [f"g{row // 3}" for row in range(30)]
    at = table.schema.get_field_index("group_id")
    grouped = table.set_column(at, "group_id", pa.array(groups))
    sample = sample_of(loaded, grouped, task, 0, PASSES)
    group_of = dict(zip(grouped["example_id"].to_pylist(), groups, strict=True))
    sides: dict[str, set[bool]] = {}
    for example, side in zip(sample.examples, sample.half, strict=True):
        sides.setdefault(group_of[example], set()).add(bool(side))
    assert {len(side) for side in sides.values()} == {1}
    assert 0.3 < sample.half.mean() < 0.7
    assert sample.truth == [tag for tags in grouped["tags"].to_pylist() for tag in tags]
    alone = grouped.set_column(at, "group_id", pa.array(["g"] * 30))
    single = sample_of(loaded, alone, task, 0, PASSES)
    erased = erased_layers(loaded, single.inputs, task, "m", 0, PASSES)
    for each in check(loaded, single, erased, task, lambda *_: {"a": 1.0}, PASSES):
        assert each is not None
        assert (each.before, each.after) == ({}, {})


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_labels_are_erased_all_the_same_and_one_is_refused(encoder: Tiny, count: int) -> None:
    model, table = with_head(encoder, "nli"), examples("nli", count, 0)
    if count == 1:
        with pytest.raises(UserError, match="1 label; allowed: 2 or more"):
            fitted(encoder, model, table, "nli")
        return
    for eraser in fitted(encoder, model, table, "nli")[0]["mean"]:
        assert torch.isfinite(eraser.P).all()
        assert torch.linalg.matrix_rank(eraser.P) == 32 - (count - 1)
