"""Out of memory on a device: smaller passes, the same result; and one line when nothing helps."""

from __future__ import annotations

import gc
import json
import logging
import shutil
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_finetuning import SETTINGS, pairs, sentences, tuned
from test_pretraining import SETTINGS as PRETRAINING
from test_pretraining import run
from tiny_models import TEXTS, Tiny, everything, read, save_decoder, save_encoder

from layerscope.analysis.interventions.passes import Intervened, Intervention
from layerscope.config.extraction import Activations
from layerscope.core.errors import UserError
from layerscope.extraction.activations import sequence_vectors
from layerscope.extraction.attention import compare_attention
from layerscope.models.forward import forward
from layerscope.models.inputs import encode_text
from layerscope.models.load import load_with_head, random_model
from layerscope.models.pooling import sequence_means
from layerscope.training import finetuning, pretraining
from layerscope.training.checkpoints import Checkpoints
from layerscope.training.trainer import loss_of_step, training_arguments

BRIEF = SETTINGS.model_copy(update={"learning_rate": 0.05, "epochs": 2})


FULL = "CUDA out of memory. Tried to allocate 2.00 GiB."
CUBLAS = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
ASSERT = "CUDA error: device-side assert triggered"


def fail(text: str = FULL) -> None:
    """Raise what torch raises; an error made once would keep what it met in memory."""
    raise (torch.OutOfMemoryError if text == FULL else RuntimeError)(text)


def hold(model: Any, limit: int, text: str = FULL) -> Any:
    """Let a model fail as a device without memory for more than `limit` sequences makes it."""
    own = model.forward

    def limited(*arguments: Any, **options: Any) -> Any:
        if len(options["input_ids"]) > limit:
            fail(text)
        return own(*arguments, **options)

    model.forward = limited
    return model


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Sequences that fit (`holds`); models loaded so far are gone when the next one comes."""
    memory: dict[str, Any] = {"holds": 99, "models": []}
    for module, name in (
        (finetuning, "load_with_fresh_head"),
        (pretraining, "load_language_model"),
    ):
        own = getattr(module, name)

        def load(*arguments: Any, own: Any = own, **options: Any) -> Any:
            assert [model() for model in memory["models"] if model() is not None] == []
            loaded = own(*arguments, **options)
            model = hold(loaded[0] if isinstance(loaded, tuple) else loaded, memory["holds"])
            memory["models"].append(weakref.ref(model))
            return loaded

        monkeypatch.setattr(module, name, load)
    return memory


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain descent: Adam makes large steps of gradients that are rounding errors."""
    for module in (finetuning, pretraining):
        monkeypatch.setattr(module, "training_arguments", partial(training_arguments, optim="sgd"))


def still(folder: Path, architecture: str, head: bool = False) -> Tiny:
    """A tiny model without dropout."""
    if architecture == "encoder":
        save_encoder(folder, head=head)
        off = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    else:
        save_decoder(folder)
        off = ("resid_pdrop", "embd_pdrop", "attn_pdrop", "classifier_dropout")  # type: ignore[assignment]
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | dict.fromkeys(off, 0.0)))
    return read(folder, architecture)


def assert_close(one: Path, other: Path) -> None:
    weights, others = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert set(weights) == set(others)
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize(("architecture", "kind"), [("encoder", "nli"), ("decoder", "ner")])
def test_fine_tuning_in_smaller_passes_learns_the_same(
    architecture: str,
    kind: str,
    limit: dict[str, Any],
    plain: None,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """26 examples in batches of 8: the last step of an epoch has 2."""
    tiny = still(tmp_path / "model", architecture)
    table = (pairs if kind == "nli" else sentences)(26, 1)
    faster = BRIEF.model_copy(update={"learning_rate": 1.5 * BRIEF.learning_rate})
    whole = tuned(tiny, tmp_path / "whole", table, settings=faster)
    gc.collect()
    limit["holds"] = 3
    small = tuned(tiny, tmp_path / "small", table, settings=faster)
    assert (whole["micro_batch_size"], small["micro_batch_size"]) == (8, 2)
    assert whole["steps"] == small["steps"] == 8
    assert_close(tmp_path / "whole", tmp_path / "small")
    before = load_file(tmp_path / "model" / "model.safetensors")
    after = load_file(tmp_path / "small" / "model.safetensors")
    names = {name: name if name in after else f"bert.{name}" for name in before}
    moved = [(after[names[name]] - before[name]).abs().max() for name in before]
    assert max(moved) > 1e-2  # a thousand times what may lie between the two
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.partition(";")[0] for text in warnings] == [
        "out of memory with 8 sequences in a pass",
        "out of memory with 4 sequences in a pass",
    ]
    assert warnings[1].endswith("restarts with 2; 4 passes make up a batch of 8 as before")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["encoder", "decoder"])
def test_pre_training_in_smaller_passes_learns_the_same(
    architecture: str, limit: dict[str, Any], plain: None, tmp_path: Path
) -> None:
    """The masks are those of the whole batch, and passes differ in how many they have."""
    base = still(tmp_path / "base", architecture, head=True).folder
    settings = PRETRAINING.model_copy(
        update={"steps": 8, "learning_rate": 0.05, "batch_size": 6, "mlm_probability": 0.3}
    )
    results = []
    for name, holds in (("whole", 99), ("small", 2)):
        limit["holds"] = holds
        gc.collect()
        results.append(run(tmp_path / name, architecture=architecture, base=base,
                           settings=settings))  # fmt: skip
    assert [result["micro_batch_size"] for result in results] == [6, 1]
    assert_close(tmp_path / "whole", tmp_path / "small")
    if architecture == "decoder":
        for one, two in zip(*(result["evaluations"] for result in results), strict=True):
            assert one["loss"] == pytest.approx(two["loss"], abs=1e-4)


def test_a_batch_is_halved_to_its_next_divisor(
    encoder: Tiny, limit: dict[str, Any], tmp_path: Path
) -> None:
    limit["holds"] = 7
    settings = BRIEF.model_copy(update={"batch_size": 15, "epochs": 1})
    history = tuned(encoder, tmp_path / "out", pairs(26, 1), settings=settings)
    assert history["micro_batch_size"] == 5


@pytest.mark.slow
def test_a_resumed_job_keeps_its_micro_batch(
    encoder: Tiny,
    limit: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    table, checkpoints = pairs(26, 1), Checkpoints(tmp_path / "checkpoints", "key", 0)
    limit["holds"] = 4
    tuned(encoder, tmp_path / "whole", table)
    gc.collect()

    def kill(_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(finetuning, "loss_log", kill)
        with pytest.raises(KeyboardInterrupt):
            tuned(encoder, tmp_path / "killed", table, checkpoints=checkpoints)
    gc.collect()
    caplog.clear()
    history = tuned(encoder, tmp_path / "resumed", table, checkpoints=checkpoints)
    assert history["micro_batch_size"] == 4
    assert "resuming" in caplog.text
    assert "out of memory" not in caplog.text
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "resumed" / path.name).read_bytes()


def test_a_sequence_that_does_not_fit_gives_one_line(
    encoder: Tiny, limit: dict[str, Any], tmp_path: Path
) -> None:
    limit["holds"] = 0
    message = "out of memory with batch_size 8, even one sequence at a time, and max_length 48; al"
    with pytest.raises(UserError, match=message):
        tuned(encoder, tmp_path / "out", pairs(9, 1))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("causal", [False, True])
def test_the_loss_of_a_step_is_the_mean_over_all_its_labels(causal: bool) -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 6, 5)
    labels = torch.randint(5, (4, 6))
    labels[0, 1:] = labels[2, :4] = -100
    shown, asked = (logits[:, :-1], labels[:, 1:]) if causal else (logits, labels)
    nats = -torch.log_softmax(shown.double(), -1)[asked != -100]
    expected = nats.gather(1, asked[asked != -100][:, None]).mean()
    count = (asked != -100).sum()
    whole = loss_of_step({"logits": logits}, labels, causal=causal)
    parts = [
        loss_of_step({"logits": logits[at : at + 1]}, labels[at : at + 1], count, causal=causal)
        for at in range(4)
    ]
    assert whole.item() == pytest.approx(expected.item(), rel=1e-6)
    assert sum(parts).item() == pytest.approx(expected.item(), rel=1e-6)  # type: ignore[union-attr]
    nothing = loss_of_step({"logits": logits}, torch.full_like(labels, -100), causal=causal)
    assert nothing.item() == 0


# --- extraction --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [FULL, CUBLAS], ids=["torch", "cublas"])
def test_extraction_halves_what_does_not_fit(
    tiny: Tiny, text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [" ".join(text.split()[: 2 + index % 5]) for index, text in enumerate(TEXTS * 3)]
    sequences, _ = encode_text(tiny.tokenizer, tiny.special_tokens, texts, 48)
    folder = shutil.copytree(tiny.folder, tmp_path / "model")
    small = hold(read(folder, tiny.architecture).model, 3, text)

    def states(model: Any) -> dict[int, torch.Tensor]:
        found = {}
        for indices, (batch, output) in forward(
            model, sequences, tiny.special_tokens, 200, "float32", everything
        ):
            for row, index in enumerate(indices):
                assert index not in found
                length = int(batch["attention_mask"][row].sum())
                assert length == len(sequences[index].ids)
                found[index] = output[0][row, :length]
        return found

    whole, halved = states(tiny.model), states(small)
    assert list(halved) == list(whole)  # in the same order
    for index, state in whole.items():
        torch.testing.assert_close(halved[index], state)
    assert caplog.text.count("out of memory") == 1
    assert "such batches are halved" in caplog.text

    with pytest.raises(UserError, match=r"out of memory with one sequence of \d+ sub-words; allow"):
        states(hold(small, 0))


def test_another_error_is_no_lack_of_memory(encoder: Tiny, tmp_path: Path) -> None:
    model = read(shutil.copytree(encoder.folder, tmp_path / "model"), "encoder").model
    sequences, _ = encode_text(encoder.tokenizer, encoder.special_tokens, TEXTS, 48)
    broken = hold(model, 3, ASSERT)
    with pytest.raises(RuntimeError, match="device-side assert"):
        list(forward(broken, sequences, encoder.special_tokens, 200, "float32", everything))


def test_pooling_halves_what_does_not_fit(tiny: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    sequences, _ = encode_text(tiny.tokenizer, tiny.special_tokens, TEXTS, 48)

    def hungry(hidden: Any, mask: torch.Tensor) -> torch.Tensor:
        if len(mask) > 2:
            fail()
        return sequence_means(hidden, mask)

    given = (tiny, sequences, Activations(batch_tokens=1000))
    whole, halved = (sequence_vectors(*given, [pool]) for pool in (sequence_means, hungry))
    np.testing.assert_allclose(halved, whole, rtol=1e-4, atol=1e-5)
    assert caplog.text.count("such batches are halved") == 1


@pytest.mark.parametrize("fits", [2, 3, 4])
def test_attention_halves_what_does_not_fit(
    tiny: Tiny, fits: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every number is the same, that of another sentence too: 7 examples in batches of 5 and 2."""
    encoded, _ = encode_text(tiny.tokenizer, tiny.special_tokens, TEXTS, 64)
    examples = [(f"e{index}", each) for index, each in enumerate(encoded)]
    models = [tiny.model, random_model(tiny.folder, tiny.tokenizer, 1)]  # type: ignore[arg-type]
    small = read(shutil.copytree(tiny.folder, tmp_path / "model"), tiny.architecture).model
    for model in (*models, small):
        model.set_attn_implementation("eager")
    whole, halved = (
        compare_attention(examples, replace(tiny, model=model), models[1], None, 5)
        for model in (models[0], hold(small, fits))
    )
    assert "cosine_null_sentence" in whole["measure"]
    for name in ("example_id", "layer", "head", "measure"):
        assert whole[name].tolist() == halved[name].tolist()
    np.testing.assert_allclose(halved["value"], whole["value"], rtol=1e-3, atol=1e-5)
    assert caplog.text.count("such batches are halved") == 1

    with pytest.raises(UserError, match=r"attention maps of one example of \d+ sub-words; allowed"):
        compare_attention(examples, replace(tiny, model=hold(small, 0)), models[1], None, 5)


def test_an_intervened_model_is_halved_and_left_as_it_was(
    encoder: Tiny, caplog: pytest.LogCaptureFixture
) -> None:
    model = load_with_head(encoder.folder, encoder.tokenizer, "nli", ["x", "y", "z"])
    sequences, _ = encode_text(encoder.tokenizer, encoder.special_tokens, TEXTS, 48)
    changed = Intervened(model, [Intervention("heads-most", heads=[(2, 1)])])

    def logits(batch_sizes: int) -> dict[int, torch.Tensor]:
        found = {}
        head = model.classifier.register_forward_pre_hook(
            lambda _, inputs: _fail_above(batch_sizes, len(inputs[0]))
        )
        for indices, (_, output) in forward(
            changed, sequences, encoder.special_tokens, 1000, "float32", everything
        ):
            for row, index in enumerate(indices):
                found[index] = torch.stack([each[row] for each in output])
        head.remove()
        return found

    whole, halved = logits(99), logits(2)
    assert list(whole) == list(halved)
    for index, answers in whole.items():
        torch.testing.assert_close(halved[index], answers, rtol=1e-4, atol=1e-5)
    assert "such batches are halved" in caplog.text


def _fail_above(limit: int, count: int) -> None:
    if count > limit:
        fail()
