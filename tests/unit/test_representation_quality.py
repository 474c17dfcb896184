"""Measures without labels against closed forms, loops over single texts, and planted texts."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from planted import PASSES, examples
from synthetic_tables import run_program
from tiny_models import TEXTS, Tiny, text_table

from layerscope.analysis.representation_quality import edits, passes
from layerscope.analysis.representation_quality.measures import (
    curvature,
    effective_rank,
    invariance,
    matrix_entropy,
)
from layerscope.config.quality import described_variants
from layerscope.core.applicability import reasons_of
from layerscope.core.errors import NotApplicableError
from layerscope.core.formats import read_table, write_table
from layerscope.models.inputs import encode_text


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


# --- measures ------------------------------------------------------------------------------------


def test_orthonormal_rows_have_all_the_entropy_and_rank_there_is() -> None:
    rows = 3 * torch.linalg.qr(normal(8, 8))[0][:5]
    assert float(matrix_entropy(rows)) == pytest.approx(1)
    assert effective_rank(rows) == pytest.approx(5)
    narrow = torch.linalg.qr(normal(9, 4))[0]  # nine vectors can be orthogonal in four directions
    assert float(matrix_entropy(narrow)) == pytest.approx(1)
    assert effective_rank(narrow) == pytest.approx(4)


def test_vectors_on_one_line_have_none() -> None:
    rows = torch.outer(normal(6), normal(10, seed=1))
    assert float(matrix_entropy(rows)) == pytest.approx(0, abs=1e-9)
    assert effective_rank(rows) == pytest.approx(1)
    assert math.isnan(float(matrix_entropy(torch.zeros(3, 2))))
    assert math.isnan(effective_rank(torch.zeros(3, 2)))


def test_two_planted_variances_have_the_entropy_of_their_shares() -> None:
    """Eigenvalues of the Gram matrix are squares of singular values."""
    rows = torch.diag(torch.tensor([2.0, 1.0, 0.0]))
    shares = np.array([4, 1]) / 5
    assert float(matrix_entropy(rows)) == pytest.approx(-(shares @ np.log(shares)) / math.log(3))
    shares = np.array([2, 1]) / 3
    assert effective_rank(rows) == pytest.approx(math.exp(-(shares @ np.log(shares))))


def test_what_does_not_count_changes_nothing() -> None:
    tokens = normal(1, 7, 4)
    real = torch.tensor([[False, True, True, True, True, False, False]])
    short = tokens[:, 1:5]
    every = torch.ones(1, 4, dtype=torch.bool)
    assert float(matrix_entropy(tokens, real)) == pytest.approx(float(matrix_entropy(short[0])))
    assert float(curvature(tokens, real)) == pytest.approx(float(curvature(short, every)))


def test_straight_lines_and_right_angles() -> None:
    steps = torch.arange(6.0).unsqueeze(1)
    line = steps * torch.tensor([1.0, -2.0, 0.5])
    zigzag = torch.cat([torch.ceil(steps / 2), torch.floor(steps / 2)], dim=1)
    back = torch.cat([steps % 2, 0 * steps], dim=1)
    found = [float(curvature(path[None], torch.ones(1, 6) > 0)) for path in (line, zigzag, back)]
    assert found == pytest.approx([0, 90, 180], abs=1e-6)


def test_angles_are_those_of_a_loop() -> None:
    tokens, real = normal(3, 6, 4), torch.ones(3, 6, dtype=torch.bool)
    real[1, 4:] = False
    real[2, 2:] = False  # one step has no angle
    tokens[0, 3] = tokens[0, 2]  # nor has one of length 0
    found = curvature(tokens, real)
    for row, length, counted in ((0, 6, (0, 3)), (1, 4, (0, 1))):
        steps = np.diff(tokens[row, :length].numpy(), axis=0)
        pairs = [(steps[at], steps[at + 1]) for at in counted]
        angles = [np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in pairs]
        assert float(found[row]) == pytest.approx(np.degrees(angles).mean())
    assert math.isnan(float(found[2]))


def test_a_collapsed_representation_is_not_invariant_and_an_unmoved_one_is() -> None:
    texts = normal(50, 20)
    noise = normal(50, 20, seed=1)
    same = float(invariance(texts, texts).mean())
    assert same == pytest.approx(1 + 1 / 49, abs=0.01)
    found = [float(invariance(texts, texts + s * noise).mean()) for s in (0.1, 0.5, 2)]
    assert [same, *found] == sorted([same, *found], reverse=True)
    # A common direction is not counted, and without differences there is nothing to recognise.
    assert float(invariance(texts + 100, texts + 100).mean()) == pytest.approx(same)
    assert float(invariance(torch.ones(9, 4), torch.ones(9, 4)).mean()) == 0
    assert abs(float(invariance(texts, noise).mean())) < 0.15
    assert torch.isnan(invariance(texts[:1], texts[:1])).all()


# --- edits ---------------------------------------------------------------------------------------


def test_an_edit_swaps_two_inner_letters_of_one_word() -> None:
    text = "An  aneurysm of\tthe aorta (IL-2)."
    changed = edits.edited(text)
    assert changed == edits.edited(text)
    assert changed is not None
    assert len(changed) == len(text)
    at = [place for place, letter in enumerate(text) if changed[place] != letter]
    assert len(at) == 2
    assert at[1] == at[0] + 1
    assert [changed[place] for place in at] == [text[place] for place in reversed(at)]
    start = max(text.rfind(space, 0, at[0]) for space in " \t") + 1
    assert at[0] > start
    words = tuple(TEXTS[0].split())
    swapped = edits.edited(words)
    assert swapped is not None
    assert sum(one != other for one, other in zip(words, swapped, strict=True)) == 1
    assert edits.edited("a eel ooo 1234 x") is None  # nothing to swap that would be seen


def test_texts_are_distinct_and_of_pairs_each_by_itself() -> None:
    table = examples("nli", 12, 0)
    texts = edits.texts_of(table, "nli")
    assert set(texts) == {*table["premise"].to_pylist(), *table["hypothesis"].to_pylist()}
    assert len(texts) == len(set(texts))
    drawn = edits.drawn(texts, 5)
    assert len(drawn) == 5
    assert drawn == edits.drawn(texts, 5)
    assert edits.texts_of(examples("ner", 3, 0), "ner")[0] == tuple(
        examples("ner", 3, 0)["tokens"].to_pylist()[0]
    )


# --- passes --------------------------------------------------------------------------------------


def test_values_are_those_of_each_text_alone_without_padding_and_frame(tiny: Tiny) -> None:
    """In batches of unlike lengths; of the states that transformers gives."""
    sequences, _ = encode_text(tiny.tokenizer, tiny.special_tokens, TEXTS, 64)
    assert len({len(sequence.ids) for sequence in sequences}) > 1
    settings = PASSES.model_copy(update={"batch_tokens": 64})
    found = passes.passed(tiny, sequences, settings, tokens=True)
    for row, sequence in enumerate(sequences):
        with torch.inference_mode():
            output = tiny.model(torch.tensor([sequence.ids]), output_hidden_states=True)
        counted = [place for place in range(len(sequence.ids)) if place not in sequence.special]
        for layer, states in enumerate(output.hidden_states):
            own = states[0, counted]
            np.testing.assert_allclose(found["vectors"][row, layer], own.mean(dim=0), atol=1e-5)
            expected = float(matrix_entropy(own))
            assert found["prompt_entropy"][row, layer] == pytest.approx(expected, abs=1e-5)
            angle = float(curvature(own[None], torch.ones(1, len(own)) > 0))
            assert found["curvature"][row, layer] == pytest.approx(angle, abs=1e-2)


@pytest.mark.parametrize("kind", ["nli", "ner"])
def test_every_layer_has_every_measure(encoder: Tiny, kind: str) -> None:
    rows, missing = passes.described_layers(encoder, examples(kind, 20, 0), kind, PASSES)
    assert not missing
    layers = encoder.model.config.num_hidden_layers + 1
    assert {(row["layer"], row["measure"]) for row in rows} == {
        (layer, measure) for layer in range(layers) for measure in passes.OF_TEXTS + passes.OF_ALL
    }
    assert {row["text"] is None for row in rows if row["measure"] in passes.OF_ALL} == {True}


def test_edits_that_the_model_does_not_see_do_not_count(
    encoder: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is missing is said; with a single text nothing is measured."""
    table = text_table([(text, "a") for text in TEXTS])
    monkeypatch.setattr(passes, "edited", str.upper)  # this tokenizer lower-cases
    rows, missing = passes.described_layers(encoder, table, "classification", PASSES)
    assert missing == {"invariance": "0 texts have an edit that the model sees"}
    assert {row["measure"] for row in rows} == {*passes.OF_ALL, "prompt_entropy", "curvature"}
    with pytest.raises(NotApplicableError, match="1 distinct texts; allowed: two or more"):
        passes.described_layers(encoder, table.slice(0, 1), "classification", PASSES)


def test_the_program_and_its_table(decoder: Tiny, tmp_path: Path) -> None:
    """Means over texts with intervals around them, the same bytes twice; or the reason why not."""
    reference = tmp_path / "validation.parquet"
    for count in (12, 1):
        table = examples("classification", count, 0)
        write_table(reference, "classification", table, {"labels": ["a", "b"]})
        sample = tmp_path / "sample.parquet"
        write_table(
            sample, "sample", [{"example_id": each} for each in table["example_id"].to_pylist()]
        )
        out = tmp_path / f"files{count}" / "t" / "m" / "pretrained.parquet"
        given = (
            "--variant", "pretrained", "--kind", "classification", "--architecture", "decoder",
            "--passes", PASSES.model_dump_json(), "--model", decoder.folder,
            "--reference", reference, "--sample", sample,
        )  # fmt: skip
        run_program("representation_quality", *given, "--out", out)
        first = out.read_bytes()
        run_program("representation_quality", *given, "--out", out)
        assert out.read_bytes() == first
        part = tmp_path / f"part{count}.parquet"
        settings = '{"resamples": 100, "confidence": 0.9, "seed": 0}'
        run_program(
            "make_table", "tables.representation_quality", out, "--settings", settings,
            "--out", f"representation_quality={part}",
        )  # fmt: skip
        rows = read_table(part, "representation_quality-table").to_pylist()
        if count == 1:
            assert rows == []
            assert reasons_of(out, "representation_quality") == {
                "representation quality": "1 distinct texts; allowed: two or more"
            }
            continue
        for row in rows:
            if row["measure"] in passes.OF_TEXTS:
                assert row["low"] <= row["value"] <= row["high"]
            else:
                assert row["low"] is row["high"] is None
            assert row["texts"] == count or (row["measure"] == "invariance" and row["texts"] > 1)
        file = read_table(out, "representation_quality").to_pandas()
        own = file[(file["measure"] == "curvature") & (file["layer"] == 1)]["value"].mean()
        (row,) = [r for r in rows if (r["measure"], r["layer"]) == ("curvature", 1)]
        assert row["value"] == pytest.approx(own)


def test_the_variants_are_those_before_and_after_the_largest_fraction() -> None:
    grid = SimpleNamespace(percentages=[0, 10, 100], seeds=[1, 2], random_seeds=[0])
    study = SimpleNamespace(variants=grid, analyses=SimpleNamespace(representation_quality=True))
    assert described_variants(study) == ["pretrained", "random-s0", "f100-s1", "f100-s2"]
    study.analyses.representation_quality = False
    assert described_variants(study) == []
