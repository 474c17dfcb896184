"""A configuration that is refused: one clear line, exit code 1, nothing made."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from running import (
    MINIATURE,
    ROOT,
    Config,
    copy_workflow,
    plan,
    read_config,
    snakemake,
    write_config,
)


def _refused(folder: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """Run, do not only plan, with options that are to be refused."""
    profile = ROOT / "profiles" / "local"
    result = snakemake(ROOT, folder, "--profile", profile, "--cores", "1", *options)
    assert result.returncode == 1, result.stdout
    assert [path.name for path in folder.iterdir() if path.name != ".snakemake"] == []
    return result


def _percentage(config: Config) -> None:
    config["variants"]["percentages"][1] = 130


def _misspelt_key(config: Config) -> None:
    config["models"]["bert-tiny"]["architectur"] = config["models"]["bert-tiny"].pop("architecture")


def _wrong_type(config: Config) -> None:
    config["finetuning"]["nli"]["epochs"] = "three"


def _unfit_probe(config: Config) -> None:
    config["tasks"]["hpo-ner"]["probes"] = ["svm"]


def _no_such_folder(config: Config) -> None:
    config["models"]["bert-tiny"]["source"] = {"kind": "folder", "path": "no/such/folder"}


@pytest.mark.parametrize(
    "mistakes",
    [
        {
            _percentage: "variants.percentages[1]: 130; allowed: a whole number from 0 to 100",
            _misspelt_key: "models.bert-tiny.architectur: ",
            _wrong_type: "finetuning.nli.epochs: 'three'; allowed: a whole number",
        },
        {
            _unfit_probe: "tasks.hpo-ner.probes[0]: 'svm' does not fit a task of kind 'ner'",
        },
        {
            _no_such_folder: (
                "models.bert-tiny.source.path: '{folder}/no/such/folder' has no config"
            ),
        },
    ],
)
def test_every_mistake_is_named_in_one_clear_line(
    mistakes: dict[Callable[[Config], None], str], tmp_path: Path
) -> None:
    """Values by themselves, what fits together, and what must be there.

    tests/unit/test_config_mistakes.py has each kind of mistake.
    """
    config = read_config(MINIATURE)
    for make in mistakes:
        make(config)
    file = write_config(tmp_path / "study.yaml", config)
    output = _refused(tmp_path / "run", "--configfile", file).stdout
    lines = output.splitlines()
    for said in mistakes.values():
        start = said.format(folder=tmp_path)  # where the configuration is; it is run elsewhere
        assert len([line for line in lines if line.startswith(start)]) == 1, output
    assert "Traceback" not in output


def test_a_name_that_another_study_has_for_another_model(tmp_path: Path) -> None:
    source = {"kind": "package", "package": "another", "folder": "model"}
    other = {"study": "other", "models": {"bert-tiny": {"source": source}}}
    file = tmp_path / "results" / "other" / "config.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(other), encoding="utf-8")
    result = snakemake(ROOT, tmp_path, "--cores", "1", "--configfile", MINIATURE)
    assert result.returncode == 1
    assert "\nmodels.bert-tiny.source.package: 'tiny_bert', but study 'o" in result.stdout
    assert not (tmp_path / "resources").exists()


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(MINIATURE.read_text(encoding="utf-8") + "\ndata_seed: 8\n", encoding="utf-8")
    output = _refused(tmp_path / "run", "--configfile", file).stdout
    line = len(file.read_text(encoding="utf-8").splitlines())
    assert f"{file} line {line}: key 'data_seed' occurs twice" in output
    assert "Traceback" not in output


def test_a_mistake_on_the_command_line(tmp_path: Path) -> None:
    output = _refused(tmp_path / "run", "--configfile", MINIATURE, "--config", "stdy=x").stdout
    assert "\nstdy: unknown key with value 'x';" in output


def test_the_configuration_of_a_checkout_is_read_before_snakemake_reads_it(tmp_path: Path) -> None:
    workflow = copy_workflow(tmp_path / "workflow")
    (workflow / "config" / "config.yaml").write_text("study: 2020-13-45\n", encoding="utf-8")
    result = snakemake(workflow, tmp_path / "run", "--dry-run")
    assert result.returncode == 1
    assert "config.yaml line 1: '2020-13-45' is not a valid timestamp" in result.stdout
    assert "Traceback" not in result.stdout


@pytest.mark.parametrize("text", ["study: [x\n", "- a\n- b\n"])
def test_a_file_that_is_no_configuration(text: str, tmp_path: Path) -> None:
    """Snakemake itself refuses these, before it reads the workflow."""
    file = tmp_path / "study.yaml"
    file.write_text(text, encoding="utf-8")
    output = _refused(tmp_path / "run", "--configfile", file).stdout
    assert "Config file" in output.splitlines()[-1]
    assert "Traceback" not in output


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    """So is this one, in Snakemake's own words; the demo is not run in its stead."""
    file = tmp_path / "gone.yaml"
    output = _refused(tmp_path / "run", "--configfile", file).stdout
    assert str(file) in output.strip().splitlines()[-1]


def test_a_study_is_not_merged_with_the_demo(tmp_path: Path) -> None:
    """Neither models nor settings of config.yaml come into another file's study."""
    config = read_config(MINIATURE)
    del config["statistics"]
    jobs = plan(ROOT, tmp_path / "run", write_config(tmp_path / "study.yaml", config))
    assert {job.of("model") for job in jobs if job.rule == "finetune"} == {"bert-tiny", "gpt-tiny"}
    assert {path.split("/")[1] for job in jobs for path in job.outputs} == {"miniature", "models"}
    text = (ROOT / "config" / "config.yaml").read_text(encoding="utf-8")
    assert "gpt-mini-hpo" in text  # what would have come in
    assert not [job for job in jobs if "gpt-mini" in job.command]


def test_a_key_on_the_command_line_goes_into_the_given_study(tmp_path: Path) -> None:
    jobs = plan(ROOT, tmp_path, MINIATURE, "--config", "study=renamed")
    assert {path.split("/")[1] for job in jobs for path in job.outputs} == {"renamed", "models"}
