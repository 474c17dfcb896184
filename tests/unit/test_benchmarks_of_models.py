"""The benchmarks that run models, on tiny shapes: they run, and what they compare is equal."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.slow
def test_a_stage_writes_what_it_measured(tmp_path: Path) -> None:
    """What is in it, test_benchmarks.py says of every stage."""
    out = tmp_path / "figures.json"
    run = importlib.import_module("stage_attention").run
    importlib.import_module("stage").main(run, ["--smoke", "--out", str(out)])
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["stage"] == "attention"
    assert figures["ways"]


def test_other_results_are_refused() -> None:
    equal = importlib.import_module("stage").equal
    with pytest.raises(AssertionError, match=r"differ by 0\.5; allowed: 0\.1"):
        equal("a way", [1.0, 2.5], [1.0, 2.0], 0.1)
    with pytest.raises(AssertionError, match="shapes"):
        equal("a way", [1.0], [1.0, 2.0], 0.1)


@pytest.mark.parametrize("name", ["TINY_BERT", "TINY_GPT2"])
def test_operations_are_those_of_the_products(name: str) -> None:
    """Of all products of a pass, which is one with a weight or one of attention."""
    shapes = importlib.import_module("shapes")
    shape = getattr(shapes, name)
    model = shape.model()
    model.set_attn_implementation("eager")
    ids = torch.randint(0, 1000, (1, 37))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=ids)
    pooler = 2 * shape.width**2 if name == "TINY_BERT" else 0
    assert shape.flops([37]) == counter.get_total_flops() - pooler


def test_made_up_words_have_the_sub_words_they_should() -> None:
    shapes = importlib.import_module("shapes")
    tokenizer = shapes.tokenizer(shapes.TINY_BERT)
    words = [word for sentence in shapes.sentences(400) for word in sentence]
    pieces = tokenizer(words, add_special_tokens=False)["input_ids"]
    assert [len(ids) for ids in pieces] == [1 + word.count("b") for word in words]
    assert sum(map(len, pieces)) / len(words) == pytest.approx(1.4, abs=0.03)
    assert len(words) / 400 == pytest.approx(26.6, abs=1.5)
