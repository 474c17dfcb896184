"""`snakemake estimate`, and what jobs of the published study ask of a scheduler."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from running import MINIATURE, PAPER, ROOT, read_config, snakemake, write_config

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("estimate")]  # they share a plan


def _resources(text: str, rule: str) -> list[dict[str, str]]:
    """Resources of each job of a rule in a dry run."""
    return [
        dict(part.split("=", 1) for part in entry.split(", "))
        for entry in re.findall(
            rf"^(?:local)?rule {rule}:\n(?:    .*\n)*?    resources: (.*)$", text, re.MULTILINE
        )
    ]


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dry run of the published study, with one model that has two GPUs."""
    run, config = tmp_path_factory.mktemp("paper"), read_config(PAPER)
    config["models"]["biogpt"]["gpus"] = 2
    config["references"] = str(PAPER.parent / config["references"])
    file = write_config(run / "study.yaml", config)
    model = ("--default-resources", "gpu_model=a100")
    result = snakemake(ROOT, run, "--dry-run", "--nocolor", "--configfile", file, *model)
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_jobs_of_large_models_ask_for_a_gpu_and_others_do_not(paper: str) -> None:
    assert Counter(r["gpu"] for r in _resources(paper, "finetune")) == {"1": 120, "2": 40}
    assert Counter(r["gpu"] for r in _resources(paper, "intervene")) == {"1": 30, "2": 10}
    # The cores that come with a GPU do as much.
    assert Counter(r["gpu"] for r in _resources(paper, "probe")) == {"0": 352}
    for rule in ("score", "baseline", "table_scores", "figure_scores"):
        found = _resources(paper, rule)
        assert found, rule
        assert all("gpu" not in resources for resources in found), rule


def test_the_model_of_gpu_is_asked_for_by_jobs_that_ask_for_a_gpu_alone(paper: str) -> None:
    found = [
        each for rule in ("finetune", "probe", "figure_scores") for each in _resources(paper, rule)
    ]
    models = {(each.get("gpu", "0"), each.get("gpu_model") or "") for each in found}
    assert models == {("0", ""), ("1", "a100"), ("2", "a100")}


def test_larger_models_ask_for_more_memory_and_time(paper: str) -> None:
    asked = {int(resources["mem_mb"]) for resources in _resources(paper, "finetune")}
    assert max(asked) > 1.5 * min(asked)
    times = {int(resources["runtime"]) for resources in _resources(paper, "finetune")}
    assert max(times) > min(times)


def test_the_table_is_printed_and_kept_and_nothing_else_happens(tmp_path: Path) -> None:
    """Activations that go are the same work: their jobs are counted with those that stay."""
    config = read_config(MINIATURE)
    config["activations"] = {"keep": "before-and-after", "layers": {"every": 2}}
    config["tasks"]["hpo-ner"]["probe_test_limit"] = 60
    config["models"]["bert-tiny"]["adapter"] = {"kind": "lora", "rank": 2}
    file = write_config(tmp_path / "study.yaml", config)
    profile = ROOT / "profiles" / "slurm"  # no SLURM is needed
    options = ("--slurm-init-seconds-before-status-checks", "1", "--profile", profile)
    result = snakemake(ROOT, tmp_path, "estimate", *options, "--configfile", file)
    assert result.returncode == 0, result.stdout
    (log,) = tmp_path.glob("logs/miniature/estimate.log")
    kept = log.read_text(encoding="utf-8")
    assert kept in result.stdout
    jobs = dict(re.findall(r"^(\w+) +([\d,]+) ", kept, re.MULTILINE))
    assert "all" not in jobs
    assert [jobs[rule] for rule in ("finetune", "extract_base", "extract_finetuned")] == ["8"] * 3
    assert jobs["sample_for_probes"] == "4"  # of one split, of two, and of test data
    assert "Activations kept, by activations.keep: all " in kept
    _, _, memory = kept.partition("memory of a model ")
    assert re.search(r"^extract_finetuned +core +\S+ MB +0 +0 +\S+ MB +\S+ MB$", memory, re.M)
    assert re.search(r"^finetune +core( +\S+ MB){5}$", memory, re.M)
    assert re.search(r"^every 2nd +capped .* \(this study\)$", kept, re.MULTILINE)
    _, _, sent = kept.partition("\nJobs to submit now: 93. ")
    rows = {row.split()[0]: " ".join(row.split()[1:]) for row in sent.splitlines() if row}
    assert rows["extract_finetuned"].startswith("8 1 11 min 33 min ")
    # Three of a variant: ten minutes once, and one for each.
    assert rows["probe_{task}_{model}_{variant}"] == "16 3 13 min 39 min 1.2 GB 0 cpu"
    assert "Warning" not in kept
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "resources").exists()
