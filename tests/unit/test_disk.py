"""Disk of a study, by the policy of what is kept; and an estimate that adds up."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from planned_jobs import DEMO, EXTRACT, PAPER, estimated, need, paper, some_jobs

from layerscope.config import jobs
from layerscope.config.extraction import EveryLayer
from layerscope.config.load import read_yaml, validate
from layerscope.core.errors import UserError
from layerscope.resources.choices import choices, choices_in_words
from layerscope.resources.estimate import estimate, in_words
from layerscope.resources.layers import check_layers
from layerscope.resources.needs import WRITTEN, needs
from layerscope.resources.rows import probed_rows
from layerscope.resources.sizes import USUAL, Sizes, TaskSize, read_sizes


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing has been fetched or prepared here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_activations_on_disk_by_hand() -> None:
    """JNLPBA, BERT-base: 13 float16 states of 768 of test words and of those that probes read."""
    study = paper()
    words = read_sizes(study).tasks["jnlpba"].words
    found = need(study, "extract_finetuned", **EXTRACT)
    assert found.activations_mb == pytest.approx(words * (1927 + 3856) * 13 * 768 * 2 / 1e6)
    published = need(paper(protocol="published"), "extract_finetuned", **EXTRACT)
    learned = 150_000 + words * 3856
    assert published.activations_mb == pytest.approx(learned * 13 * 768 * 2 / 1e6)


def test_a_second_pooling_takes_disk_and_no_pass() -> None:
    """MedNLI, BERT-base: a pass of the pair is the work, and its vectors are small."""

    def of(*views: str) -> Any:
        task = read_yaml(PAPER)["tasks"]["mednli"] | {"views": list(views)}
        tasks = read_yaml(PAPER)["tasks"] | {"mednli": task}
        wildcards = {"task": "mednli", "model": "bert", "variant": "pretrained"}
        return need(paper(tasks=tasks), "extract_base", **wildcards)

    joint, both, apart = of("joint"), of("joint", "joint-last"), of("joint", "separate")
    assert both.activations_mb == pytest.approx(2 * joint.activations_mb)
    assert apart.activations_mb == pytest.approx(3 * joint.activations_mb)
    written = (both.activations_mb - joint.activations_mb) / WRITTEN
    assert both.seconds - joint.seconds == pytest.approx(written)
    assert apart.seconds - joint.seconds > 2 * written
    assert both.mem_mb > joint.mem_mb


def test_a_limit_bounds_what_probes_learn_from_and_nothing_else() -> None:
    study = paper()
    size = TaskSize({"train": 100, "validation": 10, "test": 10}, 30.0)
    assert probed_rows(study, size, "jnlpba") == ([300], 300)
    assert probed_rows(study, size, "mednli") == ([10], 10)
    large = TaskSize({"train": 10_000, "validation": 10_000, "test": 10}, 30.0)
    assert probed_rows(study, large, "jnlpba") == ([150_000], 300)
    task = read_yaml(PAPER)["tasks"]["jnlpba"] | {"probe_rows": ["validation", "train"]}
    both = paper(tasks={"jnlpba": task})
    assert probed_rows(both, size, "jnlpba") == ([300, 3000], 300)
    some = paper(tasks={"jnlpba": task | {"probe_test_limit": 60}})
    assert probed_rows(some, size, "jnlpba") == ([300, 3000], 60)


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("all", ["pretrained", "random-s0", "f30-s1", "f30-s2", "f100-s1", "f100-s2"]),
        ("before-and-after", ["pretrained", "f100-s1", "f100-s2"]),
        ("none", []),
    ],
)
def test_what_each_policy_keeps(keep: str, expected: list[str]) -> None:
    config = copy.deepcopy(read_yaml(DEMO))
    config["activations"]["keep"] = keep
    study = validate(config)
    assert jobs.kept_variants(study) == expected
    sizes = read_sizes(study)
    found = estimate(study, sizes, some_jobs(study))
    assert found.activations_mb["none"] == 0
    assert found.activations_mb["all"] == pytest.approx(
        2 * found.activations_mb["before-and-after"]
    )
    disk = sum(line.disk_mb for line in found.lines.values())
    without = sum(
        needs(study, sizes, rule, wildcards).other_mb for rule, wildcards in some_jobs(study)
    )
    assert disk == pytest.approx(without + found.activations_mb[keep])


def test_layers_and_test_rows_are_shown_side_by_side() -> None:
    """Of GPT-2 medium all 25 states, or 0, 4, 8, 12, 16, 20 and 24."""
    tasks = read_yaml(PAPER)["tasks"]
    tasks["jnlpba"]["probe_test_limit"] = 50_000
    study = paper(tasks=tasks, activations={"layers": {"every": 2}, "keep": "none"})
    sizes, planned = read_sizes(study), some_jobs(study)
    found = choices(study, sizes, planned)
    shown = [(each.layers, any(each.limits.values()), each.is_own) for each in found]
    fourth, half = EveryLayer(every=4), EveryLayer(every=2)
    assert shown == [
        ("all", False, False), ("all", True, False), (fourth, False, False), (fourth, True, False),
        (half, True, True),
    ]  # fmt: skip
    whole, capped, some, both, own = (each.cost for each in found)
    assert whole.temp_mb > capped.temp_mb > both.temp_mb
    assert some.temp_mb == pytest.approx(whole.temp_mb * 7 / 25)
    assert own == estimate(study, sizes, planned)
    assert both.lines["similarity"].core_hours < 0.4 * capped.lines["similarity"].core_hours
    text = choices_in_words(study, found).splitlines()
    assert text[-1].split()[:2] == ["every", "2nd"]
    assert text[-1].endswith("(this study)")


def test_a_layer_past_the_last_of_a_known_model_is_refused() -> None:
    study = paper(activations={"layers": [0, 24]})
    with pytest.raises(UserError) as caught:
        check_layers(study, read_sizes(study))
    assert str(caught.value) == (
        "activations.layers: 24 is past the last layer of models.bert; allowed: 0 (the embeddings) "
        "to 12"
    )
    unknown = Sizes({"bert": USUAL["encoder"]}, {})
    check_layers(study, unknown)


def test_the_estimate_adds_up() -> None:
    study = paper()
    found = estimated(study)
    lines = found.lines.values()
    assert sum(line.jobs for line in lines) == len(some_jobs(study))
    text = in_words(study, found)
    (total,) = (line for line in text.splitlines() if line.startswith("total"))
    assert f"{sum(line.jobs for line in lines):,}" in total.split()
    assert "before-and-after" in text
