"""Usable information: closed forms, planted and permuted labels, and how often intervals cover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from synthetic_tables import run_program

import usable_information as program
from layerscope.analysis.probing import mlp
from layerscope.analysis.probing.draws import draw_weights
from layerscope.analysis.probing.features import standardise
from layerscope.analysis.probing.information import Informed, informed, pointwise, told
from layerscope.analysis.probing.linear import fit_linear
from layerscope.config.statistics import Statistics
from layerscope.core.errors import UserError
from layerscope.core.formats import ActivationWriter, read_table
from layerscope.core.formats.pointwise import Pointwise, PointwiseFile
from layerscope.statistics.probe_intervals import Scorer
from layerscope.tables.usable_information import resampled

Array = np.ndarray


def normal(rows: int, width: int, distance: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Two normal classes, as often each, whose means lie so far from 0 along the first column."""
    labels = rng.integers(2, size=rows)
    vectors = rng.normal(size=(rows, width))
    vectors[:, 0] += distance * (2 * labels - 1)
    return vectors.astype(np.float32), labels


def exclusive(rows: int, width: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Two signs, of which each says nothing and both say all (XOR)."""
    signs = rng.integers(2, size=(rows, 2))
    vectors = 0.3 * rng.normal(size=(rows, width))
    vectors[:, :2] += 2 * signs - 1
    return vectors.astype(np.float32), signs[:, 0] ^ signs[:, 1]


def bits(train: tuple[Array, Array], test: tuple[Array, Array], **options: Any) -> Any:
    (vectors, labels), (others, truth) = train, test
    groups = [f"g{row}" for row in range(len(labels))]
    return informed(vectors, labels, groups, others, truth, 2, **options)


def mean(found: Informed) -> float:
    return float(found.pointwise.mean())


def mutual_information(distance: float) -> float:
    """Of two normal classes, in bits: the entropy of the mixture less that of a class."""

    def density(x: float) -> float:
        mixed = (norm.pdf(x - distance) + norm.pdf(x + distance)) / 2
        return float(-mixed * np.log2(mixed))

    return quad(density, -12, 12)[0] - 0.5 * np.log2(2 * np.pi * np.e)


@pytest.mark.parametrize("distance", [0.5, pytest.param(1.5, marks=pytest.mark.slow)])
def test_linear_predictors_use_all_that_normal_classes_tell(distance: float) -> None:
    """The Bayes predictor is linear; perceptrons lose a little to what they learn of chance."""
    rng = np.random.default_rng(0)
    found = bits(normal(500, 2, distance, rng), normal(10_000, 2, distance, rng), draws=0)
    known = mutual_information(distance)
    assert mean(found["linear"]) == pytest.approx(known, abs=0.02)
    assert known - 0.05 < mean(found["mlp"]) < known + 0.02


def test_perceptrons_use_what_no_linear_predictor_can() -> None:
    rng = np.random.default_rng(1)
    found = bits(exclusive(250, 4, rng), exclusive(500, 4, rng), draws=2)
    assert abs(mean(found["linear"])) < 0.03
    assert mean(found["mlp"]) > 0.95
    assert min(found["mlp"].draws) > 0.9
    assert found["mlp"].permuted < 0.03


@pytest.mark.parametrize("width", [4, 60])
def test_permuted_labels_and_noise_are_of_no_use(width: int) -> None:
    """Nothing is found, within the interval; nor does what is learned by chance cost much."""
    rng = np.random.default_rng(2)
    (vectors, labels), (others, truth) = normal(150, width, 0, rng), normal(400, width, 0, rng)
    scorer = Scorer(Statistics(resamples=200, confidence=0.95, seed=0))
    for found in bits((vectors, labels), (others, truth), draws=3).values():
        assert -0.15 < found.permuted < 0.02
        block = Pointwise(("v", "f"), {"group_id": list(range(400))}, found.pointwise[:, None])
        ((value, low, _),) = scorer.ends([resampled(block, np.array([found.draws]).T, scorer)])
        assert low <= 0
        assert value > -0.15


def test_bits_of_a_row_by_hand() -> None:
    """Twice as likely as without vectors: one bit more; half as likely: one less."""
    found = pointwise([[0.5, 0.5], [0.125, 0.875]], np.array([0.25, 0.75]), np.array([0, 0]))
    assert found.tolist() == [1.0, -1.0]
    assert found.dtype == np.float32


def test_a_single_class_or_few_groups_leave_nothing_to_learn() -> None:
    rng = np.random.default_rng(3)
    vectors, labels = normal(30, 5, 2.0, rng)
    others, truth = normal(20, 5, 2.0, rng)
    names = [f"g{row}" for row in range(30)]
    for found in informed(vectors, np.zeros(30, int), names, others, truth, 2).values():
        assert found.pointwise == pytest.approx(np.zeros(20), abs=0.05)
    alike = informed(vectors, labels, ["one"] * 15 + ["two"] * 15, others, truth, 2, 2)
    assert alike["mlp"].pointwise == pytest.approx(np.zeros(20), abs=0.05)
    assert alike["linear"].pointwise == pytest.approx(np.zeros(20), abs=0.05)


def test_gradients_are_those_of_the_loss_and_rows_count_by_weight() -> None:
    """Against differences of the loss; nothing is learned from what does not count."""
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(30, 4)).astype(np.float32)
    labels, weights = rng.integers(3, size=(2, 30)), rng.integers(3, size=(2, 30))
    trained = mlp.Perceptrons(vectors, labels, weights.astype(np.float32), 3, [0.1, 0.01], [0, 1])
    for _ in trained.train(3):
        pass
    trained.flat[:] = trained.flat.astype(np.float16)  # so that differences are exact
    gradient = trained.gradient(np.arange(30))

    def loss() -> float:
        inner, _, outer, _ = trained.parameters
        shares = trained.shares(vectors).astype(np.float64)
        told = -np.log(np.take_along_axis(shares, labels[:, :, None], axis=2)[:, :, 0])
        fits = (told * weights).sum(axis=1) / weights.sum(axis=1)
        sides = inner.reshape(4, 2, mlp.HIDDEN)
        sizes = [(sides[:, p] ** 2).sum() + (outer[p] ** 2).sum() for p in range(2)]
        return float(fits.sum() + 0.05 * sizes[0] + 0.005 * sizes[1])

    for place in rng.choice(len(gradient), 60, replace=False):
        ends = []
        for step in (1e-2, -1e-2):
            trained.flat[place] += step
            ends.append(loss())
            trained.flat[place] -= step
        assert (ends[0] - ends[1]) / 2e-2 == pytest.approx(gradient[place], abs=2e-3)
    weights[:, :10] = 0
    trained.weights = weights.astype(np.float32)
    alike = trained.gradient(np.arange(10, 30))
    assert trained.gradient(np.arange(30)) == pytest.approx(alike, abs=1e-6)


def test_no_group_is_learned_from_and_held_out() -> None:
    """Pairs of like rows: alone, each would give its fellow away, and more would be learned."""
    rng = np.random.default_rng(5)
    vectors, labels = (
        rng.normal(size=(60, 40)).repeat(2, axis=0),
        rng.integers(2, size=60).repeat(2),
    )
    vectors = vectors.astype(np.float32)
    others, truth = normal(500, 40, 0, rng)
    found = {
        pairs: informed(vectors, labels, [f"g{row // pairs}" for row in range(120)],
                        others, truth, 2, 0)
        for pairs in (1, 2)
    }  # fmt: skip
    for family in ("linear", "mlp"):
        assert mean(found[2][family]) > mean(found[1][family]) + 0.2
        assert mean(found[2][family]) > -0.15


@pytest.mark.slow
@pytest.mark.parametrize("distance", [0.8, 0.0])
@pytest.mark.parametrize("gain", [False, True])
def test_intervals_cover_the_information_of_further_rows_and_examples(
    distance: float, gain: bool
) -> None:
    """Studies that draw 60 rows to learn from and 120 to test on; the true one is their mean.

    A gain is of three seeds, whose vectors are drawn apart and say more than those before, or as
    little. Vectors that say nothing have an interval above 0 in few studies.
    """
    rng = np.random.default_rng(6)
    scorer = Scorer(Statistics(resamples=200, confidence=0.95, seed=0))
    groups = [f"g{row}" for row in range(60)]
    drawn = [None, None, *draw_weights(groups, 5)]

    def information(apart: float) -> Any:
        vectors, others = (
            rng.normal(size=(len(codes), 4)) + np.outer(2 * codes - 1, [apart, 0, 0, 0])
            for codes in (labels, truth)
        )
        scaled, tested = standardise(vectors, others)
        lines = fit_linear(scaled, [labels] * 2, None, 200, groups, 5)
        shares = (line.shares(tested, 2) for line in lines)
        frequent = [mlp.frequencies(labels, 2, weights) for weights in drawn]
        found = told(shares, frequent, truth, 60)
        block = Pointwise(("v", "f"), {"group_id": list(range(120))}, found.pointwise[:, None])
        return resampled(block, np.array([found.draws]).T, scorer)

    ends = []
    for _ in range(50):
        labels, truth = rng.integers(2, size=60), rng.integers(2, size=120)
        studied = [information(distance)]
        if gain:
            before = studied.pop()
            apart = distance + 0.3 * (distance > 0) + 0.1 * rng.normal(size=3)
            studied = [information(each) - before for each in apart]
        (own,) = scorer.ends(studied, (-np.inf, np.inf))
        ends.append(own)
    value, low, high = np.transpose(ends)
    if distance:
        assert np.mean((value.mean() < low) | (high < value.mean())) < 0.08
    else:
        assert np.mean((low > 0) | (gain & (high < 0))) < 0.05


TAGS = ["O", "B-DNA", "I-DNA"]


def write_words(folder: Path, split: str, seed: int) -> None:
    """Sentences of six words with an entity of two; the tag stands in the second layer."""
    rng = np.random.default_rng(seed)
    tags = np.tile([0, 1, 2, 0, 0, 0], 25)
    vectors = rng.normal(size=(150, 2, 4))
    vectors[:, 1, :3] += 3 * np.eye(3)[tags]
    names = [f"{split}{row // 6}" for row in range(150)]
    keys = {"example_id": names, "group_id": names, "word_index": list(range(6)) * 25,
            "word": [""] * 150, "label": [TAGS[tag] for tag in tags]}  # fmt: skip
    known = {"task": "t", "model": "m", "variant": "pretrained", "model_sha256": "0"}
    known |= {"view": "word", "labels": TAGS}
    path = folder / "word" / f"{split}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    with ActivationWriter(path, 2, 4, "float16", known) as writer:
        writer.write(keys, vectors)


@pytest.mark.parametrize("merge", [False, True])
def test_the_program_finds_a_planted_layer_and_keeps_bits_of_each_word(
    tmp_path: Path, merge: bool
) -> None:
    for seed, split in enumerate(("validation", "test")):
        write_words(tmp_path / "activations", split, seed)
    table, file = tmp_path / "made.parquet", tmp_path / "made.pointwise.parquet"
    run_program(
        "usable_information", "--activations", tmp_path / "activations", "--views", "word",
        "--probe-rows", "validation", *(["--merge-tags"] if merge else []),
        "--out", table, "--out-pointwise", file,
    )  # fmt: skip
    assert program.main
    rows = read_table(table, "usable_information").to_pandas()
    whole = rows[(rows["labels"] == "true") & (rows["draw"] == 0)]
    by_place = whole.set_index(["family", "layer"])["value"]
    entropy = 0.918 if merge else 1.252  # of thirds; of two thirds and two sixths
    stored = PointwiseFile(file)
    for family in ("linear", "mlp"):
        assert -0.2 < by_place[family, 0] < 0.05
        assert 0.6 * entropy < by_place[family, 1] < entropy
        block = stored.block(("word", family))
        assert block.bits.mean(axis=0) == pytest.approx(by_place[family].to_numpy(), abs=1e-6)
        assert np.mean(block.keys["label_bits"]) == pytest.approx(entropy, abs=0.01)
        assert block.keys["word_index"][:7] == [0, 1, 2, 3, 4, 5, 0]
        assert block.keys["label"][1] == ("DNA" if merge else "B-DNA")
        assert (block.bits.max(axis=1) < np.array(block.keys["label_bits"]) + 1e-3).all()
    assert sorted(set(rows["draw"])) == list(range(6))
    assert (rows.loc[rows["labels"] == "permuted", "value"] < 0.02).all()


def test_files_of_different_models_are_refused(tmp_path: Path) -> None:
    write_words(tmp_path, "validation", 0)
    with pytest.raises(UserError, match="allowed"):
        PointwiseFile(tmp_path / "word" / "validation.parquet")


def test_the_table_has_means_over_seeds_and_gains_of_the_same_examples(
    made_tables: dict[str, Path],
) -> None:
    table = pd.read_parquet(made_tables["usable_information"])
    own = table[(table["task"] == "one-nli") & (table["model"] == "minilm")]
    own = own[(own["view"] == "joint") & (own["family"] == "mlp")].set_index(["variant", "layer"])
    folder = made_tables["usable_information"].parents[1] / "usable_information/one-nli/minilm"
    stored = {
        variant: PointwiseFile(folder / f"{variant}.pointwise.parquet").block(("joint", "mlp")).bits
        for variant in ("pretrained", "f100-s1", "f100-s2", "random-s0", "random-s5")
    }
    for variant, found in stored.items():
        assert own.loc[variant, "value"].to_numpy() == pytest.approx(found.mean(axis=0), abs=1e-6)
    tuned = (stored["f100-s1"] + stored["f100-s2"]) / 2
    gained = (tuned - stored["pretrained"]).mean(axis=0)
    assert own.loc["f100", "gain"].to_numpy() == pytest.approx(gained, abs=1e-6)
    assert own.loc["random", "gain"].isna().all()
    assert own.loc[["f100", "random"], "seed"].isna().all()
    assert (own["low"] < own["value"]).all()
    assert (own["value"] < own["high"]).all()
    assert set(own["permuted"]) == {-0.01}
    assert set(own["label_entropy"]) == {1.0}
    assert own.loc["pretrained", "depth"].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
