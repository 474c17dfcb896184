"""Every family of docs/models.md, with random weights, through all passes of a study."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from planted import LABELS, PASSES, examples
from tiny_families import (
    FAMILIES,
    HEADS,
    LAYERS,
    WIDTH,
    config_of,
    save_family,
    table,
    tokenizer_of,
    without_weights,
)
from tiny_models import TEXTS
from transformers import AutoConfig, AutoModel

from layerscope.analysis.head_importance import head_gradients
from layerscope.analysis.head_lens.lens import lens
from layerscope.analysis.interventions.choice import interventions_of
from layerscope.analysis.interventions.passes import Intervened
from layerscope.analysis.patching import Patched, mixed, patches_on
from layerscope.analysis.representation_quality.passes import described_layers
from layerscope.analysis.weight_change import FROBENIUS, weight_changes
from layerscope.config.extraction import Attention
from layerscope.config.interventions import Interventions
from layerscope.config.training import FineTuning
from layerscope.config.weights import Lora
from layerscope.core.applicability import NOT_APPLICABLE, described
from layerscope.core.errors import NotApplicableError, UserError
from layerscope.core.formats import write_table
from layerscope.data.labels import TaskLabels
from layerscope.extraction.activations import sequence_vectors
from layerscope.extraction.attention import attention_table
from layerscope.extraction.predictions import predict, predict_each
from layerscope.models.adapters import add_adapter, save_adapter
from layerscope.models.batching import collate
from layerscope.models.checks import require_layers
from layerscope.models.families import body_class, require_language_model
from layerscope.models.hooks import all_heads, heads_masked, resumed, states_captured
from layerscope.models.inputs import encode_text
from layerscope.models.load import load_model, load_with_fresh_head, position_limit
from layerscope.models.loaded import LoadedModel, load_base, load_body, load_fine_tuned
from layerscope.models.maps import layer_maps, switch_to_maps
from layerscope.models.parts import blocks, head_count, head_projections
from layerscope.models.skeleton import skeleton
from layerscope.models.tokenizers import load_tokenizer, require_embeddings
from layerscope.resources.sizes import size_of_config
from layerscope.training.finetuning import FineTuningData, finetune

TUNED = FineTuning(
    learning_rate=1e-2, epochs=1, batch_size=8, max_length=48, warmup_ratio=0.0, weight_decay=0.0
)
#: What a study is asked for, by the name under which docs/models.md lists it.
ANALYSES = (
    *("attention", "masked heads", "erased label", "patching", "one layer patched", "head lens"),
    "head importance",
)


class Study(NamedTuple):
    """A family's model, fine-tuned on one kind of task."""

    name: str
    kind: str
    base: Path
    loaded: LoadedModel


#: Families that are unlike the others; those alone are tried before every commit.
UNUSUAL = {"ALBERT", "ConvBERT", "XLNet", "T5", "OPT", "Falcon", "Mamba", "LFM2"}
PARAMS = [
    pytest.param(name, marks=[] if name in UNUSUAL else [pytest.mark.slow]) for name in FAMILIES
]


@pytest.fixture(scope="module", params=PARAMS)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return request.param, save_family(request.param, tmp_path_factory.mktemp("family") / "m")


@pytest.fixture(scope="module", params=["nli", "ner"])
def study(request: Any, base: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Study:
    name, folder = base
    kind, architecture = request.param, FAMILIES[name].architecture
    task = TaskLabels(kind, LABELS[kind])
    out = tmp_path_factory.mktemp("tuned")
    data = FineTuningData(examples(kind, 16, 1), examples(kind, 4, 2), task)
    finetune(folder, out, data, architecture=architecture, settings=TUNED, seed=1)
    return Study(name, kind, folder, load_fine_tuned(out, architecture, task))


def test_the_table_of_the_docs_is_that_of_this_test() -> None:
    docs = Path(__file__).parents[2] / "docs" / "models.md"
    _, _, rest = docs.read_text(encoding="utf-8").partition("<!-- families -->\n")
    assert rest.partition("\n<!-- end of families -->")[0] == table()


_GPT: dict[str, Any] = {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "rotary_dim": 4}


@pytest.mark.parametrize(
    ("model_type", "options"),
    [
        ("gptj", _GPT),
        ("codegen", _GPT),
        ("mpt", {"d_model": WIDTH, "n_layers": LAYERS, "n_heads": HEADS}),
        ("ctrl", {**_GPT, "dff": 64}),
        ("led", {"d_model": WIDTH, "encoder_layers": LAYERS, "decoder_layers": 1,
                 "encoder_attention_heads": HEADS, "attention_window": 8}),
    ],
)  # fmt: skip
def test_heads_of_further_families_are_found(model_type: str, options: dict[str, Any]) -> None:
    config = AutoConfig.for_model(model_type, vocab_size=9, **options)
    with torch.device("meta"):
        found = head_projections(body_class(config)(config))
    assert [type(each) for each in found] == [torch.nn.Linear] * LAYERS


@pytest.mark.parametrize("model_type", ["fnet", "nystromformer", "yoso"])
def test_models_that_read_padding_are_rejected(model_type: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"model_type '{model_type}' reads padding as text; "):
        require_layers(AutoConfig.for_model(model_type), tmp_path)


@pytest.mark.parametrize(
    ("model_type", "architecture", "said"),
    [
        ("t5", "encoder", "has an encoder and a decoder, "),
        ("xlnet", "encoder", "has no head for masked language modelling; allowed: "),
        ("distilbert", "decoder", "has no head for causal language modelling; allowed: "),
    ],
)
def test_what_cannot_be_pretrained_further_is_rejected(
    model_type: str, architecture: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"'{model_type}' {said}"):
        require_language_model(AutoConfig.for_model(model_type), architecture, tmp_path)


def test_a_model_of_characters_is_rejected(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.for_model("canine", num_hidden_layers=1))
    with pytest.raises(UserError, match=r"^CanineModel has no embeddings of tokens; allowed: "):
        require_embeddings(model, tokenizer_of(FAMILIES["BERT"]), tmp_path)


def task_of(study: Study) -> TaskLabels:
    return TaskLabels(study.kind, LABELS[study.kind])


def test_predictions_do_not_depend_on_what_shares_a_batch(study: Study) -> None:
    table = examples(study.kind, 12, 3)
    alone = PASSES.model_copy(update={"batch_tokens": 1})
    one, other = (
        np.stack(predict(study.loaded, table, task_of(study), each)["probabilities"])
        for each in (PASSES, alone)
    )
    np.testing.assert_allclose(one, other, atol=2e-5)
    assert np.ptp(one, axis=0).max() > 1e-3  # what is read depends on the input


def test_an_adapter_is_read_again_as_it_was_trained(base: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = base
    task, tokenizer = TaskLabels("nli", LABELS["nli"]), load_tokenizer(folder)
    model, _ = load_with_fresh_head(folder, tokenizer, "nli", LABELS["nli"])
    if name == "SqueezeBERT":
        with pytest.raises(UserError, match=r"^adapter: SqueezeBert.* has no linear layers"):
            add_adapter(model, Lora(kind="lora"))
        return
    adapted = add_adapter(model, Lora(kind="lora", rank=2)).eval()
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    save_adapter(adapted, folder, tmp_path)
    again = load_fine_tuned(tmp_path, FAMILIES[name].architecture, task, folder)
    texts = encode_text(tokenizer, again.special_tokens, TEXTS[:3], 48)[0]
    batch = collate(texts, again.special_tokens)
    with torch.inference_mode():
        expected = adapted(**batch).logits
        torch.testing.assert_close(again.model(**batch).logits, expected, atol=1e-4, rtol=1e-3)
        plain = load_base(folder, FAMILIES[name].architecture).model(**batch).last_hidden_state
        changed = again.without_head().model(**batch).last_hidden_state
    assert (changed - plain)[batch["attention_mask"].bool()].abs().max() > 1e-3
    changed = weight_changes(folder, tmp_path)
    assert max(value for key, value in changed.items() if key[2] == FROBENIUS) > 0.01


def test_estimates_know_which_families_have_no_maps() -> None:
    for name, family in FAMILIES.items():
        size = size_of_config(json.loads(config_of(name, tokenizer_of(family)).to_json_string()))
        assert size is not None
        assert bool(size.why_no_maps) == ("attention" in family.missing), name


def test_the_architecture_alone_says_how_much_is_read(base: tuple[str, Path]) -> None:
    """As the page on a task's data asks, which loads no weights."""
    name, folder = base
    loaded = load_base(folder, FAMILIES[name].architecture)
    bare = skeleton(folder)
    assert "meta" in {each.device.type for each in bare.parameters()}  # XLNet has others too
    assert position_limit(bare, 10**6) == position_limit(loaded.model, 10**6)


def test_every_layer_has_vectors_that_padding_does_not_change(base: tuple[str, Path]) -> None:
    name, folder = base
    loaded = load_base(folder, FAMILIES[name].architecture)
    texts = ["fever", "the patient has a fever and a dry cough", "no pain"]
    sequences, _ = encode_text(loaded.tokenizer, loaded.special_tokens, texts, 64)
    vectors = sequence_vectors(loaded, sequences, PASSES)
    assert vectors.shape == (3, LAYERS + 1, WIDTH)
    alone = [sequence_vectors(loaded, [each], PASSES)[0] for each in sequences]
    np.testing.assert_allclose(vectors, np.stack(alone), atol=2e-4, rtol=2e-4)
    for layer in range(LAYERS):
        assert not np.allclose(vectors[:, layer], vectors[:, layer + 1], atol=1e-3)


def test_attention_of_every_head_or_the_reason_why_not(study: Study) -> None:
    before = load_model(study.base, load_tokenizer(study.base))
    settings = Attention(examples=6, max_length=64)
    columns, found = attention_table(
        study.loaded.without_head(), before, None, examples(study.kind, 12, 4), study.kind, settings
    )
    missing = "attention" in FAMILIES[study.name].missing
    assert list(found.get(NOT_APPLICABLE, {})) == ["attention"] * missing
    if missing:
        assert not len(columns["value"])
        return
    own = {(layer, head) for layer, head in zip(columns["layer"], columns["head"], strict=True)}
    assert own == set(all_heads(study.loaded.model))
    values = {name: columns["value"][columns["measure"] == name] for name in ("jsd", "entropy")}
    assert (values["jsd"] >= 0).all()
    assert values["jsd"].max() > 0
    assert values["entropy"].max() > 0


def test_maps_are_of_the_tokens_that_a_state_has_read(base: tuple[str, Path]) -> None:
    name, folder = base
    loaded = load_base(folder, FAMILIES[name].architecture)
    sequences, _ = encode_text(loaded.tokenizer, loaded.special_tokens, TEXTS[:3], 48)
    batch, alone = (collate(each, loaded.special_tokens) for each in (sequences, sequences[1:2]))
    if "attention" in FAMILIES[name].missing:
        with pytest.raises(NotApplicableError):  # noqa: PT012 (the one or the other)
            switch_to_maps(loaded.model, alone)
            next(layer_maps(loaded.model, alone))
        return
    switch_to_maps(loaded.model, alone)
    tokens = len(sequences[1].ids)
    together, apart = (list(layer_maps(loaded.model, each)) for each in (batch, alone))
    for maps, own in zip(together, apart, strict=True):
        found, expected = maps[1, :, :tokens], own[0, :, :tokens, :tokens]
        torch.testing.assert_close(found[..., :tokens], expected, atol=1e-4, rtol=1e-3)
        assert (found[..., tokens:] == 0).all()
        if loaded.architecture == "decoder":
            assert (expected.triu(1) == 0).all()
        torch.testing.assert_close(expected.sum(dim=-1), torch.ones(expected.shape[:2]))


def test_interventions_or_the_reason_why_not(study: Study, tmp_path: Path) -> None:
    loaded, task, table = study.loaded, task_of(study), examples(study.kind, 12, 5)
    missing = FAMILIES[study.name].missing
    attention = tmp_path / "a.parquet"
    columns: dict[str, Any] = {
        name: [] for name in ("example_id", "layer", "head", "measure", "value")
    }
    reasons = {"attention": "none"} if "attention" in missing else {}
    heads = [] if reasons else all_heads(loaded.model)
    for layer, head in heads:
        for name, value in zip(columns, ("e", layer, head, "jsd", 0.1), strict=True):
            columns[name].append(value)
    write_table(attention, "attention", columns, described(reasons))
    found, reasons = interventions_of(
        loaded, examples(study.kind, 24, 6), task, "m",
        Interventions(head_shares=[25], random_draws=1), PASSES, attention,
    )  # fmt: skip
    assert set(reasons) == set(missing) & {"masked heads", "erased label"}
    answers = predict_each(Intervened(loaded.model, found), loaded, table, task, PASSES)
    plain, *changed = [np.stack(each["probabilities"]) for each in answers]
    expected = np.stack(predict(loaded, table, task, PASSES)["probabilities"])
    np.testing.assert_allclose(plain, expected, atol=1e-5)
    for each, own in zip(found, changed, strict=True):
        if each.name in ("heads-most", "erased") and each.ablation != "mean":
            assert np.abs(own - plain).max() > 1e-6, each


def test_layers_are_exchanged_or_the_reason_why_not(study: Study) -> None:
    """Up to a layer by weights and by states; what comes before it computed, and not."""
    loaded, missing = study.loaded, FAMILIES[study.name].missing
    model, tokenizer, special_tokens = loaded.model, loaded.tokenizer, loaded.special_tokens
    layers, patches, reasons = patches_on(loaded, load_body(study.base, loaded.without_head()))
    assert set(reasons) == set(missing) & {"patching", "one layer patched"}
    if "patching" in missing:
        return
    batch = collate(encode_text(tokenizer, special_tokens, TEXTS[:3], 48)[0], special_tokens)
    real = batch["attention_mask"].bool() if study.kind == "ner" else slice(None)
    mixtures = [patch.mixture for patch in patches]
    before, after = (0.0,) * (LAYERS + 1), (1.0,) * (LAYERS + 1)
    with torch.inference_mode():
        found = dict(zip(mixtures, Patched(model, layers, mixtures)(**batch), strict=True))
        with mixed(layers, before), states_captured(model) as states:
            plain = model(**batch).logits
        torch.testing.assert_close(found[before], plain)
        torch.testing.assert_close(found[after], model(**batch).logits)
        for mixture in found:
            with mixed(layers, mixture):
                torch.testing.assert_close(found[mixture][real], model(**batch).logits[real])
        with resumed(model, 1, states[0], states.beside[0]):
            put_in = model(**batch).logits
    if study.name not in ("DeBERTa-v2", "MPNet"):  # all of whose blocks read what layer 0 has
        torch.testing.assert_close(put_in[real], found[0.0, 0.0, 1.0][real])
    assert (found[before] - found[after])[real].abs().max() > 1e-4


def test_the_head_lens_or_the_reason_why_not(study: Study) -> None:
    """At the last layer the model itself, and elsewhere something else."""
    loaded, given = study.loaded, (examples(study.kind, 24, 6), examples(study.kind, 12, 5))
    if "head lens" in FAMILIES[study.name].missing:
        with pytest.raises(NotApplicableError):
            lens(loaded, *given, task_of(study), "m", 0, PASSES)
        return
    rows = lens(loaded, *given, task_of(study), "m", 0, PASSES)
    kl = {(r["lens"], r["layer"]): r["value"] for r in rows if r["metric"] == "kl"}
    assert len(kl) == 3 * (LAYERS + 1)
    assert kl["plain", LAYERS] == kl["tuned", LAYERS] == pytest.approx(0, abs=1e-7)
    assert max(kl["plain", 0], kl["plain", 1]) > 1e-6


def test_the_importance_of_heads_or_the_reason_why_not(study: Study) -> None:
    given = study.loaded, examples(study.kind, 4, 6), task_of(study), 0, PASSES
    if "head importance" in FAMILIES[study.name].missing:
        with pytest.raises(NotApplicableError):
            head_gradients(*given)
        return
    found = np.asarray(head_gradients(*given)["gradient"]).reshape(4, LAYERS, -1)
    assert np.isfinite(found).all()
    assert (np.abs(found).max(axis=0) > 1e-7).all()


def test_representations_of_every_layer_are_described(study: Study) -> None:
    loaded = study.loaded.without_head()
    rows, _ = described_layers(loaded, examples(study.kind, 12, 5), study.kind, PASSES)
    assert {row["layer"] for row in rows} == set(range(LAYERS + 1))


def test_a_masked_head_is_one_that_the_projection_takes_nothing_from(study: Study) -> None:
    model = study.loaded.model
    try:
        all_heads(model)
    except NotApplicableError:
        assert "masked heads" in FAMILIES[study.name].missing
        return
    batch = collate(
        encode_text(study.loaded.tokenizer, study.loaded.special_tokens, TEXTS[:3], 48)[0],
        study.loaded.special_tokens,
    )
    chosen = [(1, 1), (2, 0)]
    with torch.inference_mode():
        plain = model(**batch).logits
        with heads_masked(model, chosen):
            masked = model(**batch).logits
        copied = copy.deepcopy(model)
        for layer, head in chosen:
            without_weights(head_projections(copied)[layer - 1], head, head_count(model))
        expected = copied(**batch).logits
    real = batch["attention_mask"].bool() if study.kind == "ner" else slice(None)
    torch.testing.assert_close(masked[real], expected[real], atol=1e-5, rtol=1e-4)
    assert (masked - plain)[real].abs().max() > 1e-5


def test_a_resumed_pass_is_the_whole_one(study: Study) -> None:
    if "erased label" in FAMILIES[study.name].missing:
        with pytest.raises(NotApplicableError):
            blocks(study.loaded.model)
        return
    model, special_tokens = study.loaded.model, study.loaded.special_tokens
    sequences, _ = encode_text(study.loaded.tokenizer, special_tokens, TEXTS[:3], 48)
    batch = collate(sequences, special_tokens)
    with torch.inference_mode():
        with states_captured(model) as states:
            plain = model(**batch).logits
        with resumed(model, 1, states[0], states.beside[0]):
            torch.testing.assert_close(model(**batch).logits, plain)
        changed = states[0] + torch.arange(WIDTH).to(states[0])
        with resumed(model, 1, changed, states.beside[0]):
            assert not torch.allclose(model(**batch).logits, plain, atol=1e-3)
    assert states[0].shape == (*batch["input_ids"].shape, WIDTH)
