"""How many jobs of each rule a configuration asks for: one formula, that other tests use too."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from running import (
    DEMO,
    MINIATURE,
    PAPER,
    ROOT,
    Config,
    Job,
    count,
    plan,
    read_config,
    snakemake,
    write_config,
)

from layerscope import catalogue

REFERENCES = "references.csv"

BASELINES = {"nli": 4, "ner": 2}  # majority, bag of words; for pairs also of each half alone


def expected(config: Config) -> dict[str, int]:
    """Jobs by rule, from the configuration alone."""
    tasks, models, variants = config["tasks"], config["models"], config["variants"]
    made = [m for m in models.values() if m["source"]["kind"] in ("scratch", "continued")]
    used = {m["source"]["corpus"] for m in made}
    tuned = sum(percent > 0 for percent in variants["percentages"]) * len(variants["seeds"])
    untrained = 1 + len(variants.get("random_seeds", [0]))  # pre-trained, random weights
    pairs = len(tasks) * len(models)
    baselines = sum(BASELINES[task["kind"]] for task in tasks.values())
    on = {name for name in catalogue.SWITCHES if config.get("analyses", {}).get(name, True)}
    similar, compared = "similarity" in on, "similarity" in on and len(models) > 1
    causal = config.get("interventions", {}) is not None
    conditions = {
        "models": compared,
        "attention": config["attention"] is not None,
        "interventions": causal,
        "references": bool(config.get("references")),
        "adapter-pairs": any(m.get("adapter") for m in models.values()),
        "training-repeats": any("training_seed" in m for m in models.values()),
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
        "sample_for_probes": sum(len(task.get("probe_rows", [0])) for task in tasks.values()),
        "fetch_model": len(models) - len(made),
        "fetch_files": sum(task["source"]["kind"] == "hub" for task in tasks.values()),
        "pretrain": len(made),
        "finetune": pairs * tuned,
        "extract_base": pairs * untrained,
        "extract_finetuned": pairs * tuned,
        "probe": len(models) * (untrained + tuned) * probes,
        "similarity": pairs * (untrained + tuned) * similar,
        "compare_models": len(tasks) * (1 + largest) if compared else 0,
        "baseline": baselines * tuned,
        "score": pairs + baselines,
        "intervene": pairs * largest * causal,
        "patch": pairs * largest * (causal and "patching" in on),
        "head_lens": pairs * largest * ("head_lens" in on),
        "head_importance": pairs * largest * ("head_importance" in on),
        "representation_quality": (
            pairs * (untrained + largest) * ("representation_quality" in on)
        ),
        "usable_information": pairs * (untrained + tuned) * ("usable_information" in on),
        **{
            page.name: len(tasks) if page.by_task else 1
            for page in catalogue.planned(catalogue.PAGES, on)
        },
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


def _miniature(config: Config) -> Config:
    return config


def _demo(_: Config) -> Config:
    return read_config(DEMO)


def _paper(_: Config) -> Config:
    return read_config(PAPER) | {"references": REFERENCES}


def _one_task(config: Config) -> Config:
    del config["tasks"]["hpo-ner"]
    return config


def _fetched_models_alone(config: Config) -> Config:
    return config | {"models": {"bert-tiny": config["models"]["bert-tiny"]}}


def _more_fractions_and_seeds(config: Config) -> Config:
    return config | {"variants": {"percentages": [0, 10, 30, 50, 100], "seeds": [1, 2, 3]}}


def _fewer_analyses(config: Config) -> Config:
    return config | {"analyses": {"similarity": False, "heads": False, "summary": False}}


def _other_analyses(config: Config) -> Config:
    off = ("layer_localization", "significance", "error_analysis", "weight_change", "explorer")
    off += (
        "patching",
        "head_lens",
        "head_importance",
        "representation_quality",
        "usable_information",
    )
    return config | {"analyses": dict.fromkeys(off, False), "attention": None}


def _several_rows_and_draws(config: Config) -> Config:
    config["tasks"]["hpo-ner"] |= {"probe_rows": ["reserved", "train"], "reserved": 20}
    config["variants"]["random_seeds"] = [3, 1]
    return config


def _no_interventions(config: Config) -> Config:
    return config | {"interventions": None}


def _published_values(config: Config) -> Config:
    return config | {"references": REFERENCES}


def _passing_activations(config: Config) -> Config:
    config["variants"] = {"percentages": [0, 10, 50], "seeds": [1, 2]}
    return config | {"activations": {"keep": "before-and-after"}}


@pytest.mark.parametrize(
    "study",
    [
        _miniature,
        *(
            pytest.param(study, marks=pytest.mark.slow)
            for study in (
                _demo,
                _paper,
                _one_task,
                _fetched_models_alone,
                _more_fractions_and_seeds,
                _fewer_analyses,
                _other_analyses,
                _several_rows_and_draws,
                _no_interventions,
                _published_values,
                _passing_activations,
            )
        ),
    ],
)
def test_jobs_are_those_of_the_formula(study: Callable[[Config], Config], tmp_path: Path) -> None:
    """Their number by rule. Rules for activations that do not stay are the same work."""
    config = study(read_config(MINIATURE))
    run = tmp_path / "run"
    run.mkdir()
    shutil.copyfile(ROOT / "config" / REFERENCES, tmp_path / REFERENCES)
    jobs = {
        Job(job.rule.removesuffix("_temp"), job.wildcards)
        for job in plan(ROOT, run, write_config(tmp_path / "study.yaml", config))
    }
    assert count(jobs) == expected(config)
    if study is not _miniature:
        assert expected(config) != expected(read_config(MINIATURE))


@pytest.mark.slow
def test_jobs_are_told_what_is_reserved(tmp_path: Path) -> None:
    """And probes read its rows from the training table."""
    config = _several_rows_and_draws(read_config(MINIATURE))
    (tmp_path / "run").mkdir()
    found = plan(ROOT, tmp_path / "run", write_config(tmp_path / "study.yaml", config))
    ner = [job for job in found if job.of("task") == "hpo-ner"]
    samples = {job.of("split"): job for job in ner if job.rule == "sample_for_probes"}
    assert {split: job.inputs for split, job in samples.items()} == dict.fromkeys(
        ("reserved", "train"), ("results/miniature/data/hpo-ner/train.parquet",)
    )
    assert "--reserved 20 --part reserved " in samples["reserved"].command
    assert "--reserved 20 --part tuned-on " in samples["train"].command
    drawn = [job.command for job in ner if job.rule == "subsample"]
    assert drawn
    assert all("--reserved 20 " in command for command in drawn)
    extracted = [job.command for job in ner if job.rule.startswith("extract")]
    tables, samples_read = "/train.parquet", "probe-reserved.parquet"
    assert all(command.count(tables) == 2 and samples_read in command for command in extracted)


def test_the_formula_in_plain_numbers() -> None:
    """Of what the miniature and `make demo` take their time for, as docs have it."""
    miniature, demo = (expected(read_config(study)) for study in (MINIATURE, DEMO))
    costly = ("pretrain", "finetune", "extract_base", "extract_finetuned", "probe")
    assert [miniature[rule] for rule in costly] == [1, 8, 8, 8, 32]
    assert [demo[rule] for rule in costly] == [3, 32, 16, 32, 96]
    assert sum(miniature.values()) == 249


def test_merged_tags_are_for_what_learns_from_entities(tmp_path: Path) -> None:
    config = read_config(MINIATURE) | {"protocol": "published"}
    jobs = plan(ROOT, tmp_path / "run", write_config(tmp_path / "study.yaml", config))
    told = {(job.rule, job.of("task")) for job in jobs if "--merge-tags" in job.command}
    rules = ("finetune", "extract_finetuned", "probe", "intervene", "patch", "head_lens")
    rules += ("head_importance",)
    assert told == {(rule, "hpo-ner") for rule in rules}


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
