"""Attention of models: measures of their own maps, planted likenesses, the choice of examples."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from attention_loops import entropy_of, pair_of, part_of
from tiny_models import TEXTS, Tiny, ner_table, nli_table, text_table

from layerscope.config.extraction import Attention
from layerscope.extraction.attention import choose_examples, compare_attention
from layerscope.models.inputs import Encoded, encode_pairs, encode_sentences, encode_text

# --- models ------------------------------------------------------------------------------------


def eager(model: Any, noise: float, seed: int) -> Any:
    """A copy with eager attention and some noise on its weights."""
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += noise * torch.randn_like(parameter)
    return model


def examples_of(tiny: Tiny) -> list[tuple[str, Encoded]]:
    encoded, _ = encode_text(tiny.tokenizer, tiny.special_tokens, TEXTS, 64)
    return [(f"e{index}", each) for index, each in enumerate(encoded)]


def rows_of(columns: dict[str, Any]) -> dict[tuple[str, int, int, str], float]:
    keys = zip(*(columns[name] for name in ("example_id", "layer", "head", "measure")), strict=True)
    found = dict(zip(keys, columns["value"].tolist(), strict=True))
    assert len(found) == len(columns["value"])  # nothing twice
    return found


def test_every_example_layer_and_head_is_measured(tiny: Tiny) -> None:
    model, before, other = (eager(tiny.model, 0.05, seed) for seed in range(3))
    found = rows_of(
        compare_attention(examples_of(tiny), replace(tiny, model=model), before, other, 3)
    )
    names = {key[3] for key in found}
    assert len(names) == 14
    for example, layer, head in itertools.product(range(7), (1, 2), range(4)):
        assert (f"e{example}", layer, head, "jsd") in found
    assert {key[1] for key in found} == {1, 2}
    assert {key[2] for key in found} == {0, 1, 2, 3}


def test_measures_of_a_model_are_those_of_its_maps_alone(tiny: Tiny) -> None:
    model, before = (eager(tiny.model, 0.05, seed) for seed in range(2))
    examples = examples_of(tiny)
    found = rows_of(compare_attention(examples, replace(tiny, model=model), before, None, 4))
    framing = {*tiny.special_tokens.before, *tiny.special_tokens.after}
    for name, encoded in examples:
        inputs = torch.tensor([encoded.ids])
        with torch.no_grad():
            maps = [
                np.stack(
                    [layer[0].numpy() for layer in each(inputs, output_attentions=True).attentions]
                )
                for each in (before, model)
            ]
        for layer, head in itertools.product(range(2), range(4)):
            cos, jsd = pair_of(list(maps[0][layer, head]), list(maps[1][layer, head]))
            key = (name, layer + 1, head)
            assert found[(*key, "cosine")] == pytest.approx(cos, rel=1e-3, abs=1e-5)
            assert found[(*key, "jsd")] == pytest.approx(jsd, rel=1e-3, abs=1e-5)
            plain = [at for at in range(len(encoded.ids)) if encoded.ids[at] not in framing]
            cos, jsd = pair_of(*(part_of(each[layer, head], plain) for each in maps))
            assert found[(*key, "cosine_no_special")] == pytest.approx(cos, rel=1e-3, abs=1e-5)
            assert found[(*key, "jsd_no_special")] == pytest.approx(jsd, rel=1e-3, abs=1e-5)
            entropy = np.mean([entropy_of(row) for row in maps[1][layer, head]])
            assert found[(*key, "entropy")] == pytest.approx(entropy, rel=1e-3, abs=1e-5)
            after = maps[1][layer, head]
            framed = [at for at in range(len(encoded.ids)) if at not in plain]
            share = sum(after[:, at].mean() for at in framed)
            assert found[(*key, "special")] == pytest.approx(share, rel=1e-3, abs=1e-5)
            assert found[(*key, "first")] == pytest.approx(after[:, 0].mean(), rel=1e-3, abs=1e-5)


def test_batches_change_nothing_but_the_partner_of_a_sentence(tiny: Tiny) -> None:
    model, *others = (eager(tiny.model, 0.05, seed) for seed in range(3))
    given = (examples_of(tiny), replace(tiny, model=model), *others)
    one, many = (rows_of(compare_attention(*given, size)) for size in (2, 7))
    shared = [key for key in many if "null_sentence" not in key[3]]
    assert {key for key in one if "null_sentence" not in key[3]} == set(shared)
    for key in shared:
        assert one[key] == pytest.approx(many[key], rel=1e-3, abs=1e-5), key


def test_more_change_in_a_model_is_less_likeness(tiny: Tiny) -> None:
    def likeness(noise: float) -> tuple[float, float]:
        changed, before = eager(tiny.model, noise, 1), eager(tiny.model, 0, 1)
        found = rows_of(
            compare_attention(examples_of(tiny), replace(tiny, model=changed), before, None, 7)
        )
        values = [[v for key, v in found.items() if key[3] == name] for name in ("cosine", "jsd")]
        return float(np.mean(values[0])), float(np.mean(values[1]))

    (same, none), (near, little), (far, much) = (likeness(noise) for noise in (0, 0.02, 0.3))
    assert same == pytest.approx(1)
    assert none == pytest.approx(0, abs=1e-6)
    assert same > near > far
    assert none < little < much


# --- the choice of examples --------------------------------------------------------------------


def test_examples_are_spread_over_the_table_and_sorted_by_length(encoder: Tiny) -> None:
    table = nli_table([(TEXTS[i % 7], " ".join(["fever"] * (i % 3 + 1)), "x") for i in range(41)])
    chosen = choose_examples(encoder, table, "nli", Attention(examples=5))
    assert {name for name, _ in chosen} == {"p0", "p10", "p20", "p30", "p40"}
    lengths = [len(encoded.ids) for _, encoded in chosen]
    assert lengths == sorted(lengths, reverse=True)
    rows = {row["example_id"]: row for row in table.to_pylist()}
    for name, encoded in chosen:
        row = rows[name]
        own = encoder.tokenizer(row["premise"], row["hypothesis"])["input_ids"]
        assert encoded.ids == own


@pytest.mark.parametrize("kind", ["nli", "classification", "ner"])
def test_examples_that_do_not_fit_are_used_cut_where_others_are_too_few(
    encoder: Tiny, kind: str
) -> None:
    long, short = ["fever"] * 40, ["a", "dry", "cough"]
    words = [long if index % 2 else short for index in range(8)]
    if kind == "nli":
        table = nli_table([(" ".join(each), "pain", "x") for each in words])
    elif kind == "classification":
        table = text_table([(" ".join(each), "x") for each in words])
    else:
        table = ner_table([(each, ["O"] * len(each)) for each in words])
    ids = table["example_id"].to_pylist()
    enough = choose_examples(encoder, table, kind, Attention(examples=4, max_length=20))
    assert [name for name, _ in enough] == ids[::2]
    every = choose_examples(encoder, table, kind, Attention(examples=100, max_length=20))
    assert [name for name, _ in every] == ids[1::2] + ids[::2]  # the longest first
    assert {len(encoded.ids) for _, encoded in every[:4]} <= {19, 20}
    reader = (encoder.tokenizer, encoder.special_tokens)
    if kind == "nli":
        (whole,), _ = encode_pairs(*reader, [" ".join(long)], ["pain"], 20)
    elif kind == "classification":
        (whole,), _ = encode_text(*reader, [" ".join(long)], 20)
    else:
        ((whole, *_),), _ = encode_sentences(*reader, [long], 20)
    assert every[0][1] == whole
