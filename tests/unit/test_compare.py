"""Two studies side by side, against what was changed in one of them; and the program."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from forking import run_layerscope
from made_studies import CONFIG, LABELS, PROGRAM, answers, run, study
from recorded_studies import run_study, whole_record

from layerscope.core.formats import write_table
from layerscope.provenance.comparison.changes import changes
from layerscope.provenance.comparison.folders import compare_studies
from layerscope.provenance.comparison.inner import compare_attention, compare_probes
from layerscope.provenance.comparison.words import studies_in_words
from layerscope.provenance.studies import read_study

pytestmark = pytest.mark.slow

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


def _entry(path: str, digest: str) -> dict[str, Any]:
    return {"path": path, "bytes": 1, "sha256": digest * 64, "lineage": None}


def _code(**modules: str) -> dict[str, Any]:
    return {"digest": "c", "modules": modules}


def job(rule: str, out: str, inputs: dict[str, str], **more: Any) -> dict[str, Any]:
    """A run record; of inputs, one digit of the digest."""
    number = sum(map(ord, f"{rule}{out}")) % 60
    return {
        **whole_record(),
        "rule": rule,
        "wildcards": {"task": "t"},
        "started": f"2026-01-01T00:00:{number:02}.000000+00:00",
        "inputs": [_entry(path, digit) for path, digit in inputs.items()],
        "outputs": [{"path": out, "temporary": False}],
        "code": _code(**{rule: "1", "layerscope.core.files": "1"}),
        "commit": "a" * 40,
        "dirty": False,
        "versions": {"python": "3.11.7", "numpy": "2.0.0"},
        "machine": MACHINE,
        **more,
    }


MACHINE = whole_record()["machine"] | {"processor": "Abacus"}
SCORE = "results/s/scores/t/m.json"
PROBE = "results/s/probes/t/m/random-s0/svm.parquet"
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
            code=_code(**{"score": "1", "layerscope.core.files": "2", "layerscope.new": "1"}),
            commit="b" * 40,
            dirty=True,
            versions={"python": "3.11.7", "numpy": "2.1.0", "scipy": "1.0.0"},
            machine=MACHINE | {"gpus": [{"name": "Beads", "driver": "1"}]},
        ),
        job("baseline", "results/s/predictions/t/majority/f10-s1.parquet", {DATA: "8"}),
        job("probe", PROBE, {DATA: "8"}, exit=None, ended=None),  # killed
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
    bad = tmp_path / "b/results/s/scores/t/other.json.run.json"
    bad.write_text('{"outputs": 1}')
    found = compare_studies(sides[0], read_study(tmp_path / "b", "s"))
    assert "; 1 unreadable record)" in studies_in_words(found).splitlines()[1]
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
    gone = "results/s/activations/t/m/random-s0"

    def passing(digest: str) -> Any:
        output = _entry(gone, digest) | {"temporary": True, "modified_ns": 1}
        return job("extract_base_temp", gone, {}, outputs=[output])

    sides = [study(tmp_path / name, jobs=[passing(name)]) for name in "ab"]
    found = compare_studies(*sides)["products"]["activations"]
    assert found["different"] == ["activations/t/m/random-s0"]


def test_probes_and_attention_are_means_over_seeds(tmp_path: Path) -> None:
    values = {"f10-s1": (0.2, 0.6), "f10-s2": (0.4, 0.3), "random-s0": (0.5, 0.1)}

    def tables(name: str, lift: float) -> Path:
        common = {"task": "t", "model": "m"}
        rows = [
            {
                **common, "variant": variant, "percent": 10 * (variant[0] == "f"), "seed": None,
                "probe": "svm", "rows": "validation", "view": "joint", "layer": layer, "depth": 0.0,
                "metric": metric,
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


def test_the_program_prints_text_or_json(tmp_path: Path) -> None:
    sides = [study(tmp_path / "a").results, study(tmp_path / "b", models={"m": LABELS}).results]
    text, parsed = run(*sides), run(*sides, "--json")
    assert (text.returncode, parsed.returncode) == (0, 0), text.stderr + parsed.stderr
    found = json.loads(parsed.stdout)
    row = found["scores"]["rows"][0]
    assert found["statistics"]["resamples"] == 100  # of the study
    assert f"{row['difference']:+.4f}  [{row['low']:+.4f}, {row['high']:+.4f}] *" in text.stdout
    assert text.stdout == studies_in_words(found) + "\n"
    assert run_layerscope(PROGRAM.parent, "compare", *sides).stdout == text.stdout


def test_a_study_is_compared_wherever_it_lies_and_whatever_it_is_called(tmp_path: Path) -> None:
    root = tmp_path / "a"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run_study()
    (root / "results/s/config.json").write_text(json.dumps(CONFIG))
    shutil.copytree(root / "results/s", root / "results/before")  # a renamed copy
    shutil.copytree(root / "results/s", tmp_path / "received")  # in no folder `results`
    original = root / "results/s"
    for copy in (root / "results/before", tmp_path / "received"):
        ran = run(original, copy, "--json")
        assert ran.returncode == 0, ran.stderr
        found = json.loads(ran.stdout)
        assert found["b"]["folder"] == str(copy)
        assert (found["a"]["jobs"], found["a"]["study"]) == (found["b"]["jobs"], "s") == (5, "s")
        assert found["settings"] == []
        for same in (found["raw"], *found["products"].values()):
            assert [kind for kind, names in same.items() if names] == ["same"]


def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path: Path) -> None:
    results = study(tmp_path / "a").results
    bare = study(tmp_path / "b").results
    (bare / "config.json").unlink()
    for arguments, message in (
        ((results, "nothing"), "error: nothing: not found; allowed: "),
        ((results, tmp_path), f"error: {tmp_path}: not a study, since it has no config.json; "),
        ((results, results.parent / "x"), f"error: {results.parent}/x: no such folder; allowed: "),
        ((results, results / "config.json"), f"error: {results}/config.json: inside a study's "),
        ((results, bare), f"error: {bare}/config.json: no such file"),
    ):
        refused = run(*arguments)
        assert refused.returncode == 1
        assert refused.stdout == ""
        assert refused.stderr.startswith(message)
        assert refused.stderr.count("\n") == 1
