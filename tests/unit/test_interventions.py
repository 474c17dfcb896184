"""Interventions against planted labels, the library by hand, and passes one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from planted import LABELS, PASSES, examples, fitted, inputs, with_head
from sklearn.linear_model import LogisticRegression
from synthetic_tables import run_program
from tiny_models import Tiny
from transformers import PreTrainedModel

from layerscope.analysis.interventions.erasure import (
    erased_layers,
    read_inputs,
)
from layerscope.analysis.interventions.heads import masked_heads, mean_outputs, ranked_heads
from layerscope.analysis.interventions.passes import Checked, Intervened, Intervention, rows_of
from layerscope.analysis.interventions.scored import scored_examples
from layerscope.config.interventions import Interventions
from layerscope.config.statistics import Statistics
from layerscope.core.errors import UserError
from layerscope.core.formats import SCHEMAS, read_table, write_table
from layerscope.data.labels import TaskLabels
from layerscope.evaluation.prediction_files import read_predictions
from layerscope.evaluation.scoring import score
from layerscope.extraction.predictions import predict
from layerscope.models.batching import collate
from layerscope.models.hooks import all_heads, heads_masked
from layerscope.models.load import load_with_head
from layerscope.models.parts import blocks, head_projections

# --- heads -------------------------------------------------------------------------------------


def attention(changes: dict[tuple[int, int], list[float]]) -> pa.Table:
    rows = [
        {"example_id": f"e{at}", "layer": layer, "head": head, "measure": measure, "value": value}
        for (layer, head), values in changes.items()
        for at, each in enumerate(values)
        for measure, value in (("jsd", each), ("cosine", 1.0), ("jsd_null_head", 1 - each))
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(SCHEMAS["attention"].items())))


def test_heads_are_ranked_by_their_mean_change_within_layers() -> None:
    changes = {(1, 0): [0.1, 0.2], (1, 1): [0.9, 0.0], (2, 0): [0.3, 0.4], (2, 1): [0.9, 0.8]}
    found = ranked_heads(attention(changes), list(changes))
    assert found == {1: [(1, 1), (1, 0)], 2: [(2, 1), (2, 0)]}
    with pytest.raises(UserError, match="changes of 4 heads; allowed: of all 6 of the model"):
        ranked_heads(attention(changes), [*changes, (3, 0), (3, 1)])


RANKED = {layer: [(layer, head) for head in range(8)] for layer in range(1, 4)}
MEANS = [torch.zeros(32)] * 3


def test_sets_of_heads_take_as_many_of_each_layer_and_are_nested() -> None:
    settings = Interventions(head_shares=[50, 1, 25], random_draws=2)
    sets = masked_heads(RANKED, settings, "m", MEANS)
    by_name: dict[tuple[str, str | None, int | None], list[Intervention]] = {}
    for each in sets:
        by_name.setdefault((each.name, each.ablation, each.draw), []).append(each)
        of_layer = {1: 1, 25: 2, 50: 4}[each.share or 0]
        counts = np.bincount([layer for layer, _ in set(each.heads)], minlength=4)
        assert counts.tolist() == [0, of_layer, of_layer, of_layer]
    assert len(by_name) == 2 * 4
    for (name, ablation, draw), found in by_name.items():
        if ablation == "mean":
            (zero,) = [each for each in by_name[name, "zero", draw] if each.share == 25]
            assert found == [zero._replace(ablation="mean", values=MEANS)]
            continue
        assert [each.share for each in found] == [1, 25, 50]
        assert set(found[0].heads) < set(found[1].heads) < set(found[2].heads)
    assert by_name["heads-most", "zero", None][0].heads == [(1, 0), (2, 0), (3, 0)]
    assert by_name["heads-least", "zero", None][0].heads == [(1, 7), (2, 7), (3, 7)]
    draws = [tuple(by_name["heads-random", "zero", draw][2].heads) for draw in (0, 1)]
    others = [
        tuple(each.heads)
        for each in masked_heads(RANKED, settings, "another", MEANS)
        if each.name == "heads-random" and (each.share, each.ablation) == (50, "zero")
    ]
    assert len({*draws, *others}) == 4
    assert masked_heads(RANKED, settings, "m", MEANS) == sets


def test_random_heads_do_not_follow_the_ranking() -> None:
    settings = Interventions(head_shares=[50], random_draws=3)
    turned = {layer: heads[::-1] for layer, heads in RANKED.items()}
    for one, other in zip(
        masked_heads(RANKED, settings, "m", MEANS),
        masked_heads(turned, settings, "m", MEANS),
        strict=True,
    ):
        assert (one.heads == other.heads) == (one.name == "heads-random")


def test_means_of_heads_are_those_of_all_real_tokens(tiny: Tiny) -> None:
    model = with_head(tiny, "nli")
    given = inputs(tiny, model, examples("nli", 7, 0), "nli")
    means = mean_outputs(replace(tiny, model=model), given.sequences, PASSES)
    rows: list[torch.Tensor] = []
    projection = head_projections(model)[1]
    hook = projection.register_forward_pre_hook(lambda module, x: rows.append(x[0][0]))
    with torch.no_grad():
        for sequence in given.sequences:  # alone, so that there is no padding
            model(**collate([sequence], tiny.special_tokens))
    hook.remove()
    expected = torch.cat(rows).double().mean(dim=0)
    torch.testing.assert_close(means[1], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("ablation", ["zero", "mean"])
def test_the_answer_falls_with_the_head_that_carries_the_label(
    encoder: Tiny, ablation: str
) -> None:
    """Planted: only one head of the last layer takes anything from words to the first token."""
    model, carrier, own = with_head(encoder, "nli"), (2, 1), slice(8, 16)
    with torch.no_grad():
        one, two = (layer.attention.output.dense for layer in model.base_model.encoder.layer)
        one.weight.zero_()
        two.weight[:, : own.start] = 0
        two.weight[:, own.stop :] = 0
        two.weight.mul_(50)
    given = inputs(encoder, model, examples("nli", 120, 0), "nli")
    loaded = replace(encoder, model=model)
    means = mean_outputs(loaded, given.sequences, PASSES) if ablation == "mean" else None
    masked = [
        Intervention("heads-most", heads=[carrier], values=means),
        Intervention(
            "heads-least", ablation=ablation, heads=[(1, 1), (2, 0), (2, 2)], values=means
        ),
    ]
    with torch.no_grad():
        batch = collate(given.sequences, encoder.special_tokens)
        plain, most, least = (each.numpy() for each in Intervened(model, masked)(**batch))
    np.testing.assert_allclose(least, plain, atol=1e-5)
    np.testing.assert_allclose(most, most[:1].repeat(120, axis=0), atol=1e-5)
    x, labels = (plain - plain.mean(axis=0)) / plain.std(axis=0), np.concatenate(given.codes)
    assert LogisticRegression(C=100, max_iter=500).fit(x, labels).score(x, labels) > 1 / 3 + 0.2


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
    sequences, _, tokens = inputs(tiny, model, examples(kind, 6, 1), kind)
    values = [torch.full((32,), 0.5), torch.full((32,), -0.5)]
    interventions = [
        Intervention("heads-most", share=50, heads=[(2, 1), (1, 3)]),
        Intervention("heads-least", share=25, heads=[(2, 0)], values=values),
        *(
            Intervention(name, layer=layer, eraser=eraser, tokens=edited)
            for name, found in (("erased", own), ("erased-control", control))
            for place, edited in (("read", tokens), ("mean", "all"))
            for layer, eraser in enumerate(found[place], start=1)
        ),
    ]
    batch = collate(sequences, tiny.special_tokens)
    real = batch["attention_mask"].bool()
    ends = {"first": torch.zeros(len(real), dtype=torch.int64), "last": real.sum(dim=1) - 1}
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=bfloat16)
    with torch.inference_mode(), mixed:
        plain, *found = Intervened(model, interventions)(**batch)
        assert torch.equal(plain, model(**batch).logits)
        for intervention, logits in zip(interventions, found, strict=True):
            if intervention.eraser is None:
                with heads_masked(model, intervention.heads, intervention.values):
                    expected = model(**batch).logits
            else:
                matrix, mean = intervention.eraser.P, intervention.eraser.bias
                at = ends.get(intervention.tokens)

                def erased(
                    module: Any, given: Any, x: Any, m: Any = matrix, b: Any = mean, at: Any = at
                ) -> Any:
                    moved = ((x.double() - b) @ m.mT + b).to(x.dtype)
                    if at is None:
                        return moved
                    found, rows = x.clone(), torch.arange(len(x))
                    found[rows, at] = moved[rows, at]
                    return found

                block = blocks(model)[(intervention.layer or 0) - 1]
                hook = block.register_forward_hook(erased)
                expected = model(**batch).logits
                hook.remove()
            if kind == "ner":
                logits, expected = logits[real], expected[real]
            tolerance = {"rtol": 0.05, "atol": 0.05} if bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
            torch.testing.assert_close(logits, expected, **tolerance)
            if intervention.tokens == "all":
                assert (logits - (plain if kind == "nli" else plain[real])).abs().max() > 1e-3
        assert torch.equal(model(**batch).logits, plain)


def test_rows_say_what_was_changed_and_by_how_much() -> None:
    interventions = [
        Intervention("heads-random", ablation="zero", share=25, draw=1, heads=[(1, 0)]),
        Intervention("erased", fitted="read", layer=2),
    ]
    scores = [{"a": 0.8, "b": 0.5}, {"a": 0.6, "b": 0.75}, {"a": 0.3, "b": 0.5}]
    checked = Checked(0.4, {"a": 0.9}, {"a": 0.35}, {"a": 0.3})
    rows = list(rows_of(interventions, scores, [None, checked]))
    assert len(rows) == 6
    assert [row["change"] for row in rows] == pytest.approx([0, 0, -0.2, 0.25, -0.5, 0])
    unknown = dict.fromkeys(["fitted", "layer", "edit", "probe", "probe_before", "probe_chance"])
    assert rows[3] == unknown | {
        "intervention": "heads-random", "ablation": "zero", "share": 25, "draw": 1, "metric": "b",
        "value": 0.75, "change": 0.25,
    }  # fmt: skip
    assert (rows[0]["intervention"], rows[4]["layer"], rows[4]["fitted"]) == ("none", 2, "read")
    names = ("edit", "probe_before", "probe", "probe_chance")
    assert [rows[4][name] for name in names] == [0.4, 0.9, 0.35, 0.3]
    assert [rows[5][name] for name in names] == [0.4, None, None, None]


# --- the program -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "merged"),
    [("classification", False), ("ner", False), ("ner", True)],
)
def test_the_program_scores_the_model_as_the_workflow_does(
    encoder: Tiny, tmp_path: Path, kind: str, merged: bool
) -> None:
    labels = LABELS[kind]
    outputs = ["O", "drug"] if merged else labels
    torch.manual_seed(11)
    model = load_with_head(encoder.folder, encoder.tokenizer, kind, outputs)
    model.save_pretrained(tmp_path / "model")
    encoder.tokenizer.save_pretrained(tmp_path / "model")
    tables = {"validation": examples(kind, 60, 0), "test": examples(kind, 40, 1)}
    for split, table in tables.items():
        write_table(tmp_path / f"{split}.parquet", kind, table, {"labels": labels})
    ids = tables["validation"].select(["example_id"]).slice(0, 50)
    write_table(tmp_path / "sample.parquet", "sample", ids)
    changes = {head: [0.1 * sum(head)] for head in all_heads(model)}
    write_table(tmp_path / "attention.parquet", "attention", attention(changes))
    settings = Interventions(
        head_shares=[25, 50], random_draws=2, examples=None if kind == "ner" else 20
    )
    arguments = [
        *("--task", "t", "--name", "m", "--variant", "f100-s1", "--kind", kind),
        *("--architecture", "encoder", "--model", tmp_path / "model", "--max-length", 64),
        *("--settings", settings.model_dump_json()),
        *("--passes", PASSES.model_dump_json(), "--attention", tmp_path / "attention.parquet"),
        *("--reference", tmp_path / "validation.parquet", "--sample", tmp_path / "sample.parquet"),
        *("--test", tmp_path / "test.parquet"),
        *(["--merge-tags"] if merged else []),
    ]
    outs = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    for out in outs:
        run_program("intervene", *arguments, "--out", out)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    rows = read_table(outs[0], "intervention").to_pylist()
    assert len(rows) == 2 * (1 + 2 * 4 + 4 + 2 * 2 * 2)
    assert all(0 <= r["probe"] <= 1 for r in rows if r["fitted"])

    task, loaded = TaskLabels(kind, labels, merged), replace(encoder, model=model)
    scored_rows = scored_examples(tables["test"], task.kind, settings)
    columns = predict(loaded, scored_rows, task, PASSES)
    described = {"task": "t", "model": "m", "variant": "f100-s1", "kind_of_task": kind,
                 "labels": labels}  # fmt: skip
    write_table(tmp_path / "predictions.parquet", "predictions", columns, described)
    scored = score([read_predictions(tmp_path / "predictions.parquet")], Statistics(resamples=100))
    expected = {row["metric"]: row["value"] for row in scored["scores"]}
    assert {r["metric"]: r["value"] for r in rows if r["intervention"] == "none"} == expected
    assert any(row["change"] for row in rows)


def test_the_examples_scored_are_whole_groups_of_the_test_rows_in_their_order() -> None:
    table = examples("nli", 60, 1)
    groups = [f"g{place // 3}" for place in range(len(table))]
    table = table.set_column(table.schema.get_field_index("group_id"), "group_id", [groups])
    found = scored_examples(table, "nli", Interventions(examples=20))
    rows = found.to_pylist()
    assert 18 <= len(rows) <= 20
    assert rows == [
        row for row in table.to_pylist() if row["group_id"] in {*found["group_id"].to_pylist()}
    ]
    assert scored_examples(table, "nli", Interventions()) == table
    with pytest.raises(
        UserError, match=r"interventions\.examples 2: too small for the first group drawn, 'g"
    ):
        scored_examples(table, "nli", Interventions(examples=2))


def test_layers_are_erased_in_each_place_with_a_control_each(encoder: Tiny) -> None:
    loaded, rows = replace(encoder, model=with_head(encoder, "nli")), examples("nli", 30, 0)
    given = inputs(encoder, loaded.model, rows, "nli")
    found = erased_layers(loaded, given, TaskLabels("nli", LABELS["nli"]), "m", 0, PASSES)
    assert [(each.name, each.fitted, each.tokens, each.layer) for each in found] == [
        (name, place, tokens, layer)
        for name in ("erased", "erased-control")
        for place, tokens in (("read", "first"), ("mean", "all"))
        for layer in (1, 2)
    ]
    with pytest.raises(UserError, match="label 'neutral'; allowed: contradiction, entailment"):
        read_inputs(loaded, rows, TaskLabels("nli", LABELS["nli"][:2]), PASSES)
    with pytest.raises(UserError, match="reference rows: none; allowed: one or more"):
        read_inputs(loaded, rows.slice(0, 0), TaskLabels("nli", LABELS["nli"]), PASSES)
