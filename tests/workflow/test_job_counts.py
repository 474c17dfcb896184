"""How many jobs of each rule a configuration asks for: by formula, and as plain numbers."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from running import (
    DEMO,
    MINIATURE,
    ROOT,
    Config,
    Plan,
    count,
    plan,
    read_config,
    snakemake,
    write_config,
)

from layerscope import catalogue

BASELINES = {"nli": 4, "ner": 2}  # majority, bag of words; for pairs also of each half alone


def expected(config: Config) -> dict[str, int]:
    """Jobs by rule, from the configuration alone."""
    tasks, models, variants = config["tasks"], config["models"], config["variants"]
    made = [m for m in models.values() if m["source"]["kind"] in ("scratch", "continued")]
    used = {m["source"]["corpus"] for m in made}
    tuned = sum(percent > 0 for percent in variants["percentages"]) * len(variants["seeds"])
    pairs = len(tasks) * len(models)
    baselines = sum(BASELINES[task["kind"]] for task in tasks.values())
    on = {name for name in catalogue.SWITCHES if config.get("analyses", {}).get(name, True)}
    similar, compared = "similarity" in on, "similarity" in on and len(models) > 1
    conditions = {
        "models": compared,
        "interventions": True,
        "references": "references" in config,
        "pretrained-here": bool(made),
    }
    on |= {name for name, holds in conditions.items() if holds}
    largest = len(variants["seeds"]) if max(variants["percentages"]) > 0 else 0
    probes = sum(len(task["probes"]) for task in tasks.values())
    counts = {
        "configuration": 1,
        "prepare_task": len(tasks),
        "prepare_corpus": len(used),
        "subsample": len(tasks) * tuned,
        "sample_for_probes": len(tasks),
        "fetch_model": len(models) - len(made),
        "fetch_files": sum(task["source"]["kind"] == "hub" for task in tasks.values()),
        "pretrain": len(made),
        "finetune": pairs * tuned,
        "extract_base": pairs * 2,  # pre-trained, random weights
        "extract_finetuned": pairs * tuned,
        "probe": len(models) * (2 + tuned) * probes,
        "similarity": pairs * (2 + tuned) * similar,
        "compare_models": len(tasks) * (1 + largest) if compared else 0,
        "baseline": baselines * tuned,
        "score": pairs + baselines,
        "intervene": pairs * largest,
        **{page.name: 1 for page in catalogue.planned(catalogue.PAGES, on)},
        **{
            figure.rule: len(tasks) if figure.by_task else 1
            for figure in catalogue.planned(catalogue.FIGURES, on)
        },
        **{table.rule: 1 for table in catalogue.planned(catalogue.TABLES, on)},
        **{
            f"part_{table.name}": pairs if "model" in table.part.by else len(tasks)
            for table in catalogue.planned(catalogue.TABLES, on)
            if table.part
        },
        "all": 1,
    }
    return {rule: number for rule, number in counts.items() if number}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Of the study that runs without any --configfile."""
    return plan(ROOT, tmp_path_factory.mktemp("demo"), None)


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return plan(ROOT, tmp_path_factory.mktemp("miniature"), MINIATURE)


def test_of_the_demo_by_formula(demo: Plan) -> None:
    assert count(demo) == expected(read_config(DEMO))


def test_of_the_miniature_by_formula(miniature: Plan) -> None:
    assert count(miniature) == expected(read_config(MINIATURE))


def test_of_the_miniature_in_plain_numbers(miniature: Plan) -> None:
    """Two tasks, two models, one share, two seeds, two probes a task."""
    assert count(miniature) == {
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
        "baseline": 12,
        "score": 10,
        "summary": 1,
        "explorer": 1,
        "table_scores": 1,
        "part_probes": 4,
        "part_attention": 4,
        "part_similarity": 4,
        "table_probes": 1,
        "table_attention": 1,
        "table_association": 1,
        "table_entry": 1,
        "table_similarity": 1,
        "table_models": 1,
        "part_evaluation": 4,
        "part_interventions": 4,
        "part_differences": 2,
        "intervene": 8,
        "table_evaluation": 1,
        "table_interventions": 1,
        "table_differences": 1,
        "table_heads": 1,
        "table_pretraining": 1,
        "figure_scores": 1,
        "figure_pretraining": 1,
        "figure_probes": 2,
        "figure_controls": 2,
        "figure_attention": 2,
        "figure_association": 2,
        "figure_gain": 2,
        "figure_confusion": 2,
        "figure_entry": 2,
        "figure_similarity": 2,
        "figure_models": 2,
        "figure_differences": 2,
        "figure_heads": 2,
        "figure_inputs": 2,
        "figure_evaluation": 2,
        "figure_interventions": 2,
        "all": 1,
    }


def test_of_the_demo_in_plain_numbers(demo: Plan) -> None:
    """Two tasks, four models, two shares, two seeds: what `make demo` takes its time for."""
    counts = count(demo)
    costly = ("pretrain", "finetune", "extract_base", "extract_finetuned", "probe")
    assert [counts[rule] for rule in costly] == [3, 32, 16, 32, 96]


def _one_task(config: Config) -> None:
    del config["tasks"]["hpo-ner"]


def _fetched_models_alone(config: Config) -> None:
    config["models"] = {"minilm": config["models"]["minilm"]}


def _more_shares_and_seeds(config: Config) -> None:
    config["variants"] = {"percentages": [0, 10, 30, 50, 100], "seeds": [1, 2, 3]}


def _fewer_analyses(config: Config) -> None:
    config["analyses"] = {"similarity": False, "heads": False, "summary": False}


def _other_analyses(config: Config) -> None:
    config["analyses"] = dict.fromkeys(("entry", "differences", "evaluation", "explorer"), False)


def _published_values(config: Config) -> None:
    config["references"] = str(ROOT / "config" / "references.csv")


@pytest.mark.parametrize(
    "change",
    [
        _one_task,
        _fetched_models_alone,
        _more_shares_and_seeds,
        _fewer_analyses,
        _other_analyses,
        _published_values,
    ],
)
def test_of_other_studies_by_formula(change: object, tmp_path: Path) -> None:
    config = copy.deepcopy(read_config(MINIATURE))
    assert callable(change)
    change(config)
    jobs = plan(ROOT, tmp_path / "run", write_config(tmp_path / "study.yaml", config))
    assert count(jobs) == expected(config) != expected(read_config(MINIATURE))


@pytest.mark.parametrize(
    ("change", "merged"),
    [
        ({}, False),
        ({"protocol": "published"}, True),
        ({"protocol": "published", "tag_scheme": "iob2"}, False),
        ({"tag_scheme": "merged"}, True),
    ],
)
def test_merged_tags_are_for_what_learns_from_entities(
    change: Config, merged: bool, tmp_path: Path
) -> None:
    """By the protocol, or by the task where it says so itself."""
    config = copy.deepcopy(read_config(MINIATURE))
    if "tag_scheme" in change:
        config["tasks"]["hpo-ner"]["tag_scheme"] = change["tag_scheme"]
    config["protocol"] = change.get("protocol", "recommended")
    jobs = plan(ROOT, tmp_path / "run", write_config(tmp_path / "study.yaml", config))
    told = {(job.rule, job.of("task")) for job in jobs if "--merge-tags" in job.command}
    rules = ("finetune", "extract_finetuned", "probe", "intervene")
    learners = {(rule, "hpo-ner") for rule in rules}
    assert told == (learners if merged else set())


def test_wrong_published_values_stop_before_anything_runs(tmp_path: Path) -> None:
    table = tmp_path / "references.csv"
    text = (ROOT / "config" / "references.csv").read_text(encoding="utf-8")
    table.write_text(text.replace("0.776", "77.6"), encoding="utf-8")
    config = read_config(MINIATURE) | {"references": str(table)}
    file = write_config(tmp_path / "study.yaml", config)
    result = snakemake(ROOT, tmp_path / "run", "--dry-run", "--configfile", file)
    assert result.returncode != 0
    assert f"{table} line 2, column 'value': '77.6'; allowed: a share" in result.stdout
    assert "Traceback" not in result.stdout
