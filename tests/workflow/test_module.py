"""The workflow as a module of another one, which gives it a prefix and a configuration."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from rules import rules
from running import MINIATURE, ROOT, Job, Plan, parse, plan, read_config, snakemake, write_config

pytestmark = pytest.mark.slow

OUTER = f"""
configfile: "outer.yaml"


module layerscope:
    snakefile:
        "{ROOT}/workflow/Snakefile"
    config:
        config["layerscope"]
    prefix:
        "probing"


use rule * from layerscope as layerscope_*


rule all:
    default_target: True
    input:
        rules.layerscope_all.input,
"""
#: Where the workflow reads and writes; what precedes is a part of a longer word or of a path.
PLACE = re.compile(r"([\w./-]*)\b(?:results|resources|logs)/")
CHEAP = "probing/results/miniature/samples/hpo-nli/f50-s1.parquet"


def other_workflow(folder: Path) -> Path:
    """A workflow that uses this one; the study's published values are a file of the user's."""
    folder.mkdir()
    study = {**read_config(MINIATURE), "references": "values.csv"}
    write_config(folder / "outer.yaml", {"layerscope": study, "unknown to layerscope": 1})
    write_config(folder / "plain.yaml", study)
    shutil.copyfile(ROOT / "config" / "references.csv", folder / "values.csv")
    (folder / "Snakefile").write_text(OUTER, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return other_workflow(tmp_path_factory.mktemp("module") / "other")


@pytest.fixture(scope="module")
def plain(other: Path) -> Plan:
    return plan(ROOT, other, other / "plain.yaml") - {Job("all")}


@pytest.fixture(scope="module")
def planned(other: Path) -> Plan:
    result = snakemake(other, other, "--dry-run", "--printshellcmds", "--nocolor")
    assert result.returncode == 0, result.stdout
    return parse(result.stdout) - {Job("all")}


def without_prefix(job: Job) -> Job:
    return Job(job.rule.removeprefix("layerscope_"), job.wildcards)


def test_it_plans_the_same_jobs(plain: Plan, planned: Plan) -> None:
    assert {without_prefix(job) for job in planned} == plain


def test_commands_differ_by_the_prefix_alone(plain: Plan, planned: Plan) -> None:
    """Those of `configuration` also by where the configuration came from."""
    commands = {job: re.sub(r"^python \S+/", "", job.command) for job in plain}
    for job in planned:
        command = re.sub(r"^python \S+/", "", job.command).replace("probing/", "")
        if job.rule != "layerscope_configuration":
            assert command == commands[without_prefix(job)], job


def test_everything_lies_below_the_prefix(planned: Plan) -> None:
    for job in planned:
        places = {*PLACE.findall(job.command), *PLACE.findall(" ".join(job.inputs + job.outputs))}
        assert places == {"probing/"}, job


def test_the_same_rules_stay_where_snakemake_runs(other: Path) -> None:
    """Downloads need a network, which nodes of a cluster do not have."""
    local = {rule.name for rule in rules(other / "Snakefile").values() if rule.local}
    assert local == {f"layerscope_{rule.name}" for rule in rules().values() if rule.local}
    assert "layerscope_fetch_model" in local


def test_files_of_the_user_have_no_prefix(planned: Plan) -> None:
    (compared,) = (job for job in planned if job.rule == "layerscope_table_reproduction")
    assert "values.csv" in compared.inputs
    assert "references=values.csv" in compared.command


def test_its_jobs_run(other: Path) -> None:
    result = snakemake(other, other, "--cores", "1", CHEAP, "layerscope_estimate")
    assert result.returncode == 0, result.stdout
    assert (other / CHEAP).is_file()
    assert (other / "probing/logs/miniature/estimate.log").read_text("utf-8") in result.stdout
    dry = ("--dry-run", "--printshellcmds", "--nocolor")
    again = parse(snakemake(other, other, *dry, CHEAP, "layerscope_download").stdout)
    assert {job.rule for job in again} == {"layerscope_fetch_model", "layerscope_download"}


def test_some_of_its_rules_alone(other: Path, tmp_path: Path) -> None:
    text = OUTER.replace("use rule *", "use rule prepare_task, subsample")
    (tmp_path / "outer.yaml").write_text((other / "outer.yaml").read_text(encoding="utf-8"))
    shutil.copyfile(other / "values.csv", tmp_path / "values.csv")
    (tmp_path / "Snakefile").write_text(text[: text.index("rule all")], encoding="utf-8")
    result = snakemake(tmp_path, tmp_path, "--dry-run", "--printshellcmds", "--nocolor", CHEAP)
    assert result.returncode == 0, result.stdout
    assert {job.rule for job in parse(result.stdout)} == {
        "layerscope_prepare_task",
        "layerscope_subsample",
    }


def test_both_entry_files_plan_the_same(plain: Plan, other: Path) -> None:
    """The one in the root, and the one where catalogs of workflows look."""
    inner = plan(ROOT / "workflow", other, other / "plain.yaml") - {Job("all")}
    assert {(job, job.command) for job in inner} == {(job, job.command) for job in plain}


def test_the_catalog_of_workflows_finds_what_it_asks_for() -> None:
    stated = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))
    assert stated["usage"]["mandatory-flags"]["flags"] == ""
    assert (ROOT / "config" / "README.md").is_file()
    assert (ROOT / "workflow" / "Snakefile").is_file()
