"""What jobs need: sizes against real architectures, and needs that grow with what they are for."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from planned_jobs import (
    DEMO,
    EXTRACT,
    PAPER,
    PROBE,
    TUNE,
    Config,
    estimated,
    need,
    paper,
    some_jobs,
)
from transformers import (
    AutoModel,
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    GPTNeoConfig,
    LlamaConfig,
    MixtralConfig,
    ModernBertConfig,
    Qwen3Config,
    Qwen3MoeConfig,
)

from layerscope.config import jobs
from layerscope.config.load import read_yaml, validate
from layerscope.config.schema import Study
from layerscope.core.packages import package_folders
from layerscope.resources.computing import CUDA, GPU_FROM, Needs
from layerscope.resources.estimate import in_words
from layerscope.resources.needs import needs, probes_on_gpus
from layerscope.resources.sizes import (
    USUAL,
    ModelSize,
    Sizes,
    TaskSize,
    read_sizes,
    size_of_config,
)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing has been fetched or prepared here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- sizes -----------------------------------------------------------------------------------

#: Heads that share keys, and a gate.
GROUPED: Config = {
    "hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 320, "vocab_size": 200,
}  # fmt: skip


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(),
        BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536),
        GPT2Config(n_embd=1024, n_layer=24, n_head=16),
        GPT2Config(n_embd=192, n_layer=4, n_head=4, vocab_size=4096, n_positions=256),
        DistilBertConfig(dim=96, n_layers=3, n_heads=4),
        GPTNeoConfig(hidden_size=64, num_layers=4, num_heads=4, attention_types=[[["global"], 4]]),
        LlamaConfig(**GROUPED, max_position_embeddings=131072),
        Qwen3Config(**GROUPED, head_dim=64),
        MixtralConfig(**GROUPED, num_local_experts=4),
        Qwen3MoeConfig(
            **GROUPED, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=200, head_dim=24
        ),
        ModernBertConfig(
            hidden_size=96,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=160,
            vocab_size=200,
            pad_token_id=0,
        ),
    ],
)
def test_weights_are_counted_as_in_the_model_itself(config: Any) -> None:
    size = size_of_config(json.loads(config.to_json_string()))
    assert size is not None
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    assert size.parameters == pytest.approx(model.num_parameters(), rel=0.01)


@pytest.mark.parametrize("config", [{}, {"num_hidden_layers": 2}, {"hidden_size": "large"}])
def test_a_config_without_these_keys_has_no_size(config: Config) -> None:
    assert size_of_config(config) is None


def test_a_fetched_model_counts_before_what_is_stated(elsewhere: Path) -> None:
    study = paper()
    stated = read_sizes(study).models["bert"]
    assert (stated.layers, stated.width, stated.vocabulary, stated.assumed) == (
        12,
        768,
        28996,
        False,
    )
    folder = elsewhere / "resources" / "models" / "bert"
    folder.mkdir(parents=True)
    config = BertConfig(hidden_size=128, num_hidden_layers=2, intermediate_size=512)
    (folder / "config.json").write_text(config.to_json_string(), encoding="utf-8")
    assert read_sizes(study).models["bert"] == ModelSize(2, 128, 12, 30522, 512, 512, limit=512)


@pytest.mark.parametrize(
    "text",
    [
        "[1]", "null", "[" * 100_000, '{"hidden_size": ' + "1" * 5000 + "}",
        '{"model_type": "' + "x" * 5000 + '"}', '{"model_type": ["bert"]}',
        '{"hidden_size": true, "num_hidden_layers": 2, "num_attention_heads": 1, "vocab_size": 9}',
        '{"hidden_size": -4, "num_hidden_layers": 2, "num_attention_heads": 1, "vocab_size": 9}',
        '{"splits": [1]}', '{"splits": {"train": {"examples": 3, "words": 9}}}',
        '{"splits": {"train": {"examples": 1e999, "words": NaN}, "validation": 3, "test": ""}}',
    ],
)  # fmt: skip
def test_files_of_another_shape_say_nothing(text: str, elsewhere: Path) -> None:
    """A plan goes on as without them; the jobs that need such a file say what is wrong."""
    study = paper()
    before = read_sizes(study)
    for path in ("resources/models/bert/config.json", "results/paper/data/jnlpba/report.json"):
        (elsewhere / path).parent.mkdir(parents=True)
        (elsewhere / path).write_text(text)
    assert read_sizes(study) == before


def test_nothing_known_is_assumed_and_said(elsewhere: Path) -> None:
    config = copy.deepcopy(read_yaml(PAPER)) | {"references": None}
    del config["models"]["biogpt"]["source"]["size"]
    del config["tasks"]["jnlpba"]["source"]["examples"]
    study = validate(config)
    assert read_sizes(study).models["biogpt"] == USUAL["decoder"]
    found = estimated(study)
    assert found.assumed == ("models.biogpt", "tasks.jnlpba")
    assert "were assumed: models.biogpt, tasks.jnlpba." in in_words(study, found)
    assert estimated(paper()).assumed == ()


def test_a_model_made_here_has_its_shape_and_a_continued_one_its_bases() -> None:
    sizes = read_sizes(validate(read_yaml(DEMO)))
    assert sizes.models["gpt-mini"] == ModelSize(4, 192, 4, 4096, 256, 768, limit=256)
    assert sizes.models["minilm"].layers == 6
    assert sizes.models["minilm-hpo"] == sizes.models["minilm"]


@pytest.mark.parametrize("name", ["__main__", "", "a.b", "os", "no_such"])
def test_what_is_no_package_has_no_folder(name: str) -> None:
    assert package_folders(name) == []


def test_prepared_data_counts_before_what_is_stated(elsewhere: Path) -> None:
    study = paper()
    assert read_sizes(study).tasks["jnlpba"].examples["train"] == 16619
    folder = elsewhere / "results" / "paper" / "data" / "jnlpba"
    folder.mkdir(parents=True)
    splits = {s: {"examples": 10, "words": 200} for s in ("train", "validation", "test")}
    report = {"splits": splits, "labels": ["O", "B-x", "I-x"]}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    assert read_sizes(study).tasks["jnlpba"] == TaskSize(dict.fromkeys(splits, 10), 20.0, labels=3)


def test_labels_that_are_mapped_count_before_the_data_is_prepared() -> None:
    labels = {f"{prefix}-{number}": f"{prefix}-{number}" for number in range(9) for prefix in "BI"}
    task = read_yaml(PAPER)["tasks"]["jnlpba"]
    task["source"] |= {"labels": labels | {"0": "O", "?": None}}
    assert read_sizes(paper(tasks={"jnlpba": task})).tasks["jnlpba"].labels == 19
    assert read_sizes(paper()).tasks["mednli"].labels == 3


@pytest.mark.parametrize(
    ("rule", "wildcards"),
    [
        ("score", {"task": "mednli", "system": "bert"}),
        ("part_error_analysis", {"task": "mednli", "model": "bert"}),
        ("table_scores", {}),
        ("baseline", {"task": "mednli"}),
        ("probe", {"task": "mednli", "model": "bert", "variant": "pretrained", "probe": "linear"}),
    ],
)
def test_many_labels_need_more(rule: str, wildcards: dict[str, str]) -> None:
    study = paper()
    sizes = read_sizes(study)
    few, many = (
        needs(study, replace(sizes, tasks={**sizes.tasks, "mednli": task}), rule, wildcards)
        for task in (replace(sizes.tasks["mednli"], labels=labels) for labels in (3, 50_000))
    )
    assert many.mem_mb > 1.1 * few.mem_mb
    assert many.seconds > few.seconds


def test_limits_bound_the_examples() -> None:
    sizes = read_sizes(validate(read_yaml(DEMO)))
    assert sizes.tasks["hpo-nli"].examples == {"train": 840, "validation": 210, "test": 270}


# --- needs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "wildcards"),
    [("finetune", TUNE), ("extract_finetuned", EXTRACT), ("probe", PROBE)],
)
def test_a_larger_model_needs_more(rule: str, wildcards: dict[str, str]) -> None:
    study = paper()
    small = need(study, rule, **wildcards)
    large = need(study, rule, **wildcards | {"model": "gpt2-medium"})
    # One that would keep a core busy for long is given a GPU.
    assert large.seconds > 1.5 * small.seconds - 10 or large.gpu > small.gpu
    assert large.mem_mb > small.mem_mb
    assert large.activations_mb >= small.activations_mb


def test_fine_tuning_takes_time_in_proportion_to_its_fraction() -> None:
    study = paper()
    times = {p: need(study, "finetune", **TUNE | {"percent": str(p)}).seconds for p in (50, 100)}
    fixed = 10
    # Held-out data is the same for both.
    assert times[100] - fixed == pytest.approx(2 * (times[50] - fixed), rel=0.1)


def test_arithmetic_of_fine_tuning_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """BERT-base on 1,000 examples of 51 sub-words, one epoch, on a core: 6 operations a weight."""
    from layerscope.resources import computing as module

    monkeypatch.setattr(module, "GPU_FROM", 1e9)
    study = paper(
        finetuning={
            "nli": read_yaml(DEMO)["finetuning"]["nli"],
            "ner": {"learning_rate": 1e-5, "epochs": 1, "min_steps": 0, "batch_size": 8},
        }
    )
    size = ModelSize(12, 768, 12, 28996, 512, 3072)
    task = TaskSize({"train": 1000, "validation": 0, "test": 0}, 30.0)
    found = needs(study, Sizes({"bert": size}, {"jnlpba": task}), "finetune", TUNE)
    assert size.body == 84_934_656
    assert found.seconds == pytest.approx(10 + 6 * 84_934_656 * 51 * 1000 / 4e10)
    assert found.gpu == 0


def test_a_gpu_is_asked_for_where_a_core_would_take_long() -> None:
    assert need(paper(), "finetune", **TUNE).gpu == 1
    config = read_yaml(DEMO)
    demo = validate(config)
    config["models"]["minilm"] |= {"adapter": {"kind": "lora"}, "quantisation": "4bit"}
    job = {"task": "hpo-nli", "model": "minilm", "percent": "10", "seed": "1"}
    assert need(validate(config), "finetune", **job).gpu == 1  # whose layers need one
    sizes = read_sizes(demo)
    for rule, wildcards in some_jobs(demo):
        found = needs(demo, sizes, rule, wildcards)
        assert found.gpu == 0, rule
        assert found.seconds < GPU_FROM, rule


def test_light_rules_never_ask_for_a_gpu() -> None:
    study = paper()
    sizes = read_sizes(study)
    asked = {rule for rule, w in some_jobs(study) if needs(study, sizes, rule, w).gpu}
    passes = {"finetune", "extract_base", "extract_finetuned", "intervene", "head_lens"}
    assert asked == passes


def test_a_probe_asks_for_a_gpu_if_that_is_several_times_faster_than_a_core() -> None:
    """Linear ones of many words and columns do; libsvm's search, which no GPU does, takes long."""
    study = paper()
    sizes = read_sizes(study)
    wide = replace(sizes.models["gpt2-medium"], width=4096, layers=32)
    models = {**sizes.models, "gpt2-medium": wide}

    def asked(probe: str, task: str, rows: int) -> Needs:
        examples = dict.fromkeys(("train", "validation", "test"), rows)
        tasks = {**sizes.tasks, task: replace(sizes.tasks[task], examples=examples)}
        job = {"task": task, "model": "gpt2-medium", "variant": "f100-s1", "probe": probe}
        return needs(study, replace(sizes, models=models, tasks=tasks), "probe", job)

    words = asked("linear", "jnlpba", 2000)
    assert words.gpu == 1
    assert CUDA < words.mem_mb < 30_000
    assert words.device
    assert words.device.total > 4 * 4096 * 2 * 2000 * sizes.tasks["jnlpba"].words / 1e6  # vectors
    assert asked("linear", "jnlpba", 20).gpu == 0
    assert probes_on_gpus(study, replace(sizes, models=models))
    assert not probes_on_gpus(study, sizes)  # the cores beside a GPU do as much
    searched = asked("svm", "mednli", 50_000)
    assert searched.seconds > GPU_FROM
    assert searched.gpu == 0


def test_a_scheduler_is_asked_for_more_time_than_is_estimated() -> None:
    study = paper()
    sizes = read_sizes(study)
    for rule, wildcards in some_jobs(study):
        found = needs(study, sizes, rule, wildcards)
        assert found.minutes * 60 >= 3 * found.seconds


def test_interventions_are_counted_in_passes() -> None:
    """Each fraction takes two passes over the test data and one a draw; means as many once more."""
    intervened = {"task": "jnlpba", "model": "bert", "variant": "f100-s1"}

    def seconds(**settings: object) -> float:
        study = paper(interventions=settings)
        found = need(study, "intervene", **intervened)
        assert found.gpu == 1
        return found.seconds

    one = seconds(head_shares=[10], random_draws=1)  # 6 passes
    assert seconds(head_shares=[10, 50], random_draws=1) - one == pytest.approx(
        (seconds(head_shares=[10], random_draws=4) - one) / 2
    )
    assert seconds(head_shares=[10, 50], random_draws=1) > one


def test_weights_are_read_once_for_each_fine_tuned_variant() -> None:
    study = paper()

    def seconds(study: Study, model: str) -> float:
        part = need(study, "part_weight_change", task="jnlpba", model=model)
        assert part.gpu == 0
        return part.seconds - need(study, "part_similarity", task="jnlpba", model=model).seconds

    sizes = read_sizes(study).models
    larger = sizes["gpt2-medium"].parameters / sizes["bert"].parameters
    one = seconds(study, "bert")
    assert seconds(study, "gpt2-medium") == pytest.approx(larger * one)
    variants = {"percentages": [0, 100], "seeds": [1]}
    read = len(jobs.finetuned_variants(study))
    assert seconds(paper(variants=variants), "bert") == pytest.approx(one / read)


def test_an_unknown_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match="'polish'"):
        need(paper(), "polish", **TUNE)
