"""Pre-training: the loss on held-out text is what it is said to be, and falls."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny_models import POSITIONS, TEXTS, Tiny, save_encoder

from layerscope.config.training import PreTraining, Shape
from layerscope.core.errors import UserError
from layerscope.models.inputs import SpecialTokens
from layerscope.models.load import load_language_model, load_model, load_with_head
from layerscope.models.tokenizers import load_tokenizer
from layerscope.training import pretraining
from layerscope.training.pretraining import END, pack, pretrain, train_tokenizer
from layerscope.training.trainer import make_trainer

TRAIN = [" . ".join(TEXTS[at:] + TEXTS[:at]) for at in range(len(TEXTS))] * 6
HELD = [" . ".join(reversed(TEXTS))] * 4
SETTINGS = PreTraining(
    steps=40, batch_size=8, sequence_length=24, learning_rate=5e-3, weight_decay=0.0, seed=3
)
STILL = SETTINGS.model_copy(update={"steps": 4, "learning_rate": 1e-30})
SHAPE = Shape(layers=2, width=32, heads=2, vocabulary=320, positions=POSITIONS)


@pytest.fixture
def masked_base(tmp_path: Path) -> Path:
    """An encoder with its masked-language head."""
    return save_encoder(tmp_path / "base", head=True)


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """The held-out items that a pre-training evaluates on."""
    seen: list[dict[str, torch.Tensor]] = []

    def spy(model: Any, arguments: Any, train: Any, held: Any, *more: Any, **options: Any) -> Any:
        seen.extend(held[index] for index in range(len(held)))
        return make_trainer(model, arguments, train, held, *more, **options)

    monkeypatch.setattr(pretraining, "make_trainer", spy)
    return seen


def run(out: Path, **options: Any) -> dict[str, Any]:
    out.mkdir(parents=True)
    defaults: dict[str, Any] = {"architecture": "decoder", "settings": SETTINGS}
    return pretrain(out, TRAIN, HELD, **(defaults | options))


def losses(result: dict[str, Any]) -> list[float]:
    return [evaluation["loss"] for evaluation in result["evaluations"]]


# --- the tokenizer -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(TEXTS, 320)


@given(text=st.text())
@settings(max_examples=200, deadline=None)
def test_the_tokenizer_gives_any_text_back(tokenizer: Any, text: str) -> None:
    assume(tokenizer.eos_token not in text)
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
    assert tokenizer.unk_token_id not in ids


def test_the_tokenizer_has_the_size_asked_for_and_the_same_bytes_each_time(
    tokenizer: Any, tmp_path: Path
) -> None:
    assert len(tokenizer) == 320
    assert len(tokenizer("fever")["input_ids"]) < len("fever")  # it has learnt to merge
    for name in "ab":
        train_tokenizer(iter(TEXTS), 320).save_pretrained(tmp_path / name)
    a, b = ((tmp_path / name / "tokenizer.json").read_bytes() for name in "ab")
    assert a == b


def test_a_saved_tokenizer_is_read_back_as_it_was(tokenizer: Any, tmp_path: Path) -> None:
    result = run(tmp_path / "m", settings=STILL, shape=SHAPE)
    read = load_tokenizer(tmp_path / "m")
    own = train_tokenizer(TRAIN, 320)
    assert result["vocabulary"] == len(read) == len(own)
    for text in TEXTS:
        assert read(text)["input_ids"] == own(text)["input_ids"]
    assert read.eos_token_id == read.convert_tokens_to_ids(END) != read.pad_token_id


# --- packing -----------------------------------------------------------------------------------

DOCUMENTS = st.lists(st.lists(st.integers(min_value=10, max_value=99), max_size=30), max_size=12)


@given(documents=DOCUMENTS, length=st.integers(min_value=3, max_value=20))
def test_packing_keeps_the_order_and_drops_only_what_is_left_over(
    documents: list[list[int]], length: int
) -> None:
    special_tokens = SpecialTokens(
        before=[1], between=[2], after=[2], pad=0, segments=True, spaced=False
    )
    causal = pack(documents, special_tokens, "decoder", 5, length)
    stream = list(chain.from_iterable([*document, 5] for document in documents))
    assert all(len(piece) == length for piece in causal)
    assert list(chain.from_iterable(causal)) == stream[: len(stream) // length * length]

    masked = pack(documents, special_tokens, "encoder", 5, length)
    stream = list(chain.from_iterable(documents))
    assert all(len(piece) == length for piece in masked)
    assert all((piece[0], piece[-1]) == (1, 2) for piece in masked)
    room = length - 2
    body = list(chain.from_iterable(piece[1:-1] for piece in masked))
    assert body == stream[: len(stream) // room * room]


# --- training ----------------------------------------------------------------------------------


def test_the_causal_loss_falls_from_scratch(tmp_path: Path) -> None:
    result = run(tmp_path / "m", shape=SHAPE)
    found = losses(result)
    assert found[0] == pytest.approx(math.log(320), rel=0.1)  # an untrained model guesses
    assert found[-1] < found[0] - 1
    assert [evaluation["step"] for evaluation in result["evaluations"]] == [0, 10, 20, 30, 40]
    for evaluation in result["evaluations"]:
        assert evaluation["perplexity"] == pytest.approx(math.exp(evaluation["loss"]))
    assert result["objective"] == "causal"
    model = load_model(tmp_path / "m", load_tokenizer(tmp_path / "m"))
    assert (model.config.n_layer, model.config.n_embd, model.config.n_head) == (2, 32, 2)
    # Embeddings of sub-words (tied to the output) and of positions, two blocks, a norm.
    block = 12 * 32 * 32 + 13 * 32
    assert result["parameters"] == 320 * 32 + POSITIONS * 32 + 2 * block + 2 * 32


def test_the_masked_loss_falls(masked_base: Path, tmp_path: Path) -> None:
    # A masked loss over few sub-words is rough, so more of them are masked.
    settings = SETTINGS.model_copy(update={"mlm_probability": 0.4, "steps": 60})
    result = run(tmp_path / "m", architecture="encoder", base=masked_base, settings=settings)
    found = losses(result)
    assert found[-1] < found[0] - 1
    assert result["objective"] == "masked"


def test_the_last_step_is_evaluated_whatever_their_number(tmp_path: Path) -> None:
    for steps in (1, 6, 9):
        settings = STILL.model_copy(update={"steps": steps})
        result = run(tmp_path / str(steps), settings=settings, shape=SHAPE)
        found = [evaluation["step"] for evaluation in result["evaluations"]]
        assert (found[0], found[-1]) == (0, steps)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> list[float]:
    """Nats of each target that counts, by hand."""
    scores = logits.double().numpy()
    logs = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    places = zip(*np.nonzero(targets.numpy() != -100), strict=True)
    return [-logs[place][targets[place]] for place in places]


def test_the_first_causal_loss_is_that_of_the_base(decoder: Tiny, tmp_path: Path) -> None:
    result = run(tmp_path / "m", base=decoder.folder, settings=STILL)
    end = decoder.tokenizer.eos_token_id
    stream = [i for text in HELD for i in [*decoder.tokenizer(text)["input_ids"], end]]
    count = len(stream) // 24
    assert result["heldout_sequences"] == count > 8  # more than a batch
    ids = torch.tensor(stream[: count * 24]).reshape(count, 24)
    model = load_language_model(decoder.folder, decoder.tokenizer, "decoder")
    with torch.no_grad():
        nats = cross_entropy(model(input_ids=ids).logits[:, :-1], ids[:, 1:])
    assert losses(result)[0] == pytest.approx(np.mean(nats), rel=1e-4)


def test_the_first_masked_loss_is_that_of_the_base_on_the_masked_sub_words(
    masked_base: Path, tmp_path: Path, evaluated: list[dict[str, torch.Tensor]]
) -> None:
    settings = STILL.model_copy(update={"batch_size": 64})  # all in one batch
    result = run(tmp_path / "m", architecture="encoder", base=masked_base, settings=settings)
    tokenizer = load_tokenizer(masked_base)
    model = load_language_model(masked_base, tokenizer, "encoder")
    ids = torch.stack([item["input_ids"] for item in evaluated])
    labels = torch.stack([item["labels"] for item in evaluated])
    with torch.no_grad():
        nats = cross_entropy(model(input_ids=ids).logits, labels)
    assert losses(result)[0] == pytest.approx(np.mean(nats), rel=1e-4)


def test_a_text_that_spells_a_special_token_is_text(
    tmp_path: Path, evaluated: list[dict[str, torch.Tensor]]
) -> None:
    """A document of nothing but `<|endoftext|>` gives one such token: the one that ends it."""
    (tmp_path / "out").mkdir()
    pretrain(tmp_path / "out", TRAIN, [END * 40], architecture="decoder", settings=STILL,
             shape=SHAPE)  # fmt: skip
    end = load_tokenizer(tmp_path / "out").eos_token_id
    assert evaluated
    assert all((item["input_ids"] == end).sum() <= 1 for item in evaluated)


def test_masks_hide_some_sub_words_and_no_special_ones(
    masked_base: Path, tmp_path: Path, evaluated: list[dict[str, torch.Tensor]]
) -> None:
    result = run(tmp_path / "m", architecture="encoder", base=masked_base, settings=STILL)
    tokenizer = load_tokenizer(masked_base)
    stream = [i for text in HELD for i in tokenizer(text, add_special_tokens=False)["input_ids"]]
    ids = torch.stack([item["input_ids"] for item in evaluated])
    labels = torch.stack([item["labels"] for item in evaluated])
    assert ids.shape == (result["heldout_sequences"], 24)
    # Put back what is hidden, and the text is there.
    whole = torch.where(labels == -100, ids, labels)
    assert whole[:, 1:-1].flatten().tolist() == stream[: len(ids) * 22]
    assert set(whole[:, 0].tolist()) == {tokenizer.cls_token_id}
    assert set(whole[:, -1].tolist()) == {tokenizer.sep_token_id}
    assert (labels[:, [0, -1]] == -100).all()
    share = (labels != -100).float().mean().item()
    assert 0.05 < share < 0.3
    hidden = ids[labels != -100]
    assert (hidden == tokenizer.mask_token_id).float().mean() > 0.5


@pytest.mark.parametrize("architecture", ["encoder", "decoder"])
def test_every_evaluation_asks_the_same(
    architecture: str, masked_base: Path, decoder: Tiny, tmp_path: Path
) -> None:
    base = masked_base if architecture == "encoder" else decoder.folder
    result = run(tmp_path / "m", architecture=architecture, base=base, settings=STILL)
    found = losses(result)
    assert len(found) == 5
    assert found == pytest.approx([found[0]] * 5, rel=1e-6)


@pytest.mark.parametrize("architecture", ["encoder", "decoder"])
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    architecture: str, masked_base: Path, tmp_path: Path
) -> None:
    brief = SETTINGS.model_copy(update={"steps": 3})
    options: dict[str, Any] = (
        {"base": masked_base, "architecture": "encoder"}
        if architecture == "encoder"
        else {"shape": SHAPE}
    )
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        torch.manual_seed(ord(name))  # what ran before must not matter
        run(tmp_path / name, settings=brief.model_copy(update={"seed": seed}), **options)
    a, b, c = ((tmp_path / name) for name in "abc")
    for path in a.iterdir():
        assert path.read_bytes() == (b / path.name).read_bytes(), path.name
    assert (a / "model.safetensors").read_bytes() != (c / "model.safetensors").read_bytes()


def test_a_continued_encoder_keeps_the_pooler_of_its_base(encoder: Tiny, tmp_path: Path) -> None:
    run(tmp_path / "m", architecture="encoder", base=encoder.folder)
    base = encoder.model.pooler.dense.weight
    assert torch.equal(load_model(tmp_path / "m", encoder.tokenizer).pooler.dense.weight, base)
    whole = load_with_head(tmp_path / "m", encoder.tokenizer, "nli", ["x", "y"])
    assert torch.equal(whole.base_model.pooler.dense.weight, base)
    blocks = [name for name in load_file(tmp_path / "m" / "model.safetensors") if ".layer." in name]
    assert len(blocks) == 2 * 16
    changed = load_model(tmp_path / "m", encoder.tokenizer).state_dict()
    name = "encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(changed[name], encoder.model.state_dict()[name])


def test_a_decoder_can_be_continued(decoder: Tiny, tmp_path: Path) -> None:
    found = losses(run(tmp_path / "m", base=decoder.folder))
    assert found[-1] < found[0] - 0.5
    again = losses(run(tmp_path / "n", base=tmp_path / "m", settings=STILL))
    assert again[0] == pytest.approx(found[-1], rel=1e-5)


def short(texts: list[str]) -> list[str]:
    return [texts[0].split()[0]]


@pytest.mark.parametrize(
    ("train", "held", "message"),
    [
        (list, short, "held-out text is shorter than one sequence of 24"),
        (short, list, "training text is shorter than one sequence of 24"),
    ],
)
def test_too_short_a_text_gives_one_line(
    train: Callable[[list[str]], list[str]],
    held: Callable[[list[str]], list[str]],
    message: str,
    decoder: Tiny,
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=message):
        pretrain(
            tmp_path,
            train(TRAIN),
            held(HELD),
            architecture="decoder",
            settings=STILL,
            base=decoder.folder,
        )


def test_what_cannot_be_pretrained_gives_one_line(decoder: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        run(tmp_path / "a", base=tmp_path / "nowhere")
    with pytest.raises(UserError, match="'encoder' from scratch"):
        run(tmp_path / "b", architecture="encoder", shape=SHAPE)
    with pytest.raises(UserError, match="needs a shape"):
        run(tmp_path / "c")
    wild = SETTINGS.model_copy(update={"learning_rate": 1e30, "steps": 4})
    with pytest.raises(UserError, match="diverged"):
        run(tmp_path / "d", base=decoder.folder, settings=wild)
    assert not list((tmp_path / "d").iterdir())
