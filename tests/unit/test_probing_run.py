"""Probes on files of activations: a planted signal is found in its layers and in no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probe as probe_program
from layerscope.analysis.probing.run import probe_layers as probe_of_layers
from layerscope.config.probes import BilstmCrfProbe, LinearProbe, Probe, SvmProbe
from layerscope.core.errors import UserError
from layerscope.core.formats import ActivationWriter, file_metadata, read_keys, read_table

LAYERS = 3
PLANTED = 1
CLASSES = ["entailment", "neutral", "contradiction"]
TAGS = ["O", "B-DNA", "I-DNA"]

LINEAR = LinearProbe(kind="linear", inverse_regularisation=0.1)
SVM = SvmProbe(kind="svm")
BILSTM = BilstmCrfProbe(
    kind="bilstm-crf", hidden=8, epochs=8, batch_size=8, learning_rate=0.05, seeds=[0, 1]
)


def probe_layers(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
    """Rows of all layers."""
    return [row for probed in probe_of_layers(*arguments, **options) for row in probed.rows()]


def write(path: Path, rows: dict[str, list[Any]], vectors: np.ndarray, **metadata: Any) -> Path:
    described = {
        "task": "t",
        "model": "m",
        "variant": "pretrained",
        "model_sha256": "0",
        **metadata,
    }
    size = len(rows["label"])
    keys = {"word_index": [0] * size, "word": [""] * size, "group_id": rows["example_id"], **rows}
    with ActivationWriter(path, LAYERS, vectors.shape[2], "float16", described) as writer:
        writer.write(keys, vectors)
    return path


def write_pairs(path: Path, seed: int, shuffle: bool = False, view: str = "separate") -> Path:
    """Pairs whose class stands in the second half of the vectors of the planted layer."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=240)
    vectors = rng.normal(size=(240, LAYERS, 12))
    shown = rng.permutation(labels) if shuffle else labels
    vectors[:, PLANTED, 6:] += 2 * np.random.default_rng(9).normal(size=(3, 6))[shown]
    rows = {"example_id": [f"e{i}" for i in range(240)], "label": [CLASSES[c] for c in labels]}
    return write(path, rows, vectors, view=view, labels=CLASSES)


def write_words(path: Path, seed: int, shuffle: bool = False) -> Path:
    """Sentences of seven words with one entity of two words, marked in the planted layer."""
    rng = np.random.default_rng(seed)
    labels = []
    for _ in range(80):
        start = int(rng.integers(0, 6))
        labels += [0] * start + [1, 2] + [0] * (5 - start)
    tags = np.asarray(labels)
    vectors = rng.normal(size=(len(tags), LAYERS, 8))
    shown = rng.permutation(tags) if shuffle else tags
    vectors[:, PLANTED, :3] += 5 * np.eye(3)[shown]
    rows = {
        "example_id": [f"s{i // 7}" for i in range(len(tags))],
        "label": [TAGS[c] for c in tags],
        "word": [f"w{i}" for i in rng.integers(50, size=len(tags))],
    }
    return write(path, rows, vectors, view="word", labels=TAGS)


def values(
    folder: Path, kind: str, probe: Probe, metric: str, shuffle: bool = False
) -> dict[str, list[float]]:
    """Values of a metric by view, layer after layer."""
    folder.mkdir(exist_ok=True)
    writer = write_pairs if kind == "nli" else write_words
    train = writer(folder / "train.parquet", 0, shuffle)
    test = writer(folder / "test.parquet", 1, shuffle)
    found: dict[str, list[float]] = {}
    for row in probe_layers(train, test, probe, kind):  # type: ignore[arg-type]
        if row["metric"] == metric:
            found.setdefault(row["view"], []).append(row["value"])
    return found


@pytest.mark.parametrize("probe", [LINEAR, SVM], ids=["linear", "svm"])
def test_nli_signal_is_found_where_it_was_planted(tmp_path: Path, probe: Probe) -> None:
    found = values(tmp_path, "nli", probe, "accuracy")
    further = ["combined"] if probe is LINEAR else []
    assert list(found) == ["separate", "premise", "hypothesis", *further]
    for view, layers in found.items():
        assert len(layers) == LAYERS
        for layer, accuracy in enumerate(layers):
            if layer == PLANTED and view != "premise":
                assert accuracy > 0.9
            else:
                assert abs(accuracy - 1 / 3) < 0.12


@pytest.mark.slow
@pytest.mark.parametrize("probe", [LINEAR, SVM, BILSTM], ids=["linear", "svm", "bilstm-crf"])
def test_draws_of_the_rows_have_answers_alone_and_find_the_signal_too(
    tmp_path: Path, probe: Probe
) -> None:
    kind = "nli" if probe is SVM else "ner"
    writer = write_pairs if kind == "nli" else write_words
    train, test = writer(tmp_path / "train.parquet", 0), writer(tmp_path / "test.parquet", 1)
    weak = {"inverse_regularisation": 10.0} if probe is LINEAR else {}
    probe = probe.model_copy(update={"row_draws": 2, **weak})
    found = list(probe_of_layers(train, test, probe, kind))
    names = CLASSES if kind == "nli" else TAGS
    truth = np.asarray([names.index(label) for label in read_keys(test)["label"]])
    by_place: dict[tuple[str, int, int], dict[int, np.ndarray]] = {}
    for each in found:
        by_place.setdefault(each[:3], {})[each.draw] = each.predicted
        assert bool(each.values) == (each.draw == 0)
    for (view, layer, _), answers in by_place.items():
        assert list(answers) == [0, 1, 2]
        for own in answers.values():
            there = layer == PLANTED and view != "premise"
            assert (np.mean(own == truth) > 0.85) == there
    differ = [len({own.tobytes() for own in answers.values()}) for answers in by_place.values()]
    assert max(differ) == 3


def write_near(path: Path, seed: int, shuffle: bool = False, view: str = "separate") -> Path:
    """Pairs whose class says how far premise and hypothesis are apart, in the planted layer."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=300)
    vectors = rng.normal(size=(300, LAYERS, 16))
    shown = rng.permutation(labels) if shuffle else labels
    apart = np.asarray([0.0, 1.0, 3.0])[shown][:, None] * rng.choice([-1, 1], size=(300, 8))
    vectors[:, PLANTED, 8:] = vectors[:, PLANTED, :8] + apart
    rows = {"example_id": [f"e{i}" for i in range(300)], "label": [CLASSES[c] for c in labels]}
    return write(path, rows, vectors, view=view, labels=CLASSES)


@pytest.mark.parametrize("ending", ["", "-last"])
def test_how_near_the_halves_are_is_found_by_combined_features_alone(
    tmp_path: Path, ending: str
) -> None:
    view = f"separate{ending}"
    paths = [write_near(tmp_path / name, seed, view=view) for seed, name in enumerate("ab")]
    found = {
        (row["view"], row["layer"]): row["value"]
        for row in probe_layers(*paths, LINEAR, "nli")
        if row["metric"] == "accuracy"
    }
    assert len(found) == 4 * LAYERS
    assert found[f"combined{ending}", PLANTED] > 0.95
    for place, accuracy in found.items():
        if place != (f"combined{ending}", PLANTED):
            assert abs(accuracy - 1 / 3) < 0.12, place


def test_how_near_the_halves_are_says_nothing_of_shuffled_labels(tmp_path: Path) -> None:
    paths = [write_near(tmp_path / name, seed, shuffle=True) for seed, name in enumerate("ab")]
    rows = [row for row in probe_layers(*paths, LINEAR, "nli") if row["metric"] == "accuracy"]
    assert {row["view"] for row in rows} == {"separate", "premise", "hypothesis", "combined"}
    assert max(abs(row["value"] - 1 / 3) for row in rows) < 0.12


def test_combined_features_can_be_left_out(tmp_path: Path) -> None:
    probe = LINEAR.model_copy(update={"combined": False})
    assert list(values(tmp_path, "nli", probe, "accuracy")) == ["separate", "premise", "hypothesis"]


@pytest.mark.parametrize("probe", [LINEAR, SVM], ids=["linear", "svm"])
def test_nli_labels_apart_from_their_vectors_are_at_chance(tmp_path: Path, probe: Probe) -> None:
    for layers in values(tmp_path, "nli", probe, "accuracy", shuffle=True).values():
        assert max(abs(accuracy - 1 / 3) for accuracy in layers) < 0.1


@pytest.mark.parametrize("probe", [LINEAR, BILSTM], ids=["linear", "bilstm-crf"])
def test_ner_signal_is_found_where_it_was_planted(tmp_path: Path, probe: Probe) -> None:
    layers = values(tmp_path / "planted", "ner", probe, "entity_f1")["word"]
    seeds = 2 if probe is BILSTM else 1
    assert len(layers) == LAYERS * seeds
    by_layer = np.reshape(layers, (LAYERS, seeds))
    assert by_layer[PLANTED].min() > 0.85
    # With two words of seven tagged, guessing finds a few entities, the shuffled ones no more.
    assert np.delete(by_layer, PLANTED, axis=0).max() < 0.25
    shuffled = values(tmp_path / "shuffled", "ner", probe, "entity_f1", shuffle=True)["word"]
    assert max(shuffled) < 0.25


def test_words_that_say_nothing_of_their_type_leave_the_control_at_the_base_rate(
    tmp_path: Path,
) -> None:
    control = values(tmp_path, "ner", LINEAR, "control_accuracy")["word"]
    selectivity = values(tmp_path, "ner", LINEAR, "selectivity")["word"]
    assert max(control) < 0.85
    assert selectivity[PLANTED] > 0.15 > selectivity[0]


def test_vectors_of_word_types_solve_the_control_and_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paths = []
    for name in ("train", "test"):
        words, tags = rng.integers(30, size=600), rng.integers(3, size=600)
        rows = {
            "example_id": [f"s{i // 6}" for i in range(600)],
            "label": [TAGS[c] for c in tags],
            "word": [f"w{i}" for i in words],
        }
        vectors = np.repeat(np.eye(30)[words][:, None], LAYERS, axis=1)
        paths.append(write(tmp_path / name, rows, vectors, view="word", labels=TAGS))
    found = {row["metric"]: row["value"] for row in probe_layers(*paths, LINEAR, "ner")}
    assert found["control_accuracy"] == 1
    assert abs(found["accuracy"] - 1 / 3) < 0.1
    assert found["selectivity"] == found["accuracy"] - 1


@pytest.mark.slow
def test_metrics_of_each_probe(tmp_path: Path) -> None:
    pairs, words = write_pairs(tmp_path / "p.parquet", 0), write_words(tmp_path / "w.parquet", 0)
    control = {"control_accuracy", "selectivity"}
    lengths = {"code_length", "frequency_code_length", "compression"}
    scores = {"accuracy", "macro_f1"}
    short = LINEAR.model_copy(update={"code_length": False})
    expected: list[tuple[Path, str, Probe, set[str]]] = [
        (pairs, "nli", SVM, scores | {f"{name}_standardised" for name in scores}),
        (pairs, "nli", LINEAR, scores | lengths),
        (pairs, "nli", short, scores),
        (words, "ner", BILSTM, {"entity_f1", "token_macro_f1", "accuracy"}),
        (
            words,
            "ner",
            LINEAR,
            {"entity_f1", "token_macro_f1", "accuracy"}
            | control
            | lengths
            | {"control_compression"},
        ),
        (words, "ner", short, {"entity_f1", "token_macro_f1", "accuracy"} | control),
    ]
    for path, kind, probe, metrics in expected:
        rows = list(probe_layers(path, path, probe, kind))  # type: ignore[arg-type]
        assert {row["metric"] for row in rows} == metrics
        assert {row["probe_seed"] for row in rows} == ({0, 1} if probe is BILSTM else {0})
        assert rows == list(probe_layers(path, path, probe, kind))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "probe", "changes"),
    [
        ("nli", LINEAR, {"row_draws": 2}),
        ("ner", LINEAR, {"row_draws": 2, "code_length": False}),
        ("nli", SVM, {"row_draws": 2}),
        ("ner", BILSTM, {"seeds": [0]}),
    ],
    ids=["linear on pairs", "linear on words", "svm", "bilstm-crf"],
)
def test_a_device_of_pytorch_answers_as_numpy_does(
    tmp_path: Path, kind: str, probe: Probe, changes: dict[str, Any]
) -> None:
    """Here the device is the processor; benchmarks/gpu does the same on a GPU."""
    writer = write_pairs if kind == "nli" else write_words
    files = [writer(tmp_path / f"{seed}.parquet", seed) for seed in (0, 1)]
    given = (*files, probe.model_copy(update=changes), kind, False)
    found, expected = (list(probe_of_layers(*given, device)) for device in ("cpu", None))  # type: ignore[arg-type]
    assert len(found) == len(expected) > 0
    for own, other in zip(found, expected, strict=True):
        assert own[:3] == other[:3]
        assert np.mean(own.predicted == other.predicted) > 0.99
        assert own.values == pytest.approx(other.values, rel=1e-3, abs=0.01)


def test_program_writes_one_table_of_all_views_and_the_same_bytes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for view in ("separate", "separate-last"):
        (tmp_path / view).mkdir()
        for seed, split in enumerate(("validation", "test", "train")):
            write_pairs(tmp_path / view / f"{split}.parquet", seed, view=view)
    for name in ("a", "b"):
        arguments = [
            "--kind",
            "nli",
            "--probe-settings",
            '{"kind": "svm"}',
            "--views",
            "separate",
            "separate-last",
        ]
        arguments += ["--activations", str(tmp_path), "--out", str(tmp_path / name)]
        arguments += ["--probe-rows", "validation", "train"]
        arguments += ["--out-predictions", str(tmp_path / f"{name}.predictions")]
        monkeypatch.setattr("sys.argv", ["probe.py", *arguments])
        probe_program.main()
    for ending in ("", ".predictions"):
        one, other = (tmp_path / f"{name}{ending}" for name in "ab")
        assert one.read_bytes() == other.read_bytes()
    table = read_table(tmp_path / "a", "probe")
    assert table.num_rows == 2 * 2 * LAYERS * 3 * 4
    assert table["rows"].unique().to_pylist() == ["validation", "train"]
    described = file_metadata(tmp_path / "a", "probe")
    assert (described["model"], described["probe"]["kind"]) == ("m", "svm")


def test_probe_and_task_must_fit(tmp_path: Path) -> None:
    path = write_words(tmp_path / "w.parquet", 0)
    with pytest.raises(UserError, match="'svm' on a task of kind 'ner'; allowed: linear, bilstm"):
        list(probe_layers(path, path, SVM, "ner"))


def test_train_and_test_must_go_together(tmp_path: Path) -> None:
    train = write_words(tmp_path / "train.parquet", 0)
    vectors = np.zeros((1, LAYERS, 8))
    rows = {"example_id": ["s0"], "label": ["O"]}
    other = write(
        tmp_path / "o.parquet", rows, vectors, view="word", labels=TAGS, variant="random-s0"
    )
    with pytest.raises(UserError, match="variant 'random-s0'; allowed: 'pretrained'"):
        list(probe_layers(train, other, LINEAR, "ner"))
    empty: dict[str, list[Any]] = {"example_id": [], "label": []}
    none = write(tmp_path / "n.parquet", empty, vectors[:0], view="word", labels=TAGS)
    with pytest.raises(UserError, match="no rows"):
        list(probe_layers(train, none, LINEAR, "ner"))
    odd = write(tmp_path / "odd.parquet", {"example_id": ["s"], "label": ["B-RNA"]}, vectors,
                view="word", labels=TAGS)  # fmt: skip
    with pytest.raises(UserError, match=r"odd\.parquet: label 'B-RNA'; allowed: O, B-DNA, I-DNA"):
        list(probe_layers(train, odd, LINEAR, "ner"))


@pytest.mark.parametrize("probe", [LINEAR, BILSTM], ids=["linear", "bilstm-crf"])
def test_merged_tags_are_found_and_scored_as_iob2(tmp_path: Path, probe: Probe) -> None:
    train = write_words(tmp_path / "train", 0)
    test = write_words(tmp_path / "test", 1)
    seen: dict[str, list[float]] = {}
    for row in probe_layers(train, test, probe, "ner", merge_tags=True):
        if row["layer"] == PLANTED:
            seen.setdefault(row["metric"], []).append(row["value"])
    assert min(seen["entity_f1"]) > 0.85
    assert min(seen["token_macro_f1"]) > 0.85  # of B-DNA and I-DNA: scored on IOB2 tags


def test_a_probe_of_merged_tags_joins_touching_entities(tmp_path: Path) -> None:
    """Vectors that tell every tag: IOB2 is learnt perfectly, merged tags up to their cap."""
    tags = [1, 1, 0, 1, 2, 0] * 20  # of three entities two touch
    rows = {
        "example_id": [f"s{i // 6}" for i in range(120)],
        "label": [TAGS[c] for c in tags],
        "word": [f"w{i % 6}" for i in range(120)],
    }
    vectors = np.repeat(np.eye(3)[tags][:, None], LAYERS, axis=1)
    path = write(tmp_path / "w", rows, vectors, view="word", labels=TAGS)
    for merged, expected in ((False, 1.0), (True, 2 * 1 / (3 + 2))):
        found = probe_layers(path, path, LINEAR, "ner", merge_tags=merged)
        values = {(row["layer"], row["metric"]): row["value"] for row in found}
        assert values[0, "entity_f1"] == pytest.approx(expected)
        assert values[0, "accuracy"] == 1


def write_memorised(path: Path, seed: int, tuned: bool, seen: bool) -> Path:
    """Pairs along whose class, as the model takes it to be, their vectors lie.

    The model is right about half of them, before and after fine-tuning; of those that it was
    fine-tuned on it has memorised the class afterwards.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=1500 if path.name == "test" else 150)
    taken = np.where(rng.random(len(labels)) < 0.25, labels, rng.integers(3, size=len(labels)))
    taken = labels if tuned and seen else taken
    vectors = rng.normal(size=(len(labels), LAYERS, 60))
    vectors += 2.5 * np.eye(60)[taken][:, None]
    rows = {"example_id": [f"e{i}" for i in range(len(labels))],
            "label": [CLASSES[c] for c in labels]}  # fmt: skip
    return write(path, rows, vectors, view="joint", labels=CLASSES)


@pytest.mark.slow
def test_memorised_rows_look_like_a_gain_if_probes_learn_from_them_and_only_then(
    tmp_path: Path,
) -> None:
    """The model has learned nothing that is of use on the test data."""
    gains = {}
    for split, seen in (("validation", False), ("train", True)):
        means = []
        for tuned in (False, True):
            train = write_memorised(tmp_path / split, 0, tuned, seen)
            test = write_memorised(tmp_path / "test", 1, tuned, seen=False)
            rows = probe_layers(train, test, LINEAR, "nli")
            means.append(np.mean([row["value"] for row in rows if row["metric"] == "accuracy"]))
        gains[split] = means[1] - means[0]
    assert gains["validation"] == 0
    assert gains["train"] > 0.05
