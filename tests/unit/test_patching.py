"""Layers exchanged between two models, against copies of weights, hooks and a planted change."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planned_jobs import need, paper
from planted import LABELS, PASSES, examples, with_head
from synthetic_tables import run_program
from tiny_families import save_family
from tiny_models import TEXTS, Tiny, read
from transformers import PreTrainedModel

from layerscope.analysis.patching import (
    INTO_FINE_TUNED,
    INTO_PRETRAINED,
    LINE,
    NONE,
    ONE,
    ONE_PATCHED,
    PATCHING,
    UP_TO,
    WEIGHTS,
    Mixture,
    Patch,
    Patched,
    layers_of,
    mixed,
    patches_of,
    patches_on,
    rows_of,
)
from layerscope.config.weights import Lora
from layerscope.core.applicability import reasons_of
from layerscope.core.formats import read_table, write_table
from layerscope.data.labels import TaskLabels
from layerscope.extraction.predictions import predict
from layerscope.models.adapters import add_adapter, save_adapter
from layerscope.models.batching import collate
from layerscope.models.inputs import encode_text
from layerscope.models.load import load_model, load_with_fresh_head
from layerscope.models.loaded import LoadedModel, load_fine_tuned
from layerscope.models.parts import blocks
from layerscope.resources.probes import CORE
from layerscope.resources.sizes import SUBWORDS, read_sizes
from layerscope.statistics import metrics

#: Of the tiny models; what follows their blocks, and which block a weight is of.
LAST = 2
READOUT = ("pooler.", "ln_f.", "layer_norm.")
BLOCK = re.compile(r"(?:layer|layers|h)\.(\d+)\.")
Change = Callable[[str, torch.Tensor], torch.Tensor]


def changed(model: PreTrainedModel, change: Change) -> PreTrainedModel:
    """A copy with other weights in its body."""
    found = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in found.base_model.named_parameters():
            weight.copy_(change(name, weight))
    return found


def noisy(tiny: Tiny, kind: str) -> PreTrainedModel:
    """As if fine-tuned: all weights of its body have moved."""
    torch.manual_seed(3)
    return changed(with_head(tiny, kind), lambda _, w: w + 0.3 * torch.randn_like(w) * w.std())


def layer_of(name: str) -> int | None:
    if name.startswith(READOUT):
        return None
    found = BLOCK.search(name)
    return int(found[1]) + 1 if found else 0


def spliced(tuned: PreTrainedModel, before: PreTrainedModel, mixture: Mixture) -> PreTrainedModel:
    """Weights put together by their names."""
    old = dict(before.named_parameters())

    def of(name: str, weight: torch.Tensor) -> torch.Tensor:
        layer = layer_of(name)
        share = 1.0 if layer is None else mixture[layer]
        return weight if share == 1 else share * weight + (1 - share) * old[name]

    return changed(tuned, of)


def batch_of(loaded: LoadedModel) -> dict[str, torch.Tensor]:
    sequences, _ = encode_text(loaded.tokenizer, loaded.special_tokens, TEXTS[:4], 48)
    return collate(sequences, loaded.special_tokens)


def answers(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> Any:
    with torch.inference_mode():
        return model(**batch)


def test_each_patch_says_what_its_mixture_is() -> None:
    patches = patches_of(3)
    assert Patch(ONE, (1, 1, 0, 1), INTO_FINE_TUNED, 2) in patches
    assert Patch(UP_TO, (1, 1, 1, 0), INTO_PRETRAINED, 2) in patches
    assert Patch(LINE, (0.25,) * 4, weight=0.25) in patches
    assert len(patches) == 2 * (1 + 4 + 4) + 5
    assert len({patch.mixture for patch in patches}) == 4 * 3 + 3
    assert {patch.name for patch in patches_of(3, single=False)} == {NONE, UP_TO, LINE}


@pytest.mark.parametrize(
    ("name", "bfloat16"), [("encoder", True), ("decoder", False), ("biogpt", False)]
)
def test_answers_are_those_of_weights_put_together_by_name(
    request: pytest.FixtureRequest, name: str, bfloat16: bool
) -> None:
    """With every patch; afterwards the model has its own parameters, to the bit."""
    tiny: Tiny = request.getfixturevalue(name)
    before, tuned = load_model(tiny.folder, tiny.tokenizer), noisy(tiny, "nli")
    loaded = replace(tiny, model=tuned)
    kept, own = copy.deepcopy(tuned.state_dict()), list(tuned.parameters())
    layers, single = layers_of(loaded, before)
    assert single
    mixtures = list(dict.fromkeys(patch.mixture for patch in patches_of(LAST)))
    batch = batch_of(loaded)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        found = answers(Patched(tuned, layers, mixtures), batch)
        expected = [answers(spliced(tuned, before, each), batch).logits for each in mixtures]
    tolerance = 0.05 if bfloat16 else 1e-4
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)
    assert (torch.stack(found[1:]) - found[0]).abs().amax(dim=(1, 2)).min() > 1e-3
    assert all(one is other for one, other in zip(tuned.parameters(), own, strict=True))
    assert kept.keys() == tuned.state_dict().keys()
    assert all(torch.equal(each, kept[name]) for name, each in tuned.state_dict().items())


@pytest.mark.parametrize("direction", [INTO_FINE_TUNED, INTO_PRETRAINED])
def test_up_to_a_layer_is_its_states_put_in_at_all_tokens(tiny: Tiny, direction: str) -> None:
    """By hooks: recorded in the one model, given in place of its own in the other."""
    before, tuned = load_model(tiny.folder, tiny.tokenizer), noisy(tiny, "ner")
    loaded, batch = replace(tiny, model=tuned), batch_of(tiny)
    both = [tuned, spliced(tuned, before, (0.0,) * (LAST + 1))]
    into, other = both if direction == INTO_FINE_TUNED else both[::-1]
    patches = [p for p in patches_of(LAST) if (p.name, p.direction) == (UP_TO, direction)]
    layers, _ = layers_of(loaded, before)
    found = answers(Patched(tuned, layers, [patch.mixture for patch in patches]), batch)
    real = batch["attention_mask"].bool()
    for patch, logits in zip(patches, found, strict=True):
        states: list[torch.Tensor] = []
        at = patch.layer or 0

        def keep(_: Any, given: Any, *output: Any, states: list[torch.Tensor] = states) -> None:
            states.append(output[0] if output else given[0])

        def give(_: Any, given: Any, *output: Any, states: list[torch.Tensor] = states) -> Any:
            return states[0] if output else (states[0], *given[1:])

        for model, hook in ((other, keep), (into, give)):
            block = blocks(model)[max(at - 1, 0)]
            handle = (
                block.register_forward_hook(hook) if at else block.register_forward_pre_hook(hook)
            )
            logits_of_hooks = answers(model, batch).logits
            handle.remove()
        torch.testing.assert_close(logits[real], logits_of_hooks[real], rtol=1e-4, atol=1e-5)


def test_a_failing_pass_leaves_the_model_as_it_was(encoder: Tiny) -> None:
    before, tuned = load_model(encoder.folder, encoder.tokenizer), noisy(encoder, "nli")
    layers, _ = layers_of(replace(encoder, model=tuned), before)
    own = list(tuned.parameters())

    def fail() -> None:
        with mixed(layers, (0.0, 0.5, 0.0)):
            assert next(tuned.parameters()) is not own[0]
            raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        fail()
    assert all(one is other for one, other in zip(tuned.parameters(), own, strict=True))


def test_an_adapter_is_weakened_as_its_merged_weights_are(decoder: Tiny, tmp_path: Path) -> None:
    """Layer by layer, against peft's own merging; the base is before and beside it."""
    task = TaskLabels("ner", LABELS["ner"])
    torch.manual_seed(5)
    base, _ = load_with_fresh_head(decoder.folder, decoder.tokenizer, "ner", task.learned)
    adapted = add_adapter(base, Lora(kind="lora", rank=2)).eval()
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    save_adapter(adapted, decoder.folder, tmp_path)
    loaded = load_fine_tuned(tmp_path, "decoder", task, decoder.folder)
    before, merged = load_model(decoder.folder, decoder.tokenizer), adapted.merge_and_unload()
    layers, patches, missing = patches_on(loaded, None)
    assert missing == {}
    mixtures = list(dict.fromkeys(patch.mixture for patch in patches))
    batch = batch_of(loaded)
    found = answers(Patched(loaded.model, layers, mixtures), batch)
    real = batch["attention_mask"].bool()
    for mixture, logits in zip(mixtures, found, strict=True):
        expected = answers(spliced(merged, before, mixture), batch).logits
        torch.testing.assert_close(logits[real], expected[real], rtol=1e-3, atol=1e-4)
    by_mixture = dict(zip(mixtures, found, strict=True))
    none, embeddings, block = (by_mixture[each] for each in ((1, 1, 1), (0, 1, 1), (1, 1, 0)))
    assert torch.equal(none, embeddings)  # which an adapter has nothing beside
    assert (none - block)[real].abs().max() > 1e-2


def test_of_layers_that_share_weights_none_is_patched_alone(tmp_path: Path) -> None:
    tiny = read(save_family("ALBERT", tmp_path / "base"), "encoder")
    task = TaskLabels("nli", LABELS["nli"])
    model = noisy(tiny, "nli")
    model.save_pretrained(tmp_path / "tuned")
    tiny.tokenizer.save_pretrained(tmp_path / "tuned")
    loaded = load_fine_tuned(tmp_path / "tuned", "encoder", task)
    before = load_model(tiny.folder, tiny.tokenizer)
    layers, patches, missing = patches_on(loaded, before)
    assert list(missing) == [ONE_PATCHED]
    assert {patch.name for patch in patches} == {NONE, UP_TO, LINE}
    mixtures = [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 1.0)]
    batch = batch_of(loaded)
    tuned, old, half = answers(Patched(loaded.model, layers, mixtures), batch)
    torch.testing.assert_close(tuned, answers(model, batch).logits)
    assert min(float((half - each).abs().max()) for each in (tuned, old)) > 1e-3
    assert torch.equal(answers(loaded.model, batch).logits, tuned)


def test_a_model_of_other_shapes_is_not_patched(encoder: Tiny, decoder: Tiny) -> None:
    loaded = replace(encoder, model=with_head(encoder, "nli"))
    layers, patches, missing = patches_on(loaded, load_model(decoder.folder, decoder.tokenizer))
    assert (layers, patches, list(missing)) == ([], [], [PATCHING])
    assert "of the fine-tuned model is not that of the model before" in missing[PATCHING]


def test_rows_say_from_which_model_the_score_has_changed() -> None:
    patches = [p for p in patches_of(1) if p.name in (NONE, UP_TO) or p.weight == 0.25]
    scores = {(1.0, 1.0): 0.75, (0.0, 0.0): 0.25, (0.0, 1.0): 0.5, (1.0, 0.0): 0.5}
    scores[0.25, 0.25] = 0.375
    rows = list(rows_of(patches, {each: {"accuracy": score} for each, score in scores.items()}))
    found = [(r["patch"], r["direction"], r["layer"], r["weight"], r["change"]) for r in rows]
    assert found == [
        (NONE, INTO_FINE_TUNED, None, None, 0),
        (UP_TO, INTO_FINE_TUNED, 0, None, -0.25),
        (UP_TO, INTO_FINE_TUNED, 1, None, -0.5),
        (NONE, INTO_PRETRAINED, None, None, 0),
        (UP_TO, INTO_PRETRAINED, 0, None, 0.25),
        (UP_TO, INTO_PRETRAINED, 1, None, 0.5),
        (LINE, None, None, 0.25, -0.375),
    ]


def test_the_estimate_counts_passes() -> None:
    """For N layers the time of 2 N + 7, on the examples that interventions are scored on."""
    patched = {"task": "jnlpba", "model": "bert", "variant": "f100-s1"}

    def seconds(examples: int) -> float:
        return need(paper(interventions={"examples": examples}), "patch", **patched).seconds

    study = paper()
    size, task = read_sizes(study).models["bert"], read_sizes(study).tasks["jnlpba"]
    each = 2 * size.body * task.words * SUBWORDS / CORE
    # So few that no GPU is asked for.
    assert seconds(20) - seconds(10) == pytest.approx(10 * each * (2 * size.layers + 7))
    assert need(study, "patch", **patched).gpu == 1
    assert not study.analyses.patching  # which was not published


@pytest.mark.parametrize(("kind", "merged"), [("classification", False), ("ner", True)])
def test_the_program_finds_the_one_block_that_was_changed(
    encoder: Tiny, tmp_path: Path, kind: str, merged: bool
) -> None:
    labels = LABELS[kind]
    torch.manual_seed(11)
    task = TaskLabels(kind, labels, merged)
    plain, _ = load_with_fresh_head(encoder.folder, encoder.tokenizer, kind, task.learned)
    torch.manual_seed(2)
    model = changed(
        plain, lambda name, w: w + 2 * torch.randn_like(w) * w.std() if layer_of(name) == 2 else w
    )
    model.save_pretrained(tmp_path / "model")
    encoder.tokenizer.save_pretrained(tmp_path / "model")
    test = examples(kind, 40, 1)
    write_table(tmp_path / "test.parquet", kind, test, {"labels": labels})
    arguments = [
        *("--kind", kind, "--architecture", "encoder", "--max-length", 64),
        *("--model", tmp_path / "model", "--before", encoder.folder),
        *("--settings", '{"examples": null, "seed": 0}', "--passes", PASSES.model_dump_json()),
        *("--test", tmp_path / "test.parquet", *(["--merge-tags"] if merged else [])),
    ]
    outs = [tmp_path / f"{number}.parquet" for number in range(2 if merged else 1)]
    for out in outs:
        run_program("patch", *arguments, "--out", out)
    assert len({out.read_bytes() for out in outs}) == 1
    assert reasons_of(outs[0], "patch") == {}

    def scores(model: PreTrainedModel) -> dict[str, float]:
        each = predict(replace(encoder, model=model), test, task, PASSES)
        given = each["label"], each["predicted"], each["example_id"], labels
        return metrics.values(metrics.metrics_of(kind, *given))

    after, before = scores(model), scores(spliced(model, plain.base_model, (0.0, 0.0, 0.0)))
    metric = next(name for name in after if after[name] != before[name])
    rows = [row for row in read_table(outs[0], "patch").to_pylist() if row["metric"] == metric]
    found = {(r["patch"], r["direction"], r["layer"] or r["weight"]): r["value"] for r in rows}
    for direction, own, other in (
        (INTO_FINE_TUNED, after, before),
        (INTO_PRETRAINED, before, after),
    ):
        assert found[NONE, direction, None] == own[metric]
        for name in (ONE, UP_TO):
            assert [row["value"] for row in rows if (row["patch"], row["direction"]) ==
                    (name, direction)] == [own[metric], own[metric], other[metric]]  # fmt: skip
    line = [row["value"] for row in rows if row["patch"] == LINE]
    assert [row["weight"] for row in rows if row["patch"] == LINE] == list(WEIGHTS)
    assert (line[0], line[-1]) == (before[metric], after[metric])
    assert np.isfinite(line).all()
