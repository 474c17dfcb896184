"""Adapters: what is trained, written and read again, compared with peft's own merging."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from refusals import one_line
from safetensors.torch import load_file, save_file
from test_finetuning import SETTINGS, pairs, sentences, task_of, tuned
from tiny_families import FAMILIES, config_of, tokenizer_of
from tiny_models import TEXTS, Tiny, save_encoder
from transformers.models.bert.modeling_bert import BertIntermediate

from layerscope.analysis.weight_change import FROBENIUS, STABLE_RANK, weight_changes
from layerscope.config.extraction import Activations, Attention
from layerscope.config.weights import Lora
from layerscope.core.errors import UserError
from layerscope.extraction.attention import attention_table
from layerscope.extraction.predictions import predict
from layerscope.models import quantisation
from layerscope.models.adapters import target_modules, unchanged_matrices
from layerscope.models.families import classifier_class
from layerscope.models.load import load_model, load_with_fresh_head, load_with_head
from layerscope.models.loaded import Weights, load_base, load_body, load_fine_tuned

ADAPTER = Lora(kind="lora", rank=4, alpha=16, dropout=0.05)
FAST = SETTINGS.model_copy(update={"learning_rate": 2e-2})
#: For the encoder, which a higher rate does not teach from every random beginning.
RATES = {"encoder": 1e-2, "decoder": 2e-2}


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def merged_by_peft(tiny: Tiny, folder: Path, kind: str, **options: Any) -> Any:
    """The model with its adapter added to its weights by peft."""
    from peft import PeftModel

    task = task_of(pairs(1, 1) if kind == "nli" else sentences(1, 1))
    model, _ = load_with_fresh_head(tiny.folder, tiny.tokenizer, kind, task.learned, **options)
    return PeftModel.from_pretrained(model, folder).merge_and_unload().eval()


@pytest.fixture(scope="module")
def adapted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Tiny, Path]]:
    """A BERT and a GPT-2 with adapters, fine-tuned on pairs and on entities."""
    found = {}
    for name, table in (("encoder", pairs(96, 1)), ("decoder", sentences(64, 1))):
        tiny = request.getfixturevalue(name)
        out = tmp_path_factory.mktemp("adapters") / name
        settings = SETTINGS.model_copy(update={"learning_rate": RATES[name]})
        tuned(tiny, out, table, settings=settings, adapter=ADAPTER)
        found[name] = (tiny, out)
    return found


@pytest.mark.parametrize(("name", "kind"), [("encoder", "nli"), ("decoder", "ner")])
def test_an_adapter_learns_and_nothing_else_is_written(
    name: str, kind: str, adapted: dict[str, tuple[Tiny, Path]]
) -> None:
    tiny, out = adapted[name]
    assert {path.name for path in out.iterdir()} == {
        "adapter_model.safetensors", "adapter_config.json", "base.json", "history.json"
    }  # fmt: skip
    held = pairs(60, 2) if kind == "nli" else sentences(40, 2)
    task = task_of(held)
    loaded = load_fine_tuned(out, tiny.architecture, task, tiny.folder)
    found = predict(loaded, held, task, Activations())
    asked = [i for i, label in enumerate(found["label"]) if label != "O"]
    right = [found["label"][at] == found["predicted"][at] for at in asked]
    assert sum(right) / len(right) > 0.9
    history = json.loads((out / "history.json").read_text())
    assert history["adapter"] == ADAPTER.model_dump(mode="json")
    own = {name for name in tensors(out) if "lora_" not in name}
    assert {name.split(".")[-2] for name in own} == (
        {"classifier", "dense"} if kind == "nli" else {"classifier"}  # with BERT's pooler
    )
    assert str(tiny.folder) not in (out / "adapter_config.json").read_text()


@pytest.mark.parametrize(("name", "kind"), [("encoder", "nli"), ("decoder", "ner")])
def test_base_and_adapter_are_the_model_that_peft_merges(
    name: str, kind: str, adapted: dict[str, tuple[Tiny, Path]], tmp_path: Path
) -> None:
    tiny, out = adapted[name]
    merged = merged_by_peft(tiny, out, kind)
    task = task_of(pairs(1, 1) if kind == "nli" else sentences(1, 1))
    ours = load_fine_tuned(out, tiny.architecture, task, tiny.folder).model
    body = load_body(out, tiny, tiny.folder)
    batch = tiny.tokenizer(TEXTS[:3], return_tensors="pt", padding=True)
    with torch.no_grad():
        found, expected = ours(**batch).logits, merged(**batch).logits
        plain = load_with_fresh_head(tiny.folder, tiny.tokenizer, kind, task.learned)[0]
        assert not torch.allclose(plain.base_model(**batch)[0], body(**batch)[0], atol=1e-2)
        torch.testing.assert_close(body(**batch)[0], merged.base_model(**batch)[0])
    torch.testing.assert_close(found, expected)
    for one, other in zip(ours.modules(), merged.modules(), strict=False):
        if isinstance(other, torch.nn.Linear) and isinstance(one, torch.nn.Linear):
            assert one.weight.shape == other.weight.shape
            break
    merged.save_pretrained(tmp_path / "merged")
    changed = weight_changes(tiny.folder, out)
    assert changed == pytest.approx(
        weight_changes(tiny.folder, tmp_path / "merged"), rel=1e-4, abs=1e-9, nan_ok=True
    )
    assert changed[1, "attention", FROBENIUS] > 0.01
    assert 1 <= changed[1, "attention", STABLE_RANK] <= ADAPTER.rank


def test_in_bfloat16_the_adapter_is_read_as_it_was_trained(
    adapted: dict[str, tuple[Tiny, Path]],
) -> None:
    """Weights are never in float32; what merging would round away is kept."""
    tiny, out = adapted["decoder"]
    task = task_of(sentences(1, 1))
    loaded = load_fine_tuned(out, "decoder", task, tiny.folder, Weights(torch.bfloat16))
    kept = {name for name, each in loaded.model.named_parameters() if each.dtype != torch.bfloat16}
    assert kept
    assert all("adapter" in name or name.startswith("classifier") for name in kept)
    one = load_model(tiny.folder, tiny.tokenizer, torch.bfloat16)
    assert {each.dtype for each in one.parameters()} == {torch.bfloat16}
    held = sentences(20, 3)
    for precision in ("float32", "bfloat16"):
        found = predict(loaded, held, task, Activations(precision=precision))
        asked = [i for i, label in enumerate(found["label"]) if label != "O"]
        assert sum(found["label"][i] == found["predicted"][i] for i in asked) > 0.9 * len(asked)


def test_in_bfloat16_logits_are_those_of_peft_unmerged(
    adapted: dict[str, tuple[Tiny, Path]],
) -> None:
    """States to the bit; peft has rounded the head, which is read here as it was trained."""
    from peft import PeftModel

    tiny, out = adapted["decoder"]
    task, half = task_of(sentences(1, 1)), torch.bfloat16
    options = (tiny.folder, tiny.tokenizer, "ner", task.learned, half)
    theirs = PeftModel.from_pretrained(load_with_fresh_head(*options)[0], out).eval()
    ours = load_fine_tuned(out, "decoder", task, tiny.folder, Weights(half)).model
    plain = load_model(tiny.folder, tiny.tokenizer, half)
    batch = tiny.tokenizer(TEXTS[:3], return_tensors="pt", padding=True)
    with torch.no_grad():
        found, expected = ours(**batch).logits, theirs(**batch).logits.float()
        states = theirs.base_model.model.base_model(**batch)[0]
        assert torch.equal(ours.base_model(**batch)[0], states)
        assert (plain(**batch)[0] - states).abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=2**-8 * float(found.abs().max()))


@pytest.mark.parametrize(("name", "kind"), [("encoder", "nli"), ("decoder", "ner")])
def test_attention_of_adapters_is_compared_with_one_base_in_memory(
    name: str, kind: str, adapted: dict[str, tuple[Tiny, Path]], tmp_path: Path
) -> None:
    """The same values as of models that are loaded one by one."""
    tiny, out = adapted[name]
    shutil.copytree(out, tmp_path / "other")
    moved = {at: each + 0.1 * torch.sin(each * 100) for at, each in tensors(out).items()}
    save_file(moved, tmp_path / "other" / "adapter_model.safetensors")
    table = pairs(12, 3) if kind == "nli" else sentences(12, 3)
    loaded = load_fine_tuned(out, name, task_of(table), tiny.folder).without_head()
    places = {each.data_ptr() for each in loaded.model.parameters()}
    folders, found = (tiny.folder, tmp_path / "other"), []
    for beside in (loaded, replace(loaded, bare=None)):
        others = [load_body(folder, beside, tiny.folder) for folder in folders]
        own = [
            at
            for other in others
            for at, each in other.named_parameters()
            if each.data_ptr() not in places and "adapter" not in at and "pooler" not in at
        ]
        assert bool(own) == (beside.bare is None)
        found.append(attention_table(loaded, *others, table, kind, Attention(examples=8))[0])
    for column, values in found[0].items():
        assert np.array_equal(values, found[1][column]), column
    assert {"cosine", "cosine_ceiling"} <= set(found[0]["measure"])


def test_a_model_in_bfloat16_learns_through_an_adapter(decoder: Tiny, tmp_path: Path) -> None:
    settings = FAST.model_copy(update={"gradient_checkpointing": True})
    out = tmp_path / "f"
    history = tuned(
        decoder,
        out,
        sentences(40, 1),
        settings=settings,
        adapter=ADAPTER,
        weights=Weights(torch.bfloat16),
    )
    losses = [entry["loss"] for entry in history["log"]]
    assert losses[-1] < 0.6 * losses[0]
    assert {tensor.dtype for tensor in tensors(out).values()} == {torch.float32}


@pytest.mark.parametrize("adapter", [None, ADAPTER])
def test_recomputing_blocks_changes_nothing(
    adapter: Lora | None, encoder: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, passes = [], [0]
    forward = BertIntermediate.forward

    def counting(*given: Any, **options: Any) -> Any:
        passes[-1] += 1
        return forward(*given, **options)

    monkeypatch.setattr(BertIntermediate, "forward", counting)
    for on in (False, True):
        passes.append(0)
        settings = SETTINGS.model_copy(update={"epochs": 1, "gradient_checkpointing": on})
        out = tmp_path / str(on)
        history = tuned(encoder, out, pairs(26, 1), settings=settings, adapter=adapter)
        (weights,) = out.glob("*.safetensors")
        found.append((history["final_loss"], weights.read_bytes()))
    assert found[0] == found[1]
    assert passes[2] - passes[1] == 2 * 4  # two blocks in each of four steps


def test_an_adapter_is_refused_without_its_own_base(
    adapted: dict[str, tuple[Tiny, Path]], tmp_path: Path
) -> None:
    tiny, out = adapted["encoder"]
    task = task_of(pairs(1, 1))
    with pytest.raises(UserError, match="holds an adapter alone") as caught:
        load_fine_tuned(out, "encoder", task)
    one_line(caught, out)
    other = save_encoder(tmp_path / "other", seed=7)
    with pytest.raises(UserError, match=f"but {other} has") as caught:
        load_fine_tuned(out, "encoder", task, other)
    assert json.loads((out / "base.json").read_text())["sha256"] in one_line(caught, out)
    labels = task_of(sentences(1, 1))
    with pytest.raises(UserError, match="an adapter with other matrices") as caught:
        load_fine_tuned(out, "encoder", labels, tiny.folder)
    one_line(caught, out)


def test_targets_are_linear_layers_of_the_body(encoder: Tiny) -> None:
    model = load_with_head(encoder.folder, encoder.tokenizer, "nli", ["a", "b"])
    everything = target_modules(model, "all-linear")
    assert len(everything) == 2 * 6
    assert target_modules(model, ["query", "attention.output.dense"]) == [
        name for name in everything if name.endswith(("query", "attention.output.dense"))
    ]
    for target in ("q_proj", "uery", "classifier"):
        with pytest.raises(UserError, match=f"'{target}' is no linear layer of Bert.*: query, key"):
            target_modules(model, ["query", target])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BERT", []),
        ("gpt-oss", ["mlp.router", "experts.gate_up_proj", "experts.down_proj"]),
        ("Mamba", ["mixer.A_log", "mixer.conv1d", "mixer.out_proj"]),
    ],
)
def test_matrices_that_an_adapter_does_not_change_are_named(name: str, expected: list[str]) -> None:
    config = config_of(name, tokenizer_of(FAMILIES[name]))
    with torch.device("meta"):
        model = classifier_class(config, "ner")(config)
    assert unchanged_matrices(model, target_modules(model, "all-linear")) == expected


def test_four_bits_need_a_gpu_and_bitsandbytes(
    encoder: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    for there, said in ((False, "there is no GPU"), (True, "bitsandbytes is not installed")):
        monkeypatch.setattr(quantisation, "_has_gpu", lambda there=there: there)
        monkeypatch.setattr(quantisation, "find_spec", lambda name: None)
        with pytest.raises(UserError, match=f"^quantisation '4bit': .*{said}.*; allowed: .*null"):
            quantisation.quantise(encoder.model)


def test_a_base_in_four_bits_learns_and_is_read_again(
    encoder: Tiny, decoder: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor, which bitsandbytes can use as well."""
    pytest.importorskip("bitsandbytes")
    monkeypatch.setattr(quantisation, "_has_gpu", lambda: True)
    four, task = Weights.named("bfloat16", "4bit"), task_of(pairs(1, 1))
    base = load_base(encoder.folder, "encoder", weights=four).model
    stored = {each.dtype for each in base.encoder.parameters() if each.ndim == 2}
    assert stored == {torch.uint8}
    history = tuned(
        encoder, tmp_path / "f", pairs(96, 1), settings=FAST, adapter=ADAPTER, weights=four
    )
    assert (history["dtype"], history["quantisation"]) == ("bfloat16", "4bit")
    held = pairs(30, 2)
    loaded = load_fine_tuned(tmp_path / "f", "encoder", task, encoder.folder, four)
    found = predict(loaded, held, task, Activations())
    assert sum(a == b for a, b in zip(found["label"], found["predicted"], strict=True)) > 27
    with pytest.raises(UserError, match="is of class Conv1D"):
        quantisation.quantise(load_model(decoder.folder, decoder.tokenizer))
