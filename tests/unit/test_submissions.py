"""What a scheduler is sent fits a partition of the profile at every attempt, or is named."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from planned_jobs import DEMO, ROOT, Job, grouped_jobs, paper, some_jobs

from layerscope.config.load import read_yaml, validate
from layerscope.config.schema import Study
from layerscope.core.errors import UserError
from layerscope.resources.computing import LEAST_MINUTES
from layerscope.resources.estimate import submitted_in_words
from layerscope.resources.groups import group_of
from layerscope.resources.needs import needs
from layerscope.resources.sizes import Sizes, read_sizes
from layerscope.resources.submissions import Submission, kinds, misfits, partitions_of

PROFILE = ROOT / "profiles" / "slurm"
PARTITIONS = str(PROFILE / "partitions.yaml")
SETTINGS = yaml.safe_load((PROFILE / "config.yaml").read_text(encoding="utf-8"))
ATTEMPTS = 1 + SETTINGS["retries"]


def demo() -> Study:
    return validate(read_yaml(DEMO))


def large() -> Study:
    study = runpy.run_path(str(ROOT / "benchmarks" / "dag.py"))["large_study"]
    return validate(study(models=8, tasks=4, seeds=5))


def sent(study: Study, sizes: Sizes, name: str, together: list[Job]) -> Submission:
    """Jobs that run one after the other, as Snakemake adds them up under the profile."""
    each = [needs(study, sizes, *job) for job in together]
    minutes = LEAST_MINUTES + sum(need.further_minutes for need in each)
    memory, gpus = max(need.mem_mb for need in each), max(need.gpu for need in each)
    resources = tuple(
        {"runtime": attempt * minutes, "mem_mb": attempt * memory, "gpu": gpus}
        for attempt in range(1, ATTEMPTS + 1)
    )
    return Submission(name, len(together), 1, resources)


def largest(study: Study) -> list[Submission]:
    """Each job of its own, and of each group the longest that its bound admits."""
    sizes = read_sizes(study)
    found = [sent(study, sizes, job[0], [job]) for job in some_jobs(study) if not group_of(job[0])]
    for together in grouped_jobs(study).values():
        name = str(group_of(together[0][0]))
        longest = sorted(together, key=lambda job: needs(study, sizes, *job).seconds, reverse=True)
        alone = name in ("figures", "scores_{task}", "baseline_{task}")  # none needs another
        bound = SETTINGS["group-components"][name] if alone else None
        found.append(sent(study, sizes, name, longest[:bound]))
    return found


@pytest.mark.parametrize("make", [demo, paper, large])
def test_every_job_fits_a_partition_at_every_attempt(
    make: Callable[[], Study], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # nothing is fetched or prepared there
    found = kinds(largest(make()), partitions_of(PARTITIONS))
    assert misfits(found, PARTITIONS) == []
    for kind in found:
        assert kind.minutes[-1] <= 24 * 60, kind  # of half of the longest partition
        assert set(kind.partitions) <= {"cpu", "gpu"}
        assert ("cpu" in kind.partitions) or kind.gpus
    light = [kind for kind in found if kind.name in ("data_{task}", "tables", "figures")]
    assert all(kind.minutes[0] <= 90 for kind in light), light


def test_the_profile_bounds_every_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    names = {group_of(together[0][0]) for together in grouped_jobs(demo()).values()}
    assert names == set(SETTINGS["group-components"])


def asking(**resources: Any) -> Submission:
    return Submission(
        "probe", 3, 1, tuple({k: a * v for k, v in resources.items()} for a in (1, 2))
    )


def test_what_fits_nowhere_is_named_with_its_attempt(tmp_path: Path) -> None:
    path = tmp_path / "partitions.yaml"
    path.write_text("partitions: {short: {max_runtime: 4h}, gpu: {max_runtime: 1h, max_gpu: 1}}")
    choose = partitions_of(str(path))
    (kind,) = kinds([asking(runtime=100, mem_mb=500), asking(runtime=150, mem_mb=10)], choose)
    assert (kind.count, kind.minutes, kind.partitions, kind.unfit) == (2, (150, 300), ("short",), 2)
    (line,) = misfits([kind], "partitions.yaml")
    assert line.startswith("Warning: at attempt 2, probe asks for up to 300 min, 1,000 MB")
    assert "0 GPUs, more than partitions.yaml allows." in line
    *_, row = submitted_in_words([kind]).splitlines()
    assert row.split() == ["probe", "2", "3", "150", "min", "300", "min", "500", "MB", "0", "short"]


def test_a_partition_of_the_profile_is_the_one(tmp_path: Path) -> None:
    named = Submission("probe", 1, 1, ({"runtime": 9, "slurm_partition": "mine"},))
    (kind,) = kinds([named], partitions_of(PARTITIONS))
    assert (kind.partitions, kind.unfit) == (("mine",), None)  # the file says nothing of it
    assert kinds([named], None)[0].partitions == ()
    known = Submission("probe", 1, 1, ({"runtime": 5000, "slurm_partition": "cpu"},))
    (kind,) = kinds([known], partitions_of(PARTITIONS))
    assert (kind.partitions, kind.unfit) == (("cpu",), 1)


@pytest.mark.parametrize(
    "text", [None, "- a", "partitions: {cpu: {max_time: 2d}}", "partitions: 3"]
)
def test_a_file_that_has_no_partitions(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "partitions.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=r"partitions.yaml: .*; allowed: partitions and"):
        partitions_of(str(path))
