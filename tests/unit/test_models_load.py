"""Loading: what a folder holds is what is loaded, and everything else is one clear line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from refusals import one_line
from safetensors.torch import load_file, save_file
from tiny_families import save_family
from tiny_models import POSITIONS, Tiny, copied, save_decoder, save_encoder
from transformers import AutoModel, PreTrainedModel

from layerscope.core.errors import UserError
from layerscope.models.load import (
    load_language_model,
    load_model,
    load_with_fresh_head,
    load_with_head,
    position_limit,
    random_model,
    uses_bfloat16,
)
from layerscope.models.tokenizers import load_tokenizer
from layerscope.models.unset import unset_as_nan
from layerscope.training.pretraining import END


def edit(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_weights_are_those_of_the_file(tiny: Tiny) -> None:
    stored = load_file(tiny.folder / "model.safetensors")
    prefix = f"{tiny.model.base_model_prefix}."
    plain = {name.removeprefix(prefix): weight for name, weight in stored.items()}
    for name, weight in tiny.model.state_dict().items():
        torch.testing.assert_close(weight, plain[name], rtol=0, atol=0)
    assert not tiny.model.training
    assert tiny.model.config.pad_token_id == tiny.tokenizer.pad_token_id


def in_shards(tiny: Tiny, folder: Path) -> Path:
    """The model in files of 20 kB."""
    tiny.model.save_pretrained(folder, max_shard_size="20KB")
    tiny.tokenizer.save_pretrained(folder)
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


def test_weights_in_shards_are_those_of_one_file(encoder: Tiny, tmp_path: Path) -> None:
    folder = in_shards(encoder, tmp_path / "shards")
    assert equal(load_model(folder, encoder.tokenizer), encoder.model)
    last = sorted(folder.glob("*.safetensors"))[-1]
    whole = load_file(last)
    counts = {name: (100 * tensor).to(torch.int8) for name, tensor in whole.items()}
    save_file(counts, last, {"format": "pt"})
    with pytest.raises(UserError, match="holds I8") as caught:
        load_model(folder, encoder.tokenizer)
    one_line(caught, last)
    last.unlink()
    with pytest.raises(UserError, match=last.name) as caught:
        load_model(folder, encoder.tokenizer)
    one_line(caught, folder)


def test_a_new_head_follows_the_global_seed_and_the_body_does_not(tiny: Tiny) -> None:
    def head(seed: int) -> torch.nn.Module:
        torch.manual_seed(seed)
        return load_with_head(tiny.folder, tiny.tokenizer, "ner", ["O", "B-x", "I-x"])

    one, same, other = head(1), head(1), head(2)
    assert equal(one, same)
    assert not equal(one, other)
    assert one.config.id2label == {0: "O", 1: "B-x", 2: "I-x"}
    for name, weight in one.base_model.state_dict().items():
        assert torch.equal(weight, tiny.model.state_dict()[name])


def test_random_weights_follow_their_seed_alone(tiny: Tiny) -> None:
    one = random_model(tiny.folder, tiny.tokenizer, 3)
    torch.manual_seed(99)
    assert equal(one, random_model(tiny.folder, tiny.tokenizer, 3))
    assert not equal(one, random_model(tiny.folder, tiny.tokenizer, 4))
    assert not equal(one, tiny.model)
    assert one.state_dict().keys() == tiny.model.state_dict().keys()
    assert not one.training


def test_half_precision_weights_and_random_ones_of_their_configuration_become_float32(
    encoder: Tiny, tmp_path: Path
) -> None:
    folder = copied(encoder, tmp_path)
    halves = {name: w.half() for name, w in load_file(folder / "model.safetensors").items()}
    save_file(halves, folder / "model.safetensors", {"format": "pt"})
    edit(folder / "config.json", dtype="float16")
    assert load_model(folder, encoder.tokenizer).dtype == torch.float32
    assert random_model(folder, encoder.tokenizer, 0).dtype == torch.float32


def test_a_tokenizer_without_padding_pads_with_its_end_of_text(
    decoder: Tiny, tmp_path: Path
) -> None:
    folder = copied(decoder, tmp_path)
    entries = json.loads((folder / "tokenizer_config.json").read_text())
    del entries["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(entries))
    tokenizer = load_tokenizer(folder)
    assert tokenizer.pad_token == tokenizer.eos_token == END
    assert load_model(folder, tokenizer).config.pad_token_id == tokenizer.eos_token_id
    del entries["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(entries))
    with pytest.raises(UserError, match="neither a padding nor an end-of-text"):
        load_tokenizer(folder)


def test_missing_folders_and_files_give_one_line(encoder: Tiny, tmp_path: Path) -> None:
    tokenizer = encoder.tokenizer
    with pytest.raises(UserError, match="nowhere: no such folder"):
        load_tokenizer(tmp_path / "nowhere")
    with pytest.raises(UserError, match="nowhere: no such folder"):
        load_model(tmp_path / "nowhere", tokenizer)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: no tokenizer"):
        load_tokenizer(tmp_path / "empty")
    with pytest.raises(UserError, match=r"empty/config\.json: no such file"):
        load_model(tmp_path / "empty", tokenizer)


def test_broken_files_give_one_line(encoder: Tiny, tmp_path: Path) -> None:
    folder = copied(encoder, tmp_path)
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="no model can be loaded") as caught:
        load_model(folder, encoder.tokenizer)
    assert "\n" not in str(caught.value)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json: not JSON"):
        load_language_model(folder, encoder.tokenizer, "encoder")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0; allowed: 1 or more"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0; allowed: 1 or more"),
        ({"num_attention_heads": 3}, "not a multiple of the number of attention heads (3)"),
        ({"num_hidden_layers": "two"}, "expected int, got str (value: 'two')"),
        ({"num_hidden_layers": 1}, "encoder.layer.1.attention.output.LayerNorm.bias has no place"),
        ({"hidden_act": "nosuch"}, "hidden_act 'nosuch' is not known"),
        ({"dtype": "nosuch"}, "config.json: dtype is 'nosuch'; allowed: one of torch"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "with method 'gptq'"),
        ({"quantization_config": {}}, "with method 'unknown'; allowed: weights that are not"),
        ({"model_type": "nosuch"}, "model type `nosuch`"),
        ({"id2label": 3}, "no model can be loaded"),
    ],
)
def test_a_configuration_that_nothing_can_be_loaded_by_gives_one_line(
    entries: dict[str, object], said: str, encoder: Tiny, tmp_path: Path
) -> None:
    folder = copied(encoder, tmp_path)
    edit(folder / "config.json", **entries)
    with pytest.raises(UserError) as caught:
        load_model(folder, load_tokenizer(folder))
    line = one_line(caught, folder)
    assert said in line
    assert len(line) < 500


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["[1]", '"x"', "[" * 100_000, '{"a": ' + "1" * 5000 + "}"])
def test_json_of_any_other_shape_gives_one_line(
    name: str, text: str, encoder: Tiny, tmp_path: Path
) -> None:
    folder = copied(encoder, tmp_path)
    (folder / name).write_text(text)
    with pytest.raises(UserError) as caught:
        load_tokenizer(folder)
    one_line(caught, folder)


def test_a_tokenizer_of_more_tokens_than_embeddings_gives_one_line(
    tiny: Tiny, tmp_path: Path
) -> None:
    folder = copied(tiny, tmp_path)
    tokenizer = load_tokenizer(folder)
    rows = len(tokenizer)
    tokenizer.add_tokens(["first-new", "second-new"])
    for load in (load_model, lambda *given: random_model(*given, seed=1)):
        with pytest.raises(UserError) as caught:
            load(folder, tokenizer)
        assert (
            f"has 'first-new' with id {rows}, but its model has embeddings of {rows}"
            in one_line(caught, folder)
        )


def test_integers_are_no_weights(encoder: Tiny, tmp_path: Path) -> None:
    folder, name = copied(encoder, tmp_path), "encoder.layer.0.output.dense.weight"
    weights = load_file(folder / "model.safetensors")
    weights[name] = weights[name].to(torch.int8)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=f"{name} holds I8, which is no weight without its scale"):
        load_model(folder, encoder.tokenizer)


def test_heads_poolers_and_buffers_that_are_left_over_are_no_fault(
    decoder: Tiny, tmp_path: Path
) -> None:
    folder = copied(decoder, tmp_path)
    more = {
        "transformer.h.0.attn.bias": torch.ones(1, 1, 9, 9, dtype=torch.uint8),
        "transformer.h.1.attn.rotary.inv_freq": torch.ones(9),
        "transformer.h.1.mask": torch.ones(1, 1, 9, 9),
        "transformer.pooler.dense.bias": torch.ones(9),
        "score.weight": torch.ones(2, 9),
    }
    weights = load_file(folder / "model.safetensors")
    save_file(weights | more, folder / "model.safetensors", {"format": "pt"})
    assert equal(load_model(folder, decoder.tokenizer), decoder.model)


def test_pickled_weights_are_not_read(encoder: Tiny, tmp_path: Path) -> None:
    folder = copied(encoder, tmp_path)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no file named model\.safetensors"):
        load_model(folder, encoder.tokenizer)


def test_a_configuration_alone_is_no_tokenizer(encoder: Tiny, tmp_path: Path) -> None:
    # A BERT without its vocabulary would otherwise read every word as unknown.
    shutil.copy(encoder.folder / "config.json", tmp_path)
    with pytest.raises(UserError, match="tokenizer"):
        load_tokenizer(tmp_path)


def test_weights_of_another_model_are_never_taken_for_random_ones(
    encoder: Tiny, decoder: Tiny, tmp_path: Path
) -> None:
    folder = copied(encoder, tmp_path)
    shutil.copy(decoder.folder / "model.safetensors", folder)
    for load in (
        lambda: load_model(folder, encoder.tokenizer),
        lambda: load_with_head(folder, encoder.tokenizer, "nli", ["x", "y"]),
        lambda: load_language_model(folder, encoder.tokenizer, "encoder"),
    ):
        with pytest.raises(UserError, match="weights lack"):
            load()


def test_a_missing_layer_is_named(encoder: Tiny, tmp_path: Path) -> None:
    folder = copied(encoder, tmp_path)
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "layer.1.attention" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"lack encoder\.layer\.1\.attention"):
        load_model(folder, encoder.tokenizer)


def test_a_missing_head_or_pooler_is_no_fault(tmp_path: Path) -> None:
    folder = save_encoder(tmp_path / "with-head", head=True)  # which has no pooler
    tokenizer = load_tokenizer(folder)
    load_model(folder, tokenizer)
    load_with_head(folder, tokenizer, "nli", ["x", "y"])
    load_language_model(save_encoder(tmp_path / "headless"), tokenizer, "encoder")


def test_a_weight_that_neither_file_nor_transformers_sets_is_that_of_a_new_model(
    tmp_path: Path,
) -> None:
    """Longformer's bias over the vocabulary, which would hold what memory happened to hold."""
    folder = save_family("Longformer", tmp_path)
    with unset_as_nan():
        model = load_language_model(folder, load_tokenizer(folder), "encoder")
    assert (model.lm_head.bias == 0).all()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_head_for_other_labels_gives_one_line(decoder: Tiny, tmp_path: Path) -> None:
    head = load_with_head(decoder.folder, decoder.tokenizer, "nli", ["x", "y"])
    head.save_pretrained(tmp_path)
    decoder.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="3 labels"):
        load_with_head(tmp_path, decoder.tokenizer, "nli", ["x", "y", "z"])
    assert equal(load_with_head(tmp_path, decoder.tokenizer, "nli", ["x", "y"]), head)


@pytest.mark.parametrize("labels", [["x", "y"], ["x", "y", "z"]])
@pytest.mark.parametrize("kind", ["nli", "ner"])
def test_a_head_that_was_trained_before_is_replaced(
    kind: str, labels: list[str], tiny: Tiny, tmp_path: Path
) -> None:
    """By the one that the model had from this seed without it, whatever its number of labels."""

    def fresh(folder: Path) -> tuple[PreTrainedModel, list[str]]:
        torch.manual_seed(3)
        return load_with_fresh_head(folder, tiny.tokenizer, kind, labels)

    plain, replaced = fresh(tiny.folder)
    assert replaced == []
    torch.manual_seed(4)
    old = load_with_head(tiny.folder, tiny.tokenizer, kind, ["a", "b"])
    old.save_pretrained(tmp_path)
    new, replaced = fresh(tmp_path)
    head = {name for name, _ in old.named_parameters()} - {
        f"{old.base_model_prefix}.{name}" for name, _ in old.base_model.named_parameters()
    }
    assert set(replaced) == head
    assert head
    assert equal(new, plain)
    assert not equal(new, old)
    assert new.config.id2label == dict(enumerate(labels))


def test_a_body_of_other_shapes_is_refused_with_a_fresh_head_too(
    encoder: Tiny, tmp_path: Path
) -> None:
    folder = copied(encoder, tmp_path)
    edit(folder / "config.json", intermediate_size=encoder.model.config.intermediate_size + 1)
    with pytest.raises(UserError, match=r"other shapes than its configuration: bert\.encoder"):
        load_with_fresh_head(folder, encoder.tokenizer, "nli", ["x", "y"])


def test_the_causal_model_predicts_and_the_masked_one_too(encoder: Tiny, tmp_path: Path) -> None:
    folder = save_decoder(tmp_path / "decoder")
    tokenizer = load_tokenizer(folder)
    for model, vocabulary in (
        (load_language_model(folder, tokenizer, "decoder"), len(tokenizer)),
        (load_language_model(encoder.folder, encoder.tokenizer, "encoder"), len(encoder.tokenizer)),
    ):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[1, 5, 6]])).logits
        assert logits.shape == (1, 3, vocabulary)


def test_the_position_limit_is_the_smaller_one(tiny: Tiny) -> None:
    assert position_limit(tiny.model, 10) == 10
    assert position_limit(tiny.model, 10_000) == POSITIONS


def test_precision() -> None:
    assert uses_bfloat16("bfloat16")
    assert not uses_bfloat16("float32")
    assert uses_bfloat16("auto") in (True, False)


def test_attention_that_plans_anew_for_every_shape_of_a_batch_is_off() -> None:
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled()
    assert torch.backends.cuda.mem_efficient_sdp_enabled()


def test_the_gelu_of_gpt2_is_fused_and_the_same_to_rounding(decoder: Tiny) -> None:
    plain = AutoModel.from_pretrained(decoder.folder).eval()
    loaded = load_model(decoder.folder, decoder.tokenizer)
    kinds = [{type(module).__name__ for module in each.modules()} for each in (plain, loaded)]
    assert ["NewGELUActivation" in each for each in kinds] == [True, False]
    assert plain.config.activation_function == loaded.config.activation_function
    ids = torch.arange(1, 21)[None]
    with torch.no_grad():
        expected, found = (each(ids).last_hidden_state for each in (plain, loaded))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
