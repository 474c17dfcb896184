"""What a user meets when something breaks, tried on a real SLURM, and how a run ends then.

| fault | expected | seen: SLURM 22.05, snakemake-executor-plugin-slurm 2.8.0 |
|---|---|---|
| a node is drained | its jobs end there, others start elsewhere | so |
| the controller is away | jobs run on, the accounting answers | so; a group that starts its next
  rule just then fails, and is tried again |
| a node dies | SLURM starts its jobs again, elsewhere | so, the same job; no retry is spent |
| a job passes its time limit | ended, started again with more time | so: TIMEOUT |
| a program is killed, no retries | the rest runs; job and logs are named | so: FAILED |

Where a run goes on, its files are those of a local run, byte for byte.
"""

from __future__ import annotations

import os
import signal

import cluster
import pytest
from cluster import SlurmJob, at_work, wait_for
from running import Finished
from runs import MINUTES, RESULTS, TUNED, Run, differing, started

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

# --- with retries --------------------------------------------------------------------------------

MADE = [
    *TUNED[:2],
    f"{RESULTS}/samples/hpo-nli/probe-validation.parquet",
    f"{RESULTS}/corpora/hpo/train.parquet",
]


@pytest.fixture(scope="module")
def troubled(slurm: None, finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A part of the study from its beginning, with one fault after the other."""
    hit = {}
    study = finished._replace(folder=tmp_path_factory.mktemp("troubled") / "run")
    with started(study, "--set-resources", MINUTES, "--", *MADE) as snakemake:
        # Programs that take longer than the controller is away.
        hit["drained"], corpus = at_work("prepare_corpus")
        os.kill(corpus, signal.SIGSTOP)
        hit["away"], data = at_work("data_hpo-nli")
        os.kill(data, signal.SIGSTOP)
        cluster.update_node(hit["drained"].node, "drain")
        cluster.stop_controller()
        asked = "Falling back to 'sacct'"
        wait_for(lambda: asked in snakemake.output.read_text(), "Snakemake to ask in vain")
        cluster.start_controller()
        os.kill(corpus, signal.SIGCONT)
        os.kill(data, signal.SIGCONT)

        hit["dead"], _ = at_work("finetune_wildcards_hpo-nli_bert-tiny_50_1")
        cluster.update_node(hit["drained"].node, "resume")
        cluster.kill_node(hit["dead"].node)
        cluster.start_node(hit["dead"].node)

        hit["late"], program = at_work("finetune_wildcards_hpo-nli_bert-tiny_50_2")
        os.kill(program, signal.SIGSTOP)  # it hangs
        return snakemake.end(hit)


def test_after_all_faults_the_study_is_complete(troubled: Run, finished: Finished) -> None:
    assert troubled.returncode == 0, troubled.output
    data = ("train.parquet", "validation.parquet", "test.parquet", "report.json")
    made = [*MADE, *(f"{RESULTS}/data/hpo-nli/{name}" for name in data)]
    assert differing(troubled, finished, made) == []
    hidden = (troubled.study.folder / "results").rglob(".*")
    assert {path.name for path in hidden} <= {".snakemake_timestamp"}


def _namesakes(troubled: Run, fault: str) -> list[SlurmJob]:
    """It and what was sent again for it."""
    return [job for job in troubled.jobs if job.name == troubled.hit[fault].name]


@pytest.mark.parametrize("fault", ["drained", "away"])
def test_a_node_was_drained_and_the_controller_away(fault: str, troubled: Run) -> None:
    """What ran then ended there, once; what came after ran elsewhere."""
    (job,) = _namesakes(troubled, fault)
    assert (job.state, job.restarts) == ("COMPLETED", 0)
    assert troubled.hit["dead"].node != troubled.hit["drained"].node


def test_data_goes_together_and_asks_for_what_its_largest_rule_needs(troubled: Run) -> None:
    """Data, a corpus and two fine-tunings; the calm run has others."""
    (data,) = _namesakes(troubled, "away")
    assert data.cpus == 1
    assert data.memory.endswith("M")
    assert int(data.memory[:-1]) <= 2000
    assert len({job.name for job in troubled.jobs}) == 4


def test_a_node_died(troubled: Run) -> None:
    """SLURM itself starts the job again; Snakemake waits for it."""
    job, *_ = _namesakes(troubled, "dead")
    assert job.restarts == 1
    assert job.start
    assert troubled.hit["dead"].start
    assert job.start > troubled.hit["dead"].start


def test_a_job_ran_out_of_time(troubled: Run) -> None:
    first, second = _namesakes(troubled, "late")
    assert (first.state, first.minutes) == ("TIMEOUT", 1)
    assert (second.state, second.minutes) == ("COMPLETED", 6)


# --- without -------------------------------------------------------------------------------------

FINE = f"{RESULTS}/finetuned/hpo-nli/gpt-tiny/f50-s2"


def test_without_retries_it_stops(stopped: Run, finished: Finished) -> None:
    assert stopped.returncode == 1
    states = {job.name: job.state for job in stopped.jobs if job.state != "COMPLETED"}
    assert states == {stopped.hit["killed"].name: "FAILED"}
    assert differing(stopped, finished, [FINE]) == []


def test_it_names_the_job_and_its_logs(stopped: Run) -> None:
    job = stopped.hit["killed"]
    start = f"SLURM-job '{job.id}' failed, SLURM status is: 'FAILED'"
    (message,) = [text for text in stopped.output.split("Error in rule ") if start in text]
    assert message.startswith("finetune:")
    *_, task, model, percent, seed = job.name.split("_")
    output = f"{RESULTS}/finetuned/{task}/{model}/f{percent}-s{seed}"
    assert f"output: {output}" in message
    assert not (stopped.study.folder / output).exists()
    assert f"log: logs/miniature/finetune/{task}/{model}/f{percent}-s{seed}.log" in message
    log = (
        stopped.study.folder
        / f"logs/slurm/rule_finetune/{task}_{model}_{percent}_{seed}/{job.id}.log"
    )
    assert str(log) in message
    assert log.is_file()
