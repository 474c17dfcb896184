"""The miniature study again: there is nothing to do; and killed in the middle, it goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from miniature import MODELS, TUNED
from running import Finished, Job, command, copy_workflow, environment, options, plan, snakemake

from layerscope.core.files import sha256_file
from layerscope.run_records.content import ENDING

pytestmark = pytest.mark.xdist_group("miniature")


#: Of one task.
TRAINED = tuple(
    f"results/miniature/finetuned/hpo-nli/{model}/{variant}"
    for model in MODELS
    for variant in TUNED
)
#: Made after the kill: these trainings, and what becomes of one model's on one task.
PART = (
    "results/miniature/scores/hpo-nli/gpt-tiny.json",
    *(
        f"results/miniature/parts/{table}/hpo-nli/gpt-tiny.parquet"
        for table in ("training", "weight_change")
    ),
    *TRAINED,
    "results/miniature/tables/pretraining.parquet",
)


def test_a_second_run_does_nothing_and_says_so(finished: Finished) -> None:
    before = _digests(finished.folder)
    result = snakemake(finished.workflow, finished.folder, *options(finished))
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout
    assert _digests(finished.folder) == before


def _digests(folder: Path) -> dict[str, str]:
    """Digest of each product and each fetched file; neither times nor records are products."""
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for top in ("results", "resources")
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
        and path.name != ".snakemake_timestamp"
        and "benchmarks" not in path.parts
        and not path.name.endswith(ENDING)
    }


@pytest.fixture(scope="module")
def killed(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same study in another folder, killed together with its jobs while it trains."""
    base = tmp_path_factory.mktemp("killed")
    workflow = copy_workflow(base / "another-copy", finished.workflow)
    again = finished._replace(workflow=workflow, folder=base / "another-folder")
    again.folder.mkdir()
    with (base / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command(workflow, again.folder, *options(again), "--", *TRAINED, fork_server=True),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=again.folder,
            env=environment(),
            start_new_session=True,
        )
        try:
            _wait_for_training(process, again.folder, base / "output.txt")
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # its jobs too
            process.wait()
    return again


def _is_done(folder: Path, job: Job) -> bool:
    records = [folder / f"{output}{ENDING}" for output in job.outputs[:1]]
    return any(path.exists() and json.loads(path.read_text())["exit"] == 0 for path in records)


def _wait_for_training(process: subprocess.Popen[bytes], folder: Path, output: Path) -> None:
    """Until Snakemake has said that one model is trained, and another training has begun."""
    deadline = time.monotonic() + 1200
    ended = re.compile(r"^Finished jobid: \d+ \(Rule: finetune\)$", re.MULTILINE)
    while process.poll() is None and time.monotonic() < deadline:
        trained = ended.findall(output.read_text())
        # A record has no exit code while its program runs.
        records = folder.glob(f"results/*/finetuned/*/*/*{ENDING}")
        if trained and any(json.loads(each.read_text())["exit"] is None for each in records):
            return
        time.sleep(0.05)
    pytest.fail("the run ended before it could be killed")


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_files(
    finished: Finished, killed: Finished
) -> None:
    made = len(_digests(killed.folder))
    assert 0 < made < len(_digests(finished.folder)) / 2
    # What a power cut leaves locked, the user unlocks, as Snakemake says.
    refused = snakemake(killed.workflow, killed.folder, *options(killed))
    assert refused.returncode == 1
    assert "--unlock" in refused.stdout
    snakemake(killed.workflow, killed.folder, *options(killed), "--unlock")
    # What was done before the kill is not done again; what ran then is, and all that waits.
    done = {job for job in finished.everything if _is_done(killed.folder, job)}
    assert {"prepare_task", "subsample", "finetune"} <= {job.rule for job in done}
    waiting = plan(killed.workflow, killed.folder, killed.config, "--rerun-incomplete")
    # A job that ended in the moment of the kill is done again: Snakemake did not see it end.
    unseen = waiting & done
    assert len(unseen) <= 2  # cores
    assert waiting == (finished.everything - done) | unseen
    told = snakemake(killed.workflow, killed.folder, "explain", *options(killed)).stdout
    assert f"{len(waiting)} of {len(finished.everything)} jobs would run" in told
    assert re.search(r"finetune, .*: it was killed", told)
    asked = plan(killed.workflow, killed.folder, killed.config, "--rerun-incomplete", *PART)
    assert asked < waiting
    going_on = snakemake(
        killed.workflow, killed.folder, *options(killed), "--", *PART, fork_server=True
    )
    assert going_on.returncode == 0, going_on.stdout
    jobs = re.findall(r"^total +(\d+)$", going_on.stdout, re.MULTILINE)
    assert list(map(int, jobs)) == [len(asked)]  # it went on, it did not begin anew
    assert plan(killed.workflow, killed.folder, killed.config, "--cores", "1", *PART) == set()
    expected, found = _digests(finished.folder), _digests(killed.folder)
    assert set(found) < set(expected)
    assert [path for path in found if found[path] != expected[path]] == []
    hidden = [
        str(path)
        for path in (killed.folder / "results").rglob(".*")
        if path.name != ".snakemake_timestamp"
    ]
    assert hidden == []
