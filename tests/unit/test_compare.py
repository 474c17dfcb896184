"""Two studies or commits side by side, against closed forms and against what was changed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forking import run_program
from running import ROOT, copy_workflow

from layerscope.config.statistics import Statistics
from layerscope.core.formats import write_table
from layerscope.evaluation.prediction_files import Predictions, read_predictions
from layerscope.provenance.comparison.changes import changes
from layerscope.provenance.comparison.commits import compare_commits, find_commit
from layerscope.provenance.comparison.folders import compare_studies
from layerscope.provenance.comparison.inner import compare_attention, compare_probes
from layerscope.provenance.comparison.scores import compare_predictions
from layerscope.provenance.comparison.words import commits_in_words, studies_in_words
from layerscope.provenance.studies import Study, read_study

PROGRAM = ROOT / "workflow" / "scripts" / "compare.py"
CLASSES = ["entailment", "neutral", "contradiction"]
TAGS = ["O", "B-DNA", "I-DNA"]
SETTINGS = Statistics(resamples=2000)
Codes = Any  # an array of label codes


# --- scores ------------------------------------------------------------------------------------


def nli(path: Path, labels: Codes, predicted: Codes, ids: str = "e", order: Codes = None) -> Path:
    """Predictions of pairs, one a group."""
    rows = np.arange(len(labels)) if order is None else order
    columns = {
        "example_id": [f"{ids}{row}" for row in rows],
        "group_id": [f"g-{ids}{row}" for row in rows],
        "word_index": [0] * len(rows),
        "label": [CLASSES[labels[row]] for row in rows],
        "predicted": [CLASSES[predicted[row]] for row in rows],
        "probabilities": [[1.0] * 3] * len(rows),
    }
    described = {"task": "t", "model": "m", "variant": path.stem, "kind_of_task": "nli"}
    write_table(path, "predictions", columns, {**described, "labels": CLASSES})
    return path


@pytest.fixture
def predictions(tmp_path: Path) -> Callable[..., Predictions]:
    """Write predictions of pairs and read them."""
    count = iter(range(1000))

    def make(labels: Codes, predicted: Codes, **more: Any) -> Predictions:
        path = tmp_path / str(next(count)) / "f10-s1.parquet"
        return read_predictions(nli(path, labels, predicted, **more))

    return make


def answers(labels: Codes, right: float, seed: int) -> Codes:
    """Answers that are right with a probability."""
    rng = np.random.default_rng(seed)
    wrong = (labels + rng.integers(1, 3, size=len(labels))) % 3
    return np.where(rng.random(len(labels)) < right, labels, wrong)


def mend(labels: Codes, predicted: Codes, count: int) -> Codes:
    """The same answers but for the first wrong ones, which become right."""
    mended = predicted.copy()
    rows = np.flatnonzero(labels != predicted)[:count]
    mended[rows] = labels[rows]
    return mended


def accuracy(
    a: dict[int, Predictions], b: dict[int, Predictions], settings: Statistics = SETTINGS
) -> dict[str, Any]:
    rows = {row["metric"]: row for row in compare_predictions(a, b, settings)}
    assert set(rows) == {"accuracy", "macro_f1"}
    return rows["accuracy"]


def width(row: dict[str, Any]) -> float:
    return row["high"] - row["low"]


LABELS = np.random.default_rng(0).integers(3, size=400)


@pytest.mark.parametrize(("count", "told"), [(1, False), (40, True)])
def test_a_planted_improvement_is_found(
    count: int, told: bool, predictions: Callable[..., Predictions]
) -> None:
    before = answers(LABELS, 0.6, 1)
    row = accuracy(
        {1: predictions(LABELS, before)},
        {1: predictions(LABELS, mend(LABELS, before, count))},
    )
    assert row["how"] == "paired"
    assert row["difference"] == pytest.approx(count / 400, abs=1e-12)
    assert row["b"] - row["a"] == pytest.approx(count / 400, abs=1e-12)
    assert row["low"] <= count / 400 <= row["high"]
    assert row["excludes_0"] is told
    # The share of mended answers is binomial, and its interval nearly normal.
    if told:
        half = 1.96 * sqrt(0.1 * 0.9 / 400)
        assert row["low"] == pytest.approx(0.1 - half, abs=0.006)
        assert row["high"] == pytest.approx(0.1 + half, abs=0.006)


def test_the_paired_interval_is_that_of_discordant_answers(
    predictions: Callable[..., Predictions],
) -> None:
    labels = np.random.default_rng(5).integers(3, size=2000)
    before, after = answers(labels, 0.6, 1), answers(labels, 0.65, 2)
    row = accuracy({1: predictions(labels, before)}, {1: predictions(labels, after)})
    change = (after == labels).astype(float) - (before == labels)
    half = 1.96 * change.std() / sqrt(len(labels))
    assert row["difference"] == pytest.approx(change.mean())
    assert row["low"] == pytest.approx(change.mean() - half, abs=0.004)
    assert row["high"] == pytest.approx(change.mean() + half, abs=0.004)


def test_the_unpaired_interval_is_nearly_normal(predictions: Callable[..., Predictions]) -> None:
    labels_a, labels_b = (np.random.default_rng(n).integers(3, size=n) for n in (1500, 2500))
    row = accuracy(
        {1: predictions(labels_a, answers(labels_a, 0.7, 1))},
        {1: predictions(labels_b, answers(labels_b, 0.8, 2), ids="other")},
    )
    assert row["how"] == "unpaired"
    p, q = row["a"], row["b"]
    half = 1.96 * sqrt(p * (1 - p) / 1500 + q * (1 - q) / 2500)
    assert row["low"] == pytest.approx(q - p - half, abs=0.004)
    assert row["high"] == pytest.approx(q - p + half, abs=0.004)


def test_pairs_tell_more_than_the_same_answers_unpaired(
    predictions: Callable[..., Predictions],
) -> None:
    before = answers(LABELS, 0.6, 1)
    after = mend(LABELS, before, 20)
    a = {1: predictions(LABELS, before)}
    paired = accuracy(a, {1: predictions(LABELS, after)})
    unpaired = accuracy(a, {1: predictions(LABELS, after, ids="other")})
    assert (paired["how"], unpaired["how"]) == ("paired", "unpaired")
    assert paired["difference"] == pytest.approx(unpaired["difference"])
    assert width(paired) < 0.5 * width(unpaired)
    assert paired["excludes_0"]
    assert not unpaired["excludes_0"]


def test_equal_answers_differ_by_nothing(predictions: Callable[..., Predictions]) -> None:
    sides = [{s: predictions(LABELS, answers(LABELS, 0.6, s)) for s in (1, 2)} for _ in range(2)]
    for row in compare_predictions(sides[0], sides[1], SETTINGS):
        assert (row["difference"], row["low"], row["high"]) == (0, 0, 0)
        assert not row["excludes_0"]


def test_the_order_of_rows_does_not_matter(predictions: Callable[..., Predictions]) -> None:
    before, after = answers(LABELS, 0.6, 1), answers(LABELS, 0.7, 2)
    order = np.random.default_rng(3).permutation(len(LABELS))
    a = {1: predictions(LABELS, before)}
    assert compare_predictions(
        a, {1: predictions(LABELS, after, order=order)}, SETTINGS
    ) == compare_predictions(a, {1: predictions(LABELS, after)}, SETTINGS)


def test_one_other_label_makes_other_examples(predictions: Callable[..., Predictions]) -> None:
    other = LABELS.copy()
    other[0] = (other[0] + 1) % 3
    answer = answers(LABELS, 0.6, 1)
    row = accuracy({1: predictions(LABELS, answer)}, {1: predictions(other, answer)})
    assert row["how"] == "unpaired"


def test_seeds_that_both_have_are_paired(predictions: Callable[..., Predictions]) -> None:
    given = {s: predictions(LABELS, answers(LABELS, 0.5 + s / 10, s)) for s in (1, 2, 3)}
    row = accuracy({s: given[s] for s in (1, 2)}, {2: given[3], 3: given[1]})
    assert (row["how"], row["seeds_a"], row["seeds_b"]) == ("paired", [2], [2])
    alone = accuracy({1: given[2]}, {1: given[3]})
    assert {k: row[k] for k in ("a", "b", "difference", "low", "high")} == {
        k: alone[k] for k in ("a", "b", "difference", "low", "high")
    }
    apart = accuracy({s: given[s] for s in (1, 2)}, {3: given[3]})
    assert (apart["how"], apart["seeds_a"], apart["seeds_b"]) == ("unpaired", [1, 2], [3])
    first = accuracy({1: given[1]}, {1: given[2]})["a"]
    assert apart["a"] == pytest.approx((first + alone["a"]) / 2)


def test_a_resample_draws_the_same_seeds_of_both(predictions: Callable[..., Predictions]) -> None:
    # Seeds far apart, each mended at the same 40 places: seeds say nothing of the difference.
    poor = np.where(np.arange(400) < 360, (LABELS + 1) % 3, LABELS)
    good = np.where(np.arange(400) < 40, (LABELS + 1) % 3, LABELS)
    a = {1: predictions(LABELS, poor), 2: predictions(LABELS, good)}
    b = {
        1: predictions(LABELS, mend(LABELS, poor, 40)),
        2: predictions(LABELS, mend(LABELS, good, 40)),
    }
    both = accuracy(a, b)
    assert both["difference"] == pytest.approx(0.1)
    assert width(both) == pytest.approx(width(accuracy({1: a[1]}, {1: b[1]})))
    apart = accuracy(a, {seed + 2: file for seed, file in b.items()})
    assert width(apart) > 5 * width(both)


def test_sentences_are_compared_by_entities(tmp_path: Path) -> None:
    tags = np.asarray(["B-DNA", "I-DNA", "O", "O", "B-DNA"] * 60)
    broken = tags.copy()
    broken[1::50] = "O"  # the end of every tenth sentence's first entity: 6 of 120 are lost
    files = []
    for name, predicted in (("a", broken), ("b", tags)):
        path = tmp_path / name / "f10-s1.parquet"
        columns = {
            "example_id": [f"s{i // 5}" for i in range(300)],
            "group_id": [f"s{i // 5}" for i in range(300)],
            "word_index": [i % 5 for i in range(300)],
            "label": tags.tolist(),
            "predicted": predicted.tolist(),
            "probabilities": [[1.0] * 3] * 300,
        }
        described = {"task": "t", "model": "m", "variant": "f10-s1", "kind_of_task": "ner"}
        write_table(path, "predictions", columns, {**described, "labels": TAGS})
        files.append(read_predictions(path))
    rows = {r["metric"]: r for r in compare_predictions({1: files[0]}, {1: files[1]}, SETTINGS)}
    assert rows["entity_f1"]["b"] == 1
    assert rows["entity_f1"]["difference"] == pytest.approx(6 / 120)  # P = R = 114 / 120
    assert rows["entity_f1"]["excludes_0"]
    assert set(rows) == {"entity_f1", "token_macro_f1"}


# --- settings ----------------------------------------------------------------------------------


def test_settings_are_compared_key_by_key() -> None:
    a = {"x": {"y": 1, "z": [1, 2], "gone": None}, "same": {"q": True}, "kind": {"a": 1}}
    b = {"x": {"y": 2, "z": [2, 1]}, "same": {"q": True}, "kind": "none", "new": {"deep": 3}}
    assert changes(a, a) == []
    assert changes(a, b) == [
        {"key": "kind", "a": {"a": 1}, "b": "none"},
        {"key": "new", "b": {"deep": 3}},
        {"key": "x.gone", "a": None},
        {"key": "x.y", "a": 1, "b": 2},
        {"key": "x.z", "a": [1, 2], "b": [2, 1]},
    ]


# --- studies -----------------------------------------------------------------------------------

CONFIG = {"study": "s", "models": {"m": {"rate": 0.1}}, "statistics": {"resamples": 100}}


def job(rule: str, out: str, inputs: dict[str, str], **more: Any) -> dict[str, Any]:
    """A run record, as far as comparisons read it."""
    return {
        "rule": rule,
        "wildcards": {"task": "t"},
        "started": f"{rule} {out}",
        "writer": "w",
        "exit": 0,
        "inputs": [{"path": p, "sha256": d, "lineage": None} for p, d in inputs.items()],
        "outputs": [{"path": out, "temporary": False}],
        "code": {"modules": {rule: "1", "layerscope.core.files": "1"}},
        "commit": "a" * 40,
        "dirty": False,
        "versions": {"python": "3.11.7", "numpy": "2.0.0"},
        "machine": {"processor": "Abacus", "gpus": []},
        **more,
    }


def study(
    root: Path, config: Any = CONFIG, jobs: Any = (), models: dict[str, Codes] | None = None
) -> Study:
    """A small study of one task, on disk."""
    results = root / "results" / "s"
    results.mkdir(parents=True)
    (results / "config.json").write_text(json.dumps(config))
    for model, predicted in (models or {"m": answers(LABELS, 0.6, 1)}).items():
        nli(results / f"predictions/t/{model}/f10-s1.parquet", LABELS, predicted)
    for record in jobs:
        path = root / f"{record['outputs'][0]['path']}.run.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))
    return read_study(root, "s")


SCORE = "results/s/scores/t/m.json"
DATA = "results/s/data/t/test.parquet"


def test_records_tell_code_versions_machine_and_raw_data(tmp_path: Path) -> None:
    raw = {"package words 1.0": "1", "/home/me/corpus/train.conll": "2"}
    fetched = "resources/models/m"
    first = [
        job("prepare_task", DATA, raw | {fetched: "5"}),
        job("score", SCORE, {DATA: "3"}),
        job("fetch_model", fetched, {"package weights 1.0": "6"}),
        job("fetch_model", "resources/models/of-another-study", {"package other 1.0": "7"}),
    ]
    second = [
        job("prepare_task", DATA, {"package words 1.1": "4", "train.conll": "2", fetched: "5"}),
        job(
            "score",
            SCORE,
            {DATA: "8"},
            code={"modules": {"score": "1", "layerscope.core.files": "2", "layerscope.new": "1"}},
            commit="b" * 40,
            dirty=True,
            versions={"python": "3.11.7", "numpy": "2.1.0", "scipy": "1.0.0"},
            machine={"processor": "Abacus", "gpus": [{"name": "Beads", "driver": "1"}]},
        ),
        job("baseline", "results/s/predictions/t/majority/f10-s1.parquet", {DATA: "8"}),
        job("probe", "results/s/probes/t/m/random/svm.parquet", {DATA: "8"}, exit=None),  # killed
        job("fetch_model", fetched, {"package weights 1.0": "6"}),
    ]
    found = compare_studies(study(tmp_path / "a", jobs=first), study(tmp_path / "b", jobs=second))
    assert found["a"]["jobs"] == 3
    assert found["b"]["jobs"] == 4
    assert found["raw"] == {
        "same": ["models/m", "package weights", "t: train.conll"],
        "different": ["package words"],
        "only_a": [],
        "only_b": [],
    }
    assert found["code"] == {
        "same": ["fetch_model", "prepare_task"],
        "different": {
            "score": {
                "different": ["layerscope.core.files"],
                "only_a": [],
                "only_b": ["layerscope.new"],
            }
        },
        "only_a": [],
        "only_b": ["baseline"],
    }
    assert found["versions"] == [
        {"key": "numpy", "a": "2.0.0", "b": "2.0.0, 2.1.0"},
        {"key": "scipy", "b": "1.0.0"},
    ]
    assert found["b"]["commits"] == ["a" * 40, f"{'b' * 40} with edits"]
    text = studies_in_words(found)
    assert "machine       Abacus -> Abacus, Beads" in text
    assert "different: package words" in text
    assert f"4 jobs of {'a' * 12}, {'b' * 12} with edits" in text


def test_a_study_is_the_same_as_itself(tmp_path: Path) -> None:
    jobs = [job("score", SCORE, {DATA: "3"})]
    sides = [study(tmp_path / name, jobs=jobs) for name in "ab"]
    found = compare_studies(*sides)
    assert [found[key] for key in ("settings", "versions")] == [[], []]
    assert [row["difference"] for row in found["scores"]["rows"]] == [0, 0]
    text = studies_in_words(found)
    for line in text.splitlines()[3:]:
        title = line[:14].strip()
        assert line[14:].startswith("none" if title in ("probes", "attention") else "the same")


def test_a_renamed_model_is_another_one(tmp_path: Path) -> None:
    a = study(tmp_path / "a", models={"m": LABELS, "majority": LABELS * 0})
    config = {**CONFIG, "models": {"n": {"rate": 0.1}}}
    b = study(tmp_path / "b", config, models={"n": LABELS, "majority": LABELS * 0})
    found = compare_studies(a, b)
    assert found["settings"] == [
        {"key": "models.m", "a": {"rate": 0.1}},
        {"key": "models.n", "b": {"rate": 0.1}},
    ]
    assert {row["model"] for row in found["scores"]["rows"]} == {"majority"}
    assert (found["scores"]["only_a"], found["scores"]["only_b"]) == (["t m 10"], ["t n 10"])
    text = studies_in_words(found)
    assert "only in A: t m 10" in text
    assert 'models.n  only in B: {"rate": 0.1}' in text


def test_a_study_without_records_is_compared_by_its_files(tmp_path: Path) -> None:
    a = study(tmp_path / "a", jobs=[job("score", SCORE, {DATA: "3"})])
    b = study(tmp_path / "b", models={"m": answers(LABELS, 0.9, 1)})
    found = compare_studies(a, b)
    assert [found[key] for key in ("raw", "code", "versions")] == [None, None, None]
    assert found["products"] == {
        "predictions": {
            "same": [],
            "different": ["predictions/t/m/f10-s1.parquet"],
            "only_a": [],
            "only_b": [],
        }
    }
    assert found["scores"]["rows"][0]["excludes_0"]
    text = studies_in_words(found)
    assert text.count("not known: run records are missing") == 4  # the machine too
    assert "(no run records)" in text.splitlines()[1]


def test_what_was_made_to_be_removed_is_compared_by_its_record(tmp_path: Path) -> None:
    gone = "results/s/activations/t/m/random"

    def passing(digest: str) -> Any:
        output = {"path": gone, "temporary": True, "sha256": digest}
        return job("extract_base_temp", gone, {}, outputs=[output])

    sides = [study(tmp_path / name, jobs=[passing(name)]) for name in "ab"]
    found = compare_studies(*sides)["products"]["activations"]
    assert found["different"] == ["activations/t/m/random"]


def test_probes_and_attention_are_means_over_seeds(tmp_path: Path) -> None:
    values = {"f10-s1": (0.2, 0.6), "f10-s2": (0.4, 0.3), "random": (0.5, 0.1)}

    def tables(name: str, lift: float) -> Path:
        common = {"task": "t", "model": "m"}
        rows = [
            {
                **common, "variant": variant, "percent": 10 * (variant[0] == "f"), "seed": None,
                "probe": "svm", "view": "joint", "layer": layer, "depth": 0.0, "metric": metric,
                "value": value + (lift if variant[0] == "f" and layer == 0 else 0),
            }
            for variant, by_layer in values.items()
            for layer, value in enumerate(by_layer)
            for metric in ("accuracy", "selectivity")
        ]  # fmt: skip
        folder = tmp_path / name
        write_table(folder / "tables" / "probes.parquet", "probes-table", rows)
        maps = [
            {
                **common, "variant": "f10-s1", "percent": 10, "seed": 1, "layer": layer, "head": 0,
                "measure": "jsd", "value": 0.1 * layer + lift, "low": 0.0, "high": 0.0,
            }
            for layer in range(3)
        ]  # fmt: skip
        write_table(folder / "tables" / "attention.parquet", "attention-table", maps)
        return folder

    a, b = tables("a", 0.0), tables("b", 0.25)
    tuned, control = compare_probes(a, b)
    assert (tuned["variant"], tuned["metric"]) == ("f10", "accuracy")
    assert (tuned["layer_a"], tuned["layer_b"]) == (1, 0)
    assert tuned["a"] == pytest.approx(0.45)
    assert tuned["b"] == pytest.approx(0.55)
    assert (control["variant"], control["a"], control["b"]) == ("random", 0.5, 0.5)
    (row,) = compare_attention(a, b)
    assert row["a"] == pytest.approx(0.1)
    assert row["b"] == pytest.approx(0.35)
    (alone,) = compare_attention(a, tmp_path)
    assert "b" not in alone


# --- the program -------------------------------------------------------------------------------


def run(*arguments: object, program: Path = PROGRAM) -> subprocess.CompletedProcess[str]:
    return run_program(program, *arguments)


def test_the_program_prints_text_or_json(tmp_path: Path) -> None:
    sides = [study(tmp_path / "a").results, study(tmp_path / "b", models={"m": LABELS}).results]
    text, parsed = run(*sides), run(*sides, "--json")
    assert (text.returncode, parsed.returncode) == (0, 0), text.stderr + parsed.stderr
    found = json.loads(parsed.stdout)
    row = found["scores"]["rows"][0]
    assert found["statistics"]["resamples"] == 100  # of the study
    assert f"{row['difference']:+.4f}  [{row['low']:+.4f}, {row['high']:+.4f}] *" in text.stdout
    assert text.stdout == studies_in_words(found) + "\n"
    assert run(*sides).stdout == text.stdout


def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path: Path) -> None:
    results = study(tmp_path / "a").results
    bare = study(tmp_path / "b").results
    (bare / "config.json").unlink()
    for arguments, message in (
        ((results, "nothing"), "error: nothing: neither; allowed: "),
        ((results, tmp_path), f"error: {tmp_path}: neither; allowed: "),
        ((results, results.parent / "x"), f"error: {results.parent}/x: no such folder; allowed: "),
        ((results, bare), f"error: {bare}/config.json: no such file"),
    ):
        refused = run(*arguments)
        assert refused.returncode == 1
        assert refused.stdout == ""
        assert refused.stderr.startswith(message)
        assert refused.stderr.count("\n") == 1


# --- commits -----------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workflow with commits `start`, `comments`, `edits` and `refused`."""
    folder = copy_workflow(tmp_path_factory.mktemp("repository") / "workflow")
    (folder / "constraints.txt").write_text("# exact\nnumpy==2.0.0\nscipy==1.0\nold==1\n")
    library = folder / "workflow" / "scripts" / "layerscope"

    def commit(name: str) -> None:
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", name)
        git(folder, "tag", name)

    git(folder, "init", "-q")
    commit("start")
    edit(library / "core/formats/schemas.py", "VERSION = 1\n", "VERSION = 1  # the first\n")
    edit(folder / "workflow/rules/probe.smk", "rule probe:\n", "# A comment.\nrule probe:\n")
    edit(folder / "config/config.yaml", "study: demo\n", "study: demo  # the demo\n")
    edit(folder / "constraints.txt", "numpy==2.0.0\n", "numpy==2.0.0  # newest\n")
    commit("comments")
    edit(library / "analysis/probing/crf.py", "-> ", "-> object | ")
    with (library / "extraction/attention.py").open("a") as file:
        file.write("\n_UNUSED = 1\n")
    edit(folder / "config/config.yaml", "data_seed: 7\n", "data_seed: 8\n")
    edit(folder / "constraints.txt", "numpy==2.0.0", "numpy==2.1.0")
    edit(folder / "constraints.txt", "old==1\n", "new==1\n")
    (folder / "config/mine.yaml").write_text((folder / "config/config.yaml").read_text())
    commit("edits")
    edit(folder / "config/config.yaml", "data_seed: 8\n", "date_seed: 8\n")
    commit("refused")
    return folder


def compared(repository: Path, a: str, b: str) -> dict[str, Any]:
    full = [find_commit(repository, name) for name in (a, b)]
    assert all(full)
    return compare_commits(repository, str(full[0]), str(full[1]))


def test_comments_are_no_difference(repository: Path) -> None:
    found = compared(repository, "start", "comments")
    assert found["code"]["different"] == {}
    assert found["rules"] == found["versions"] == []
    assert found["configurations"]["changes"] == {}
    assert found["configurations"]["unresolved"] == []
    assert found["rule_files"]["different"] == []
    assert len(found["code"]["same"]) > 20
    assert len(found["rule_files"]["same"]) > 8
    text = commits_in_words(found)
    assert text.count("the same") == 4


def test_edits_of_code_settings_and_versions_are_found(repository: Path) -> None:
    found = compared(repository, "comments", "edits")
    modules = {name: each["different"] for name, each in found["code"]["different"].items()}
    assert modules == {
        "probe": ["layerscope.analysis.probing.crf"],
        "extract": ["layerscope.extraction.attention"],
    }
    assert found["rules"] == [
        "extract_base",
        "extract_base_temp",
        "extract_finetuned",
        "extract_finetuned_temp",
        "probe",
    ]
    configurations = found["configurations"]
    assert configurations["changes"] == {
        "config/config.yaml": [{"key": "data_seed", "a": 7, "b": 8}]
    }
    assert configurations["only_b"] == ["config/mine.yaml"]
    assert found["versions"] == [
        {"key": "new", "b": "1"},
        {"key": "numpy", "a": "2.0.0", "b": "2.1.0"},
        {"key": "old", "a": "1"},
    ]
    text = commits_in_words(found)
    assert "data_seed  7 -> 8" in text
    assert "rules that rerun: extract_base, " in text


@pytest.mark.slow
def test_a_default_that_changed_is_a_setting_that_changed(repository: Path) -> None:
    """Each commit's library resolves its own files."""
    library = repository / "workflow" / "scripts" / "layerscope"
    git(repository, "checkout", "-q", "edits")
    edit(library / "config/statistics.py", "default=1000", "default=1500")
    git(repository, "commit", "-q", "-am", "default")
    found = compared(repository, "edits", "HEAD")["configurations"]["changes"]
    changed = [{"key": "statistics.resamples", "a": 1000, "b": 1500}]
    assert found["config/open-data.yaml"] == changed


@pytest.mark.slow
def test_a_configuration_that_is_refused_is_compared_as_it_stands(repository: Path) -> None:
    found = compared(repository, "edits", "refused")["configurations"]
    assert found["unresolved"] == ["config/config.yaml"]
    assert found["changes"] == {
        "config/config.yaml": [{"key": "data_seed", "a": 8}, {"key": "date_seed", "b": 8}]
    }


@pytest.mark.slow
def test_the_program_compares_commits_of_its_checkout(repository: Path, tmp_path: Path) -> None:
    program = repository / "workflow" / "scripts" / "compare.py"
    done = run("comments", "edits", "--json", program=program)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == compared(repository, "comments", "edits")
    results = study(tmp_path).results
    for other, message in (
        ("nothing", "nothing: neither; allowed: "),
        (results, f"comments and {results}: one is a commit, the other a folder; allowed: "),
    ):
        refused = run("comments", other, program=program)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith(f"error: {message}")
        assert refused.stderr.count("\n") == 1
