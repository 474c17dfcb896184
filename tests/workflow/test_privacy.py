"""Data under an agreement: who can read what is made from it, and what is said when it is missing.

The files have the names, columns and split of MedNLI; the sentences are made up here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import MINIATURE, ROOT, Config, plan, read_config, snakemake, write_config

pytestmark = pytest.mark.slow

LABELS = ("entailment", "neutral", "contradiction")
FILES = {split: f"mli_{split[:5].replace('valid', 'dev')}_v1.jsonl" for split in
         ("train", "validation", "test")}  # fmt: skip
TARGETS = ("results/clinic/data/mednli/report.json", "results/clinic/samples/mednli/f50-s1.parquet")


@pytest.fixture(autouse=True)
def _generous_user() -> Iterator[None]:
    """Whoever runs the tests, files are readable by others unless something keeps them private."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def save_mednli(folder: Path, premises: int = 8) -> Path:
    """Three pairs of each premise, and the list of digests that PhysioNet has beside the files."""
    folder.mkdir()
    sums = []
    for split, name in FILES.items():
        lines = [
            {
                "sentence1": f"Patient {number} of {split} was seen.",
                "sentence2": f"The patient is {label}.",
                "gold_label": label,
                "pairID": f"{split}-{number}-{label}",
                "sentence1_parse": "(ROOT)",
            }
            for number in range(premises)
            for label in LABELS
        ]
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        sums.append(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()} {name}\n")
    (folder / "SHA256SUMS.txt").write_text("".join(sums))
    return folder


def study(folder: Path, data: Path, **changes: bool) -> Path:
    """The miniature with MedNLI in place of its tasks."""
    config: Config = read_config(MINIATURE)
    task = {key: config["tasks"]["hpo-nli"][key] for key in ("kind", "views", "probes")}
    task["source"] = {
        "kind": "files",
        "folder": str(data),
        "format": "jsonl",
        "files": FILES,
        "columns": {
            "premise": "sentence1",
            "hypothesis": "sentence2",
            "label": "gold_label",
            "example_id": "pairID",
        },
        "labels": {label: label for label in LABELS},
        "examples": dict.fromkeys(FILES, 24),
        "credentialed": True,
        "obtain": "sign the agreement on physionet.org,\nand download the files",
    }
    config |= {"study": "clinic", "tasks": {"mednli": task}, **changes}
    return write_config(folder / "clinic.yaml", config)


def modes(folder: Path) -> dict[str, int]:
    """Permissions of what the study wrote, itself included."""
    tops = [folder / "results" / "clinic", folder / "logs" / "clinic"]
    paths = [path for top in tops for path in [top, *top.rglob("*")]]
    return {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in paths}


def test_nobody_else_reads_a_study_of_credentialed_data(tmp_path: Path) -> None:
    """Not even what an earlier run left open."""
    config = study(tmp_path, save_mednli(tmp_path / "mednli"))
    open_folder = tmp_path / "run" / "results" / "clinic"
    open_folder.mkdir(parents=True)
    assert open_folder.stat().st_mode & 0o077 == 0o055
    result = snakemake(ROOT, tmp_path / "run", "--configfile", config, "--cores", 1, *TARGETS)
    assert result.returncode == 0, result.stdout
    found = modes(tmp_path / "run")
    assert set(TARGETS) < set(found)
    assert "logs/clinic/prepare_task/mednli.log" in found
    assert {path: oct(mode) for path, mode in found.items() if mode & 0o077} == {}
    report = json.loads((tmp_path / "run" / TARGETS[0]).read_text())
    assert report["files"]["test"]["digest_was_required"] is True
    assert report["splits"]["train"]["groups"] == 8
    assert (tmp_path / "run" / ".snakemake" / "log").stat().st_mode & 0o077 == 0


def test_others_read_it_if_the_study_says_so(tmp_path: Path) -> None:
    config = study(tmp_path, save_mednli(tmp_path / "mednli"), readable_by_others=True)
    result = snakemake(ROOT, tmp_path / "run", "--configfile", config, "--cores", 1, *TARGETS)
    assert result.returncode == 0, result.stdout
    run = tmp_path / "run"
    wrong = {
        path: oct(mode)
        for path, mode in modes(run).items()
        if mode != (0o755 if (run / path).is_dir() else 0o644)
    }
    assert wrong == {}


def test_missing_data_is_planned_for_and_said_in_one_line(tmp_path: Path) -> None:
    data = save_mednli(tmp_path / "mednli")
    (data / FILES["test"]).unlink()
    config = study(tmp_path, data)
    run = tmp_path / "run"
    assert "prepare_task" in {job.rule for job in plan(ROOT, run, config)}
    result = snakemake(ROOT, run, "--configfile", config, "--cores", 1, TARGETS[0])
    assert result.returncode == 1
    assert "Traceback" not in result.stdout
    assert (run / "logs" / "clinic" / "prepare_task" / "mednli.log").read_text() == (
        f"error: {data / FILES['test']}: no such file; "
        "sign the agreement on physionet.org, and download the files\n"
    )
    assert not (run / TARGETS[0]).exists()


def test_a_new_version_of_a_file_is_read(tmp_path: Path) -> None:
    """Other permissions alone make nothing anew."""
    data = save_mednli(tmp_path / "mednli")
    config = study(tmp_path, data)
    run = tmp_path / "run"
    targets = ["--cores", "1", *TARGETS]
    snakemake(ROOT, run, "--configfile", config, *targets)
    assert plan(ROOT, run, config, *targets) == set()
    assert plan(ROOT, run, config, "--config", "readable_by_others=True", *targets) == set()
    lines = (data / FILES["train"]).read_text().replace("was seen", "was not seen")
    (data / FILES["train"]).write_text(lines)
    assert {job.rule for job in plan(ROOT, run, config, *targets)} == {"prepare_task", "subsample"}
    result = snakemake(ROOT, run, "--configfile", config, *targets)
    assert result.returncode == 1  # the list of digests is that of the old version
    log = (run / "logs" / "clinic" / "prepare_task" / "mednli.log").read_text()
    assert "allowed by SHA256SUMS.txt" in log


def test_a_folder_that_cannot_be_kept_private_is_refused(tmp_path: Path) -> None:
    """A file in its place stands in for a folder of somebody else's."""
    config = study(tmp_path, save_mednli(tmp_path / "mednli"))
    (tmp_path / "run" / "results").mkdir(parents=True)
    (tmp_path / "run" / "results" / "clinic").write_text("")
    result = snakemake(ROOT, tmp_path / "run", "--configfile", config, "--dry-run")
    assert result.returncode == 1
    assert "results/clinic: File exists, so it cannot be kept private" in result.stdout
    assert "Traceback" not in result.stdout
