"""The head lens against planted maps, scikit-learn, the head by hand, and the predictions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted import LABELS, PASSES, examples, inputs, with_head
from sklearn import linear_model
from synthetic_tables import run_program
from tiny_models import Tiny

from layerscope.analysis.head_lens import lens as head_lens
from layerscope.analysis.head_lens.passes import Lensed, layer_vectors
from layerscope.analysis.head_lens.translators import (
    FOLDS,
    PENALTIES,
    Ridge,
    fit_translators,
    folds_of,
)
from layerscope.core.applicability import reasons_of
from layerscope.core.errors import NotApplicableError
from layerscope.core.formats import read_table, write_table
from layerscope.data.labels import TaskLabels
from layerscope.extraction.predictions import predict
from layerscope.models.batching import collate
from layerscope.models.inputs import labelled_position
from layerscope.models.load import load_with_head
from layerscope.models.parts import blocks
from layerscope.statistics import metrics

WIDTH = 8


def states(rows: int, seed: int) -> torch.Tensor:
    """Of unlike variances, and not around 0."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((rows, WIDTH)) * np.geomspace(0.1, 10, WIDTH) + 3)


def folds(rows: int) -> np.ndarray:
    return folds_of([f"g{row // 3}" for row in range(rows)], 0)


# --- maps --------------------------------------------------------------------------------------


def test_a_planted_map_is_recovered() -> None:
    rng, given = np.random.default_rng(1), states(90, 0)
    weight = torch.from_numpy(rng.standard_normal((WIDTH, WIDTH)))
    bias = torch.from_numpy(rng.standard_normal(WIDTH))
    last = given @ weight + bias
    ((fitted, penalty),) = fit_translators(given, [last - given], folds(90))
    found = fitted.beside_identity()
    assert penalty == min(PENALTIES)
    new = states(20, 2)
    torch.testing.assert_close(found(new), new @ weight + bias, rtol=1e-3, atol=1e-3)
    exact = Ridge(given).solve(last - given, 1e-14).beside_identity()
    torch.testing.assert_close(exact.weight, weight, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(exact.bias, bias, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("rows", [6, 90])
def test_maps_are_those_of_scikit_learn_and_their_errors_too(rows: int) -> None:
    """With fewer rows than dimensions and with more."""
    rng = np.random.default_rng(3)
    given, new = states(rows, 0), states(30, 2)
    changes, left = (torch.from_numpy(rng.standard_normal((n, WIDTH))) for n in (rows, 30))
    ridge = Ridge(given)
    errors = ridge.errors(changes, new, left)
    for penalty, error in zip(PENALTIES, errors, strict=True):
        reference = linear_model.Ridge(alpha=penalty * ridge.scale).fit(given, changes)
        found = ridge.solve(changes, penalty)
        torch.testing.assert_close(found.weight.numpy(), reference.coef_.T, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(found.bias.numpy(), reference.intercept_, rtol=1e-6, atol=1e-7)
        expected = ((reference.predict(new) - left.numpy()) ** 2).sum()
        assert float(error) == pytest.approx(expected, rel=1e-8)
    variance = float(given.var(dim=0, correction=0).mean())
    assert ridge.scale == pytest.approx(rows * variance)


def test_states_that_tell_nothing_give_the_mean() -> None:
    """Of an unrelated layer, of shuffled rows, and of a layer that is the same for all inputs."""
    last, rows = states(600, 0), 600
    vectors = torch.stack([states(rows, 1), torch.full((rows, WIDTH), 2.0), last]).float().numpy()
    groups = [str(row) for row in range(rows)]
    found = head_lens.translators_of(vectors, groups, "m", 0, torch.device("cpu"))
    spread, new = last.std(dim=0), states(200, 5)
    for own in (found["tuned"][0], found["shuffled"][0], found["shuffled"][2]):
        assert (own(new).std(dim=0) < 0.2 * spread).all()
        assert ((own(new).mean(dim=0) - last.mean(dim=0)).abs() < 0.2 * spread).all()
    constant = found["tuned"][1](torch.full((1, WIDTH), 2.0))
    torch.testing.assert_close(constant[0].double(), last.mean(dim=0), rtol=1e-4, atol=1e-4)
    assert torch.equal(found["tuned"][2](new.float()), new.float())  # the last layer itself


def test_folds_keep_groups_whole() -> None:
    groups = [f"g{number}" for number in range(40) for _ in range(1 + number % 4)]
    found = folds_of(groups, 0)
    assert len(set(zip(groups, found.tolist(), strict=True))) == 40
    counts = np.bincount(found)
    assert len(counts) == FOLDS
    assert abs(counts - len(groups) / FOLDS).max() <= 12
    assert found.tolist() != folds_of(groups, 1).tolist()
    given = states(4, 0)
    ((_, penalty),) = fit_translators(given, [given], folds_of(["a", "b", "a", "b"], 0))
    assert penalty == max(PENALTIES)


# --- answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("encoder", "nli"), ("decoder", "ner")])
def test_the_head_is_put_on_inner_layers(
    name: str, kind: str, request: pytest.FixtureRequest
) -> None:
    """BERT's pooler and classifier on the first token; GPT-2's last norm and head on the words."""
    tiny: Tiny = request.getfixturevalue(name)
    model: Any = with_head(tiny, kind)
    given = inputs(tiny, model, examples(kind, 5, 1), kind)
    loaded = replace(tiny, model=model)
    vectors = torch.from_numpy(layer_vectors(loaded, given, PASSES))
    translators = head_lens.translators_of(
        vectors.numpy(), [str(row) for row in range(vectors.shape[1])], "m", 0, torch.device("cpu")
    )
    with torch.no_grad():
        batch = collate(given.sequences, tiny.special_tokens)
        own, *found = Lensed(model, given.tokens, translators)(**batch)
        hidden = model(**batch, output_hidden_states=True).hidden_states
    for place, lens in enumerate(("plain", "tuned", "shuffled")):
        for layer, logits in enumerate(found[3 * place : 3 * place + 3]):
            state = vectors[layer]
            state = state if lens == "plain" else translators[lens][layer](state)
            with torch.no_grad():
                if name == "encoder":
                    expected = model.classifier(model.bert.pooler(state[:, None]))
                    torch.testing.assert_close(hidden[layer][:, 0], vectors[layer])
                else:
                    expected = model.classifier(model.transformer.ln_f(state))
                    logits = torch.stack(
                        [
                            logits[row, labelled_position(span, "decoder")]
                            for row, sequence in enumerate(given.sequences)
                            for span in sequence.words
                        ]
                    )
            torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(found[2], own)
    assert torch.equal(found[5], own)
    assert len(vectors) == len(blocks(model)) + 1


# --- the program -------------------------------------------------------------------------------


@pytest.fixture(params=[("encoder", "nli"), ("decoder", "ner"), ("encoder", "ner, merged")])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, ...]:
    """A saved model with a head, its task, test rows and the program's arguments."""
    name, kind = request.param[0], request.param[1].split(",")[0]
    tiny: Tiny = request.getfixturevalue(name)
    task = TaskLabels(kind, LABELS[kind], merged=request.param[1] != kind)
    torch.manual_seed(11)
    model = load_with_head(tiny.folder, tiny.tokenizer, kind, task.learned)
    model.save_pretrained(tmp_path / "model")
    tiny.tokenizer.save_pretrained(tmp_path / "model")
    tables = {"validation": examples(kind, 60, 0), "test": examples(kind, 30, 1)}
    for split, table in tables.items():
        write_table(tmp_path / f"{split}.parquet", kind, table, {"labels": task.names})
    ids = tables["validation"].select(["example_id"]).slice(0, 50)
    write_table(tmp_path / "sample.parquet", "sample", ids)
    arguments = [
        *("--task", "t", "--name", "m", "--variant", "f100-s1", "--kind", kind),
        *("--architecture", name, "--model", tmp_path / "model", "--max-length", 64),
        *("--settings", '{"examples": null, "seed": 0}', "--passes", PASSES.model_dump_json()),
        *("--reference", tmp_path / "validation.parquet", "--sample", tmp_path / "sample.parquet"),
        *("--test", tmp_path / "test.parquet", *(["--merge-tags"] if task.merged else [])),
    ]
    loaded = replace(tiny, model=model)
    return task, predict(loaded, tables["test"], task, PASSES), arguments


def scores_of(task: TaskLabels, columns: dict[str, Any]) -> dict[str, float]:
    given = (list(columns["label"]), columns["predicted"], list(columns["example_id"]))
    return metrics.values(metrics.metrics_of(task.kind, *given, task.names))


def test_the_last_layer_gives_the_predictions(case: tuple[Any, ...], tmp_path: Path) -> None:
    task, columns, arguments = case
    outs = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    for out in outs:
        run_program("head_lens", *arguments, "--out", out)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    expected = scores_of(task, columns)
    found: dict[tuple[str, int | None], dict[str, float]] = {}
    for row in read_table(outs[0], "head_lens").to_pylist():
        found.setdefault((row["lens"], row["layer"]), {})[row["metric"]] = row["value"]
    assert found.pop(("none", None)) == expected
    assert set(found) == {(lens, n) for lens in ("plain", "tuned", "shuffled") for n in range(3)}
    for lens in ("plain", "tuned"):
        assert found[lens, 2] == expected | {"agreement": 1.0, "kl": 0.0}
    assert all(each["kl"] > 0 for place, each in found.items() if place[1] != 2)
    assert found["tuned", 1]["kl"] < min(found["plain", 1]["kl"], found["shuffled", 1]["kl"])


def test_a_model_without_layers_has_its_own_scores_alone(
    case: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise NotApplicableError("no blocks")

    monkeypatch.setattr(head_lens, "lens", refuse)
    task, columns, arguments = case
    out = tmp_path / "one.parquet"
    run_program("head_lens", *arguments, "--out", out)
    rows = read_table(out, "head_lens").to_pylist()
    assert {row["metric"]: row["value"] for row in rows} == scores_of(task, columns)
    assert {(row["lens"], row["layer"]) for row in rows} == {("none", None)}
    assert reasons_of(out, "head_lens") == {"head lens": "no blocks"}


def test_no_more_rows_are_learned_from_than_memory_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head_lens, "MOST_ROWS", 20)
    for kind in ("nli", "ner"):
        table = examples(kind, 40, 0)
        found = head_lens.learned_rows(table, TaskLabels(kind, LABELS[kind]), 0)
        assert set(found["example_id"].to_pylist()) < set(table["example_id"].to_pylist())
        words = found["tokens"].to_pylist() if kind == "ner" else [[0]] * len(found)
        assert 12 <= sum(map(len, words)) <= 20
