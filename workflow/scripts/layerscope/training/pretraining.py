"""Pre-training on plain text: masked for encoders, causal for decoders.

From scratch (a GPT-2 architecture with its own byte-level BPE tokenizer; Radford et al. 2019) or
continued from another model, the recipe of BioBERT (Lee et al. 2020) in miniature. Texts are
packed into sequences of one length. The loss on held-out text is measured before, during and after.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    DataCollatorForLanguageModeling,
    GPT2Config,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    set_seed,
)

from layerscope.config.training import PreTraining, Shape
from layerscope.core.errors import UserError
from layerscope.data.rng import seeded
from layerscope.models.inputs import SpecialTokens
from layerscope.models.load import fuse_activations, load_language_model, position_limit
from layerscope.models.loaded import LoadedModel
from layerscope.models.tensors import read_tensors
from layerscope.models.tokenizers import load_tokenizer
from layerscope.training.checkpoints import Checkpoints
from layerscope.training.order import Epochs, Items, shuffled
from layerscope.training.trainer import (
    Run,
    make_trainer,
    train_on,
    training_arguments,
    within_memory,
)

END, PAD = "<|endoftext|>", "<|pad|>"
HELDOUT_SEQUENCES = 64  # enough for a loss to two digits, few enough for a CPU


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer of at most `vocabulary` entries, GPT-2's kind."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, eos_token=END, bos_token=END, unk_token=END, pad_token=PAD
    )


def new_model(
    shape: Shape, tokenizer: PreTrainedTokenizerBase, architecture: str
) -> PreTrainedModel:
    """A GPT-2 language model of a given shape with random weights from torch's generator."""
    if architecture != "decoder":
        raise UserError(f"architecture '{architecture}' from scratch; allowed: 'decoder'")
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=shape.positions,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return fuse_activations(AutoModelForCausalLM.from_config(config))  # type: ignore[no-untyped-call]


def pack(
    documents: Iterable[Sequence[int]],
    special_tokens: SpecialTokens,
    architecture: str,
    end: int,
    length: int,
) -> list[list[int]]:
    """Join tokenised documents and cut the stream into sequences of one length.

    Decoders: documents are joined by the end-of-text token. Encoders: each piece of the stream gets
    the tokenizer's frame. What is left over at the end is dropped.
    """
    stream: list[int] = []
    for document in documents:
        stream.extend(document)
        if architecture == "decoder":
            stream.append(end)
    before, after = (
        (special_tokens.before, special_tokens.after) if architecture == "encoder" else ([], [])
    )
    room = length - len(before) - len(after)
    pieces = [stream[at : at + room] for at in range(0, len(stream) - room + 1, room)]
    return [[*before, *piece, *after] for piece in pieces]


def _pooler(model: PreTrainedModel, base: str | Path | None) -> dict[str, torch.Tensor]:
    """The base's pooler, which a model with a language head has not.

    Without it, fine-tuning on pairs would start from a random one, unlike fine-tuning of the base.
    """
    if base is None:
        return {}
    prefix = f"{model.base_model_prefix}."
    found = read_tensors(base, lambda name: "pooler" in name)
    return {prefix + name.removeprefix(prefix): weight for name, weight in found.items()}


class Masks:
    """Which sub-words are hidden of sequences; of a decoder's none."""

    def __init__(self, loaded: LoadedModel, settings: PreTraining) -> None:
        self.masked = loaded.architecture == "encoder"
        self.seed = settings.seed
        self.collator = DataCollatorForLanguageModeling(
            loaded.tokenizer,
            mlm=self.masked,
            mlm_probability=settings.mlm_probability if self.masked else None,
            seed=settings.seed,
        )

    def fixed(self, sequences: Sequence[list[int]]) -> Items:
        """Sequences masked once for all epochs."""
        batch = self.collator([{"input_ids": ids} for ids in sequences])
        return Items(
            [
                {"input_ids": ids, "labels": labels}
                for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True)
            ]
        )

    def epochs(self, sequences: Sequence[list[int]]) -> Epochs:
        """Sequences in an order and with masks of their own in each epoch."""
        order = partial(shuffled, len(sequences), self.seed)
        items = [{"input_ids": ids} for ids in sequences]
        return Epochs(items, order, self._hide if self.masked else None)

    def collate(self, items: list[dict[str, Any]]) -> Any:
        """A batch of items that are masked, or that are a decoder's."""
        if "labels" in items[0]:
            return {key: torch.stack([item[key] for item in items]) for key in items[0]}
        return self.collator(items)

    def _hide(self, item: dict[str, Any], epoch: int, index: int) -> dict[str, Any]:
        """One sequence with masks of its own in each epoch, whatever was read before."""
        draws = seeded(f"masks of epoch {epoch}, sequence {index}", self.seed)
        self.collator.generator = torch.Generator().manual_seed(draws.getrandbits(63))
        return {name: rows[0] for name, rows in self.collator([item]).items()}


def pretrain(
    out: Path,
    train: Sequence[str],
    heldout: Sequence[str],
    *,
    architecture: str,
    settings: PreTraining,
    base: str | Path | None = None,
    shape: Shape | None = None,
    checkpoints: Checkpoints | None = None,
) -> dict[str, Any]:
    """Pre-train a model and save it with its tokenizer in `out`.

    A training that goes on from a checkpoint ends with the same bytes as one that was never killed.

    Args:
        out: an existing folder to write to.
        train: texts to learn from.
        heldout: texts to measure the loss on.
        architecture: "encoder" (masked) or "decoder" (causal).
        settings: of the training.
        base: folder of the model to continue from; None for one from scratch.
        shape: of a model from scratch.
        checkpoints: where to save on the way and where to go on; None for nowhere.

    Returns:
        `objective`, counts, and `evaluations`: step, loss (nats a predicted sub-word) and
        perplexity on the held-out text.

    Raises:
        UserError: a text is too short for one sequence, the base cannot be loaded, a loss is not
            finite, the memory too little for one sequence, or another process has begun the same
            job.
    """
    tokenizer, start = _beginning(architecture, base, shape, train)

    def attempt(run: Run) -> dict[str, Any]:
        set_seed(settings.seed)
        loaded = LoadedModel.of(start(), tokenizer, architecture)
        length = position_limit(loaded.model, settings.sequence_length)
        learn = _sequences(loaded, train, "training", length)
        held = _sequences(loaded, heldout, "held-out", length)[:HELDOUT_SEQUENCES]
        evaluations = _train(loaded, learn, held, settings, run)
        state = {**loaded.model.state_dict(), **_pooler(loaded.model, base)}
        loaded.model.save_pretrained(run.out, state_dict=state)
        return {
            "objective": "masked" if architecture == "encoder" else "causal",
            "vocabulary": len(tokenizer),
            "micro_batch_size": run.micro_batch,
            "parameters": loaded.model.num_parameters(),
            "training_sequences": len(learn),
            "heldout_sequences": len(held),
            "sequence_length": length,
            "evaluations": evaluations,
        }

    result = within_memory(attempt, settings, out, checkpoints)
    tokenizer.save_pretrained(out)
    return result


def _beginning(
    architecture: str, base: str | Path | None, shape: Shape | None, train: Sequence[str]
) -> tuple[PreTrainedTokenizerBase, Callable[[], PreTrainedModel]]:
    """The tokenizer, and what gives the model as it is before the training."""
    tokenizer: PreTrainedTokenizerBase
    if base is not None:
        tokenizer = load_tokenizer(base)
        return tokenizer, partial(load_language_model, base, tokenizer, architecture)
    if shape is None:
        raise UserError("a model from scratch needs a shape")
    tokenizer = train_tokenizer(train, shape.vocabulary)
    return tokenizer, partial(new_model, shape, tokenizer, architecture)


def _sequences(
    loaded: LoadedModel, texts: Sequence[str], name: str, length: int
) -> list[list[int]]:
    """Texts as sequences of one length; `name` is what an error calls them."""
    # A text that spells a special token is text.
    options = {"add_special_tokens": False, "split_special_tokens": True}
    tokenizer = loaded.tokenizer
    ids = tokenizer(list(texts), **options)["input_ids"]
    end = tokenizer.eos_token_id
    packed = pack(ids, loaded.special_tokens, loaded.architecture, end, length)
    if not packed:
        raise UserError(f"{name} text is shorter than one sequence of {length} sub-words")
    return packed


def _train(
    loaded: LoadedModel,
    learn: Sequence[list[int]],
    held: Sequence[list[int]],
    settings: PreTraining,
    run: Run,
) -> list[dict[str, float]]:
    """Train a model; step, loss and perplexity of each evaluation on the held-out sequences."""
    causal = loaded.architecture == "decoder"
    if causal:
        # GPT-2's class name hides from the Trainer that the first sub-word is not predicted,
        # and its losses would be too small by one in a sequence.
        loaded.model.loss_type = "ForCausalLM"
    masks = Masks(loaded, settings)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = training_arguments(
            scratch,
            settings,
            run.micro_batch,
            max_steps=settings.steps,
            seed=settings.seed,
            eval_strategy="steps",
            eval_steps=max(1, settings.steps // 4),
            eval_on_start=run.checkpoint is None,
        )
        # The held-out ones are masked once, so that every evaluation predicts the same sub-words.
        trainer = make_trainer(
            loaded.model,
            arguments,
            masks.epochs(learn),
            masks.fixed(held),
            masks.collate,
            causal=causal,
        )
        train_on(trainer, run)
    losses = {e["step"]: e["eval_loss"] for e in trainer.state.log_history if "eval_loss" in e}
    if not all(math.isfinite(loss) for loss in losses.values()):
        raise UserError(
            f"pre-training diverged, held-out losses {list(losses.values())}; allowed: finite "
            f"losses, so a learning_rate below {settings.learning_rate}"
        )
    return [
        {"step": step, "loss": loss, "perplexity": math.exp(min(loss, 50))}
        for step, loss in sorted(losses.items())
    ]
