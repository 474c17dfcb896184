"""Interventions against planted labels, the library by hand, and passes one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from concept_erasure import LeaceEraser
from sklearn.linear_model import LogisticRegression
from synthetic_tables import run_program
from tiny_models import TEXTS, Tiny, ner_table, nli_table
from transformers import PreTrainedModel

from layerscope.analysis.interventions import (
    Intervened,
    Intervention,
    erased_layers,
    fit_erasers,
    labelled_inputs,
    masked_heads,
    permuted,
    pooled_states,
    ranked_heads,
    rows_of,
)
from layerscope.config.extraction import Activations
from layerscope.config.interventions import Interventions
from layerscope.config.statistics import Statistics
from layerscope.core.errors import UserError
from layerscope.core.formats import SCHEMAS, read_table, write_table
from layerscope.data.labels import TaskLabels
from layerscope.evaluation.prediction_files import read_predictions
from layerscope.evaluation.scoring import score
from layerscope.extraction.predictions import predict
from layerscope.models.batching import collate
from layerscope.models.hooks import all_heads, blocks, heads_masked
from layerscope.models.load import load_with_head

LABELS = {"nli": ["contradiction", "entailment", "neutral"], "ner": ["O", "B-drug", "I-drug"]}
WORDS = sorted({word for text in TEXTS for word in text.split()})
PASSES = Activations(max_length=64, batch_tokens=256)


def examples(kind: str, count: int, seed: int) -> pa.Table:
    """Made-up examples whose labels are planted: the words of one class are never of another."""
    rng = np.random.default_rng(seed)
    labels = LABELS[kind]
    own = [WORDS[place:9:3] for place in range(3)]
    if kind == "nli":
        rows = []
        for index in range(count):
            words = rng.choice(own[index % 3], size=int(rng.integers(4, 9)))
            rows.append((" ".join(words[:3]), " ".join(words[3:]), labels[index % 3]))
        return nli_table(rows)
    sentences = []
    for _ in range(count):
        codes = rng.integers(3, size=int(rng.integers(3, 9)))
        sentences.append(
            ([str(rng.choice(own[code])) for code in codes], [labels[code] for code in codes])
        )
    return ner_table(sentences)


def with_head(tiny: Tiny, kind: str) -> PreTrainedModel:
    torch.manual_seed(11)
    return load_with_head(tiny.folder, tiny.tokenizer, kind, LABELS[kind])


def inputs(tiny: Tiny, table: pa.Table, kind: str, limit: int = 64) -> tuple[Any, Any]:
    return labelled_inputs(tiny, table, TaskLabels(kind, LABELS[kind]), limit)


def fitted(
    tiny: Tiny, model: PreTrainedModel, table: pa.Table, kind: str
) -> tuple[list[LeaceEraser], list[LeaceEraser]]:
    sequences, codes = inputs(tiny, table, kind)
    both = [codes, permuted(codes, 0)]
    task, loaded = TaskLabels(kind, LABELS[kind]), replace(tiny, model=model)
    own, control = fit_erasers(loaded, sequences, both, task, PASSES)
    return own, control


def pooled(
    tiny: Tiny, model: PreTrainedModel, table: pa.Table, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of each block, rows x layers x width, and the rows' labels."""
    sequences, codes = inputs(tiny, table, kind)
    vectors, labels = [], []
    for indices, found in pooled_states(replace(tiny, model=model), sequences, kind, PASSES):
        vectors.append(found.numpy())
        labels += [codes[index] for index in indices]
    return np.concatenate(vectors), np.concatenate(labels)


# --- heads -------------------------------------------------------------------------------------


def attention(changes: dict[tuple[int, int], list[float]]) -> pa.Table:
    rows = [
        {"example_id": f"e{at}", "layer": layer, "head": head, "measure": measure, "value": value}
        for (layer, head), values in changes.items()
        for at, each in enumerate(values)
        for measure, value in (("jsd", each), ("cosine", 1.0), ("jsd_null_head", 1 - each))
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(SCHEMAS["attention"].items())))


def test_heads_are_ranked_by_their_mean_change() -> None:
    changes = {(1, 0): [0.1, 0.2], (1, 1): [0.9, 0.0], (2, 0): [0.3, 0.4], (2, 1): [0.1, 0.2]}
    found = ranked_heads(attention(changes), list(changes))
    assert found == [(1, 1), (2, 0), (1, 0), (2, 1)]
    with pytest.raises(UserError, match="changes of 4 heads; allowed: of all 6 of the model"):
        ranked_heads(attention(changes), [*changes, (3, 0), (3, 1)])


def test_sets_of_heads_have_their_share_from_the_right_end_and_are_nested() -> None:
    ranked = [(layer, head) for layer in range(1, 4) for head in range(4)]
    settings = Interventions(head_shares=[50, 1, 25], random_draws=2)
    sets = masked_heads(ranked, settings, "m")
    by_name: dict[tuple[str, int | None], list[Intervention]] = {}
    for each in sets:
        by_name.setdefault((each.name, each.draw), []).append(each)
        assert len(set(each.heads)) == {1: 1, 25: 3, 50: 6}[each.share or 0]
        assert set(each.heads) <= set(ranked)
    assert len(by_name) == 4
    for found in by_name.values():
        assert [each.share for each in found] == [1, 25, 50]
        assert set(found[0].heads) < set(found[1].heads) < set(found[2].heads)
    assert by_name["heads-most", None][1].heads == ranked[:3]
    assert set(by_name["heads-least", None][1].heads) == set(ranked[-3:])
    draws = [tuple(by_name["heads-random", draw][2].heads) for draw in (0, 1)]
    others = [
        tuple(each.heads)
        for each in masked_heads(ranked, settings, "another")
        if each.name == "heads-random" and each.share == 50
    ]
    assert len({*draws, *others}) == 4
    assert masked_heads(ranked, settings, "m") == sets


def test_random_heads_do_not_follow_the_ranking() -> None:
    settings = Interventions(head_shares=[50], random_draws=3)
    heads = [(1, head) for head in range(8)]
    for one, other in zip(
        masked_heads(heads, settings, "m"), masked_heads(heads[::-1], settings, "m"), strict=True
    ):
        assert (one.heads == other.heads) == (one.name == "heads-random")


# --- erasure -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["nli", "ner"])
def test_labels_go_with_their_words_over_windows(tiny: Tiny, kind: str) -> None:
    table = examples(kind, 12, 0)
    sequences, codes = inputs(tiny, table, kind, limit=10)
    names = LABELS[kind]
    expected = [table["label"].to_pylist()] if kind == "nli" else table["tags"].to_pylist()
    assert [names[code] for each in codes for code in each] == [t for ts in expected for t in ts]
    if kind == "ner":
        assert len(sequences) > 12
        assert [len(sequence.words) for sequence in sequences] == [len(each) for each in codes]


def test_permuted_labels_are_the_same_ones_in_another_order() -> None:
    codes = [np.asarray([0, 1, 2]), np.asarray([1]), np.asarray([2, 2, 0, 1])]
    found = permuted(codes, 0)
    assert [len(each) for each in found] == [3, 1, 4]
    assert sorted(np.concatenate(found)) == sorted(np.concatenate(codes))
    orders = {tuple(np.concatenate(permuted(codes, seed))) for seed in range(5)}
    assert len(orders) > 1
    np.testing.assert_array_equal(np.concatenate(permuted(codes, 0)), np.concatenate(found))


@pytest.mark.parametrize("kind", ["nli", "ner"])
def test_batches_give_the_eraser_of_all_vectors_at_once(tiny: Tiny, kind: str) -> None:
    """The library's own fit of what was captured, whatever the batches."""
    model, table = with_head(tiny, kind), examples(kind, 60, 0)
    erasers, _ = fitted(tiny, model, table, kind)
    vectors, labels = pooled(tiny, model, table, kind)
    one_hot = torch.eye(3, dtype=torch.float64)[torch.from_numpy(labels)]
    for layer, eraser in enumerate(erasers):
        whole = LeaceEraser.fit(torch.from_numpy(vectors[:, layer]).double(), one_hot, svd_tol=1e-6)
        assert eraser.P.dtype == torch.float64
        torch.testing.assert_close(eraser.P, whole.P, rtol=1e-6, atol=1e-8)
        assert torch.linalg.matrix_rank(eraser.P) == 32 - 2  # three classes


@pytest.mark.parametrize("kind", ["nli", "ner"])
def test_a_linear_probe_finds_the_planted_label_until_it_is_erased(tiny: Tiny, kind: str) -> None:
    """Pooled from states that were erased token by token, as the model's next block reads them."""
    model, table = with_head(tiny, kind), examples(kind, 120, 0)
    own, control = fitted(tiny, model, table, kind)

    def accuracy(layer: int, eraser: LeaceEraser | None) -> float:
        hooks = []
        if eraser is not None:
            hooks = [
                blocks(model)[layer].register_forward_hook(
                    lambda module, given, output: eraser(output.double()).float()
                )
            ]
        vectors, labels = pooled(tiny, model, table, kind)
        for hook in hooks:
            hook.remove()
        x = vectors[:, layer]
        x = (x - x.mean(axis=0)) / x.std(axis=0)
        # Weak regularisation: whatever is there linearly, it finds.
        found = LogisticRegression(C=10, max_iter=500).fit(x, labels)
        return float(found.score(x, labels))

    _, labels = pooled(tiny, model, table, kind)
    most = np.bincount(labels).max() / len(labels)
    for layer in range(2):
        assert accuracy(layer, None) > most + 0.3
        assert accuracy(layer, control[layer]) > most + 0.2
        # The best intercept alone; a few rows may be gained where no class has the majority.
        assert accuracy(layer, own[layer]) <= most + 0.02


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_labels_are_erased_all_the_same_and_one_is_refused(encoder: Tiny, count: int) -> None:
    model, table = with_head(encoder, "nli"), examples("nli", count, 0)
    if count == 1:
        with pytest.raises(UserError, match="1 label; allowed: 2 or more"):
            fitted(encoder, model, table, "nli")
        return
    for eraser in fitted(encoder, model, table, "nli")[0]:
        assert torch.isfinite(eraser.P).all()
        assert torch.linalg.matrix_rank(eraser.P) == 32 - (count - 1)


# --- passes ------------------------------------------------------------------------------------


@pytest.fixture(params=["nli", "ner"])
def case(tiny: Tiny, request: pytest.FixtureRequest) -> Iterator[tuple[Tiny, str, PreTrainedModel]]:
    """A model with the head of each kind."""
    return tiny, request.param, with_head(tiny, request.param)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_answers_are_those_of_passes_one_at_a_time(
    case: tuple[Tiny, str, PreTrainedModel], bfloat16: bool
) -> None:
    """With plain hooks, from the first layer on."""
    tiny, kind, model = case
    own, control = fitted(tiny, model, examples(kind, 40, 0), kind)
    interventions = [
        Intervention("heads-most", share=50, heads=[(2, 1), (1, 3)]),
        Intervention("heads-least", share=25, heads=[(2, 0)]),
        *(
            Intervention(name, layer=layer, eraser=eraser)
            for name, erasers in (("erased", own), ("erased-control", control))
            for layer, eraser in enumerate(erasers, start=1)
        ),
    ]
    sequences, _ = inputs(tiny, examples(kind, 6, 1), kind)
    batch = collate(sequences, tiny.special_tokens)
    real = batch["attention_mask"].bool()
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=bfloat16)
    with torch.inference_mode(), mixed:
        plain, *found = Intervened(model, interventions)(**batch)
        assert torch.equal(plain, model(**batch).logits)
        for intervention, logits in zip(interventions, found, strict=True):
            if intervention.eraser is None:
                with heads_masked(model, intervention.heads):
                    expected = model(**batch).logits
            else:
                matrix, mean = intervention.eraser.P, intervention.eraser.bias

                def erased(module: Any, given: Any, x: Any, m: Any = matrix, b: Any = mean) -> Any:
                    return ((x.double() - b) @ m.mT + b).to(x.dtype)

                block = blocks(model)[(intervention.layer or 0) - 1]
                hook = block.register_forward_hook(erased)
                expected = model(**batch).logits
                hook.remove()
            if kind == "ner":
                logits, expected = logits[real], expected[real]
            tolerance = {"rtol": 0.05, "atol": 0.05} if bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
            torch.testing.assert_close(logits, expected, **tolerance)
            assert (logits - (plain if kind == "nli" else plain[real])).abs().max() > 1e-3
        assert torch.equal(model(**batch).logits, plain)


def test_rows_say_what_was_changed_and_by_how_much() -> None:
    interventions = [
        Intervention("heads-random", share=25, draw=1, heads=[(1, 0)]),
        Intervention("erased", layer=2),
    ]
    scores = [{"a": 0.8, "b": 0.5}, {"a": 0.6, "b": 0.75}, {"a": 0.3, "b": 0.5}]
    rows = list(rows_of(interventions, scores))
    assert len(rows) == 6
    assert [row["change"] for row in rows] == pytest.approx([0, 0, -0.2, 0.25, -0.5, 0])
    assert rows[3] == {"intervention": "heads-random", "layer": None, "share": 25, "draw": 1,
                       "metric": "b", "value": 0.75, "change": 0.25}  # fmt: skip
    assert (rows[0]["intervention"], rows[4]["layer"]) == ("none", 2)


# --- the program -------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "merged"), [("nli", False), ("ner", False), ("ner", True)])
def test_the_program_scores_the_model_as_the_workflow_does(
    encoder: Tiny, tmp_path: Path, kind: str, merged: bool
) -> None:
    labels = LABELS[kind]
    outputs = ["O", "drug"] if merged else labels
    torch.manual_seed(11)
    model = load_with_head(encoder.folder, encoder.tokenizer, kind, outputs)
    model.save_pretrained(tmp_path / "model")
    encoder.tokenizer.save_pretrained(tmp_path / "model")
    tables = {"train": examples(kind, 60, 0), "test": examples(kind, 40, 1)}
    for split, table in tables.items():
        write_table(tmp_path / f"{split}.parquet", kind, table, {"labels": labels})
    ids = tables["train"].select(["example_id"]).slice(0, 50)
    write_table(tmp_path / "sample.parquet", "sample", ids)
    changes = {head: [0.1 * sum(head)] for head in all_heads(model)}
    write_table(tmp_path / "attention.parquet", "attention", attention(changes))
    arguments = [
        *("--task", "t", "--name", "m", "--variant", "f100-s1", "--kind", kind),
        *("--architecture", "encoder", "--model", tmp_path / "model", "--max-length", 64),
        *("--settings", json.dumps({"head_shares": [25, 50], "random_draws": 2})),
        *("--passes", PASSES.model_dump_json(), "--attention", tmp_path / "attention.parquet"),
        *("--data", tmp_path / "train.parquet", "--test", tmp_path / "test.parquet"),
        *("--sample", tmp_path / "sample.parquet"),
        *(["--merge-tags"] if merged else []),
    ]
    outs = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    for out in outs:
        run_program("intervene", *arguments, "--out", out)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    rows = read_table(outs[0], "intervention").to_pylist()
    assert len(rows) == 2 * (1 + 2 * 4 + 2 * 2)

    task, loaded = TaskLabels(kind, labels, merged), replace(encoder, model=model)
    columns = predict(loaded, tables["test"], task, PASSES)
    described = {"task": "t", "model": "m", "variant": "f100-s1", "kind_of_task": kind,
                 "labels": labels}  # fmt: skip
    write_table(tmp_path / "predictions.parquet", "predictions", columns, described)
    scored = score([read_predictions(tmp_path / "predictions.parquet")], Statistics(resamples=100))
    expected = {row["metric"]: row["value"] for row in scored["scores"]}
    assert {r["metric"]: r["value"] for r in rows if r["intervention"] == "none"} == expected
    assert any(row["change"] for row in rows)


def test_layers_are_erased_with_a_control_each(encoder: Tiny) -> None:
    loaded, sample = replace(encoder, model=with_head(encoder, "nli")), examples("nli", 30, 0)
    found = erased_layers(loaded, sample, TaskLabels("nli", LABELS["nli"]), 0, PASSES)
    assert [(each.name, each.layer) for each in found] == [
        ("erased", 1), ("erased", 2), ("erased-control", 1), ("erased-control", 2),
    ]  # fmt: skip
    with pytest.raises(UserError, match="label 'neutral'; allowed: contradiction, entailment"):
        erased_layers(loaded, sample, TaskLabels("nli", LABELS["nli"][:2]), 0, PASSES)
