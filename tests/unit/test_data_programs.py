"""The programs that prepare data, run as a rule runs them; most of them read the ontology anew."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from forking import run_program

from layerscope.core.files import read_json, sha256_text
from layerscope.core.formats import file_metadata, read_table

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"


def run(program, *arguments):
    return run_program(SCRIPTS / f"{program}.py", *arguments)


def run_anew(program, *arguments, hash_seed):
    return subprocess.run(
        [sys.executable, str(SCRIPTS / f"{program}.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )


def task_settings(kind, **changes):
    settings = {
        "kind": kind,
        "source": {"kind": f"hpo-{kind}"},
        "limit": {"train": 90, "validation": 30, "test": 30},
        "seed": 7,
    }
    return json.dumps({**settings, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Gives the folder of a task, made once."""

    @cache
    def make(kind):
        folder = tmp_path_factory.mktemp(kind)
        done = run("prepare_task", "--settings", task_settings(kind), "--out-dir", folder)
        assert done.returncode == 0, done.stderr
        return folder

    return make


@pytest.fixture(params=["nli", "ner"])
def task(request, made):
    return request.param, made(request.param)


@pytest.mark.slow
def test_a_task_has_tables_and_a_report(task):
    kind, folder = task
    assert {path.name for path in folder.iterdir()} == {
        "train.parquet",
        "validation.parquet",
        "test.parquet",
        "report.json",
    }
    report = read_json(folder / "report.json")
    for split, described in report["splits"].items():
        table = read_table(folder / f"{split}.parquet", kind)
        assert table.num_rows == described["examples"] > 25
        assert file_metadata(folder / f"{split}.parquet", kind)["labels"] == report["labels"]
    assert all(set(shared.values()) == {0} for shared in report["overlap"].values())


@pytest.mark.slow
@pytest.mark.parametrize("task", ["nli"], indirect=True)
def test_the_same_settings_give_the_same_bytes(task, tmp_path):
    kind, folder = task
    settings = task_settings(kind)
    run_anew("prepare_task", "--settings", settings, "--out-dir", tmp_path, hash_seed="1")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


@pytest.mark.slow
def test_samples_are_nested_and_in_the_order_of_the_table(task, tmp_path):
    kind, folder = task
    train = read_table(folder / "train.parquet", kind).column("example_id").to_pylist()
    samples = {}
    for percent in (10, 50, 100):
        out = tmp_path / f"{percent}.parquet"
        data = folder / "train.parquet"
        done = run("subsample", "--data", data, "--percent", percent, "--seed", 1, "--out", out)
        assert done.returncode == 0, done.stderr
        samples[percent] = read_table(out, "sample").column("example_id").to_pylist()
        described = file_metadata(out, "sample")
        assert (described["percent"], described["seed"]) == (percent, 1)
        assert described["sha256"] == sha256_text("\n".join(samples[percent]))
    assert samples[100] == train
    assert set(samples[10]) < set(samples[50]) < set(train)
    assert samples[50] == [id_ for id_ in train if id_ in set(samples[50])]
    assert len(samples[10]) == pytest.approx(9, abs=2)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["ner"], indirect=True)
def test_nothing_is_tuned_on_what_is_reserved_for_probes(task, tmp_path):
    data = task[1] / "train.parquet"

    def ids(program, *options):
        out = tmp_path / "out.parquet"
        done = run(program, "--data", data, "--seed", 1, "--reserved", 20, *options, "--out", out)
        assert done.returncode == 0, done.stderr
        return set(read_table(out, "sample").column("example_id").to_pylist())

    probes = ("sample_for_probes", "--kind", "ner", "--limit", "all", "--part")
    tuned, reserved = ids("subsample", "--percent", 100), ids(*probes, "reserved")
    assert tuned == ids(*probes, "tuned-on")
    assert not tuned & reserved
    everything = set(read_table(data, "ner").column("example_id").to_pylist())
    assert tuned | reserved == everything
    assert len(reserved) == pytest.approx(0.2 * len(everything), abs=2)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["nli"], indirect=True)
def test_a_percentage_out_of_range_is_one_line(task, tmp_path):
    data = task[1] / "train.parquet"
    done = run("subsample", "--data", data, "--percent", 0, "--seed", 1, "--out", tmp_path / "s")
    assert done.returncode == 1
    assert done.stderr == "error: --percent: 0; allowed: 1 to 100\n"


@pytest.mark.parametrize(
    ("program", "settings", "line"),
    [
        ("prepare_task", "{", "error: --settings: the whole: Invalid JSON"),
        ("prepare_task", task_settings("nli", seed=-1), "error: --settings: seed: "),
        ("prepare_corpus", '{"source": {"kind": "x"}, "max_words": null, "seed": 1}', "x"),
        (
            "prepare_corpus",
            '{"source": {"kind": "package-docs", "packages": ["nix"]}, '
            '"max_words": null, "seed": 1}',
            "error: package 'nix': no Python source is installed",
        ),
    ],
)
def test_bad_settings_are_one_line(tmp_path, program, settings, line):
    done = run_program(SCRIPTS / f"{program}.py", "--settings", settings, "--out-dir", tmp_path)
    assert done.returncode == 1
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [{"kind": "hpo-text"}, {"kind": "package-docs", "packages": ["pydantic"]}],
    ids=lambda source: source["kind"],
)
def test_a_corpus_has_two_tables_and_a_report(tmp_path, source):
    settings = json.dumps({"source": source, "max_words": 3000, "seed": 7})
    for seed in "01":
        out = tmp_path / seed
        done = run_anew("prepare_corpus", "--settings", settings, "--out-dir", out, hash_seed=seed)
        assert done.returncode == 0, done.stderr
    for name in ("train.parquet", "heldout.parquet", "report.json"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()
    report = read_json(tmp_path / "0" / "report.json")
    assert report["kind"] == source["kind"]
    parts = {}
    for part in ("train", "heldout"):
        rows = read_table(tmp_path / "0" / f"{part}.parquet", "corpus").to_pylist()
        assert len(rows) == len({row["text_id"] for row in rows}) == report[part]["documents"] > 0
        assert all(row["text"].strip() for row in rows)
        assert sum(len(row["text"].split()) for row in rows) == report[part]["words"]
        parts[part] = {row["text"] for row in rows}
    assert report["train"]["words"] <= 3000
    assert not parts["train"] & parts["heldout"]
