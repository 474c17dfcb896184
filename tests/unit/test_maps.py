"""Maps given layer by layer against those that transformers gives all at once."""

from __future__ import annotations

import copy
import threading
import weakref
from typing import Any

import pytest
import torch
from tiny_models import TEXTS, Tiny

from layerscope.models import maps
from layerscope.models.batching import collate
from layerscope.models.inputs import encode_text
from layerscope.models.maps import attention_modules, layer_maps, maps_side_by_side


@pytest.fixture
def model(tiny: Tiny) -> Any:
    model = copy.deepcopy(tiny.model).eval()
    model.set_attn_implementation("eager")
    return model


@pytest.fixture
def batch(tiny: Tiny) -> dict[str, torch.Tensor]:
    return collate(
        encode_text(tiny.tokenizer, tiny.special_tokens, TEXTS, 64)[0], tiny.special_tokens
    )


def hooks(model: Any) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_layer_by_layer_are_all_at_once(model: Any, batch: dict[str, torch.Tensor]) -> None:
    with torch.inference_mode():
        expected = model(**batch, output_attentions=True).attentions
    assert len(attention_modules(model)) == len(expected) == 2
    before = hooks(model)
    found = list(layer_maps(model, batch))
    torch.testing.assert_close(found, list(expected), rtol=0, atol=0)
    assert hooks(model) == before


def test_no_more_than_one_layer_of_each_model_is_kept(
    model: Any, batch: dict[str, torch.Tensor]
) -> None:
    given: list[weakref.ref[Any]] = []
    for own, others in maps_side_by_side(model, [None, copy.deepcopy(model)], batch):
        assert others[0] is None
        assert others[1] is not None
        torch.testing.assert_close(own, others[1])
        assert not [kept for kept in given if kept() is not None]
        given += [weakref.ref(own), weakref.ref(others[1])]
        del own, others
    assert len(given) == 4


def test_who_stops_early_leaves_nothing_behind(model: Any, batch: dict[str, torch.Tensor]) -> None:
    threads, before = threading.active_count(), hooks(model)
    given = layer_maps(model, batch)
    next(given)
    assert (threading.active_count(), hooks(model)) == (threads + 1, before + 2)
    given.close()
    assert (threading.active_count(), hooks(model)) == (threads, before)
    assert len(list(layer_maps(model, batch))) == 2


def test_an_error_of_the_pass_is_the_callers(model: Any, batch: dict[str, torch.Tensor]) -> None:
    def fail(module: Any, inputs: Any) -> None:
        raise MemoryError("of the second layer")

    threads = threading.active_count()
    attention_modules(model)[1].register_forward_pre_hook(fail)
    given = layer_maps(model, batch)
    next(given)
    with pytest.raises(MemoryError, match="of the second layer"):
        next(given)
    assert threading.active_count() == threads


def test_layers_that_have_no_number_are_given_all_the_same(
    model: Any, batch: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(layer_maps(model, batch))
    monkeypatch.setattr(maps, "attention_modules", lambda _: [])
    torch.testing.assert_close(list(layer_maps(model, batch)), expected)


def test_modules_without_a_number_are_not_taken_for_layers(model: Any) -> None:
    attention_modules(model)[0].layer_idx = None
    assert attention_modules(model) == []
