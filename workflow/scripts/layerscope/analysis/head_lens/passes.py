"""A model's answers from each of its layers: what its head makes of their states.

nostalgebraist (2020), "interpreting GPT: the logit lens", of a head for language modelling; here
the head is that of the task, with all that stands between the last block and it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedModel

from layerscope.analysis.head_lens.translators import Translator
from layerscope.analysis.interventions.erasure import Inputs, vectors_read
from layerscope.config.extraction import Activations
from layerscope.core.errors import NotApplicableError
from layerscope.models.batching import collate
from layerscope.models.forward import forward
from layerscope.models.hooks import resumed, states_captured
from layerscope.models.inputs import labelled_position
from layerscope.models.loaded import LoadedModel
from layerscope.models.parts import blocks, tokens_first
from layerscope.models.reading import read_mask

PLAIN, TUNED, SHUFFLED = "plain", "tuned", "shuffled"
#: In the order of a `Lensed` model's answers.
LENSES = (PLAIN, TUNED, SHUFFLED)

Codes = npt.NDArray[np.int32]
Vectors = npt.NDArray[np.float32]


class Layers(NamedTuple):
    """The states of every layer in a pass, and what the last block gave besides."""

    states: list[torch.Tensor]  # of each layer, the embeddings first: batch x tokens x width
    beside: tuple[Any, ...] | None


@contextmanager
def layers_captured(model: PreTrainedModel) -> Iterator[Callable[[], Layers]]:
    """While it lasts, a function gives the states of every layer in the last pass.

    The embeddings are what the first block reads: not all families have them among their
    `hidden_states`. The function raises NotApplicableError if layers are of different shapes.

    Raises:
        NotApplicableError: the blocks of this model are not found.
    """
    embedded = torch.empty(0)

    def keep(module: nn.Module, inputs: Any, options: Any) -> None:
        nonlocal embedded
        state = (*inputs, *options.values())[0]
        embedded = state.transpose(0, 1) if tokens_first(model) else state

    with states_captured(model) as states:

        def captured() -> Layers:
            found = [embedded.to(states[0].device), *states]
            if len({state.shape for state in found}) > 1:
                raise NotApplicableError(
                    f"{type(model).__name__}: its layers have states of different shapes"
                )
            return Layers(found, states.beside[-1])

        handle = blocks(model)[0].register_forward_pre_hook(keep, with_kwargs=True)
        try:
            yield captured
        finally:
            handle.remove()


class Lensed(nn.Module):
    """A fine-tuned model that answers a batch as it is, and from each layer through each lens."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokens: str,
        translators: Mapping[str, Sequence[Translator]],
    ) -> None:
        """Nothing is changed in the model.

        Args:
            model: with its head, in evaluation mode.
            tokens: which of them its head reads: first, last or all.
            translators: of each layer, the embeddings first, by lens; of `PLAIN` there are none.
        """
        super().__init__()
        self.model, self.config = model, model.config
        self.tokens, self.translators = tokens, translators

    def forward(self, **batch: torch.Tensor) -> list[torch.Tensor]:
        """Logits of the model as it is, then of each lens from the first layer to the last."""
        with layers_captured(self.model) as captured:
            logits = [self.model(**batch).logits]
            states, beside = captured()
        read = read_mask(batch["attention_mask"], self.tokens)
        for lens in (PLAIN, *self.translators):
            for layer, state in enumerate(states):
                given = state
                if lens != PLAIN:
                    given = state.clone()
                    given[read] = self.translators[lens][layer](state[read])
                with resumed(self.model, len(states) - 1, given, beside):
                    logits.append(self.model(**batch).logits)
        return logits


def require_last_layer(loaded: LoadedModel, inputs: Inputs) -> None:
    """Stop where a head does not answer from the last layer's states alone.

    Raises:
        NotApplicableError: it is so, or layers are not found.
    """
    device = next(loaded.model.parameters()).device
    batch = collate(inputs.sequences[:1], loaded.special_tokens, device)
    with torch.inference_mode():
        own, *plain = Lensed(loaded.model, inputs.tokens, {})(**batch)
    if not torch.allclose(own, plain[-1], rtol=1e-3, atol=1e-4):
        name = type(loaded.model).__name__
        raise NotApplicableError(f"{name}: its head reads more than the last layer's states")


def layer_vectors(loaded: LoadedModel, inputs: Inputs, settings: Activations) -> Vectors:
    """What the head would read of each layer, in one pass: layers x rows x width.

    Args:
        loaded: with its head, in evaluation mode.
        inputs: a row per example, or per word (ner).
        settings: limits and precision of the pass.
    """
    counts = [len(codes) for codes in inputs.codes]
    starts = np.cumsum([0, *counts])
    found: Vectors | None = None
    with layers_captured(loaded.model) as captured:

        def read(indices: list[int], batch: Mapping[str, torch.Tensor], _: Any) -> Any:
            own, mask = [inputs.sequences[index] for index in indices], batch["attention_mask"]
            vectors = vectors_read(captured().states, mask, own, inputs.tokens, loaded.architecture)
            return vectors.cpu().numpy()

        for indices, vectors in forward(
            loaded.model, inputs.sequences, loaded.special_tokens,
            settings.batch_tokens, settings.precision, read,
        ):  # fmt: skip
            if found is None:
                shape = (vectors.shape[1], int(starts[-1]), vectors.shape[2])
                found = np.empty(shape, np.float32)
            places = [range(starts[index], starts[index + 1]) for index in indices]
            found[:, np.concatenate(places)] = vectors.swapaxes(0, 1)
    if found is None:
        raise ValueError("no sequences, of which there are no states")
    return found


class Answers(NamedTuple):
    """Answers to test rows: the model's own first, then those of a `Lensed` model in its order."""

    codes: Codes  # answers x rows: the likeliest label
    kl: Vectors  # answers x rows: of the own distribution from each, in bits


def answers_of(
    lensed: Lensed, loaded: LoadedModel, inputs: Inputs, settings: Activations
) -> Answers:
    """Answers to every example or word, and how far they are from the model's own, in one pass.

    Args:
        lensed: made of the model of `loaded`.
        loaded: whose inputs it takes.
        inputs: a row per example, or per word (ner).
        settings: limits and precision of the pass.
    """
    starts = np.cumsum([0, *(len(codes) for codes in inputs.codes)])
    codes: Codes | None = None
    kl = np.empty((0, 0), np.float32)

    def read(indices: list[int], batch: Any, logits: list[torch.Tensor]) -> tuple[Codes, Vectors]:
        own = [inputs.sequences[index] for index in indices]
        return _answered(torch.stack(logits).float(), own, loaded.architecture)

    for indices, found in forward(
        lensed, inputs.sequences, loaded.special_tokens,
        settings.batch_tokens, settings.precision, read,
    ):  # fmt: skip
        if codes is None:
            shape = (len(found[0]), int(starts[-1]))
            codes, kl = np.empty(shape, np.int32), np.empty(shape, np.float32)
        places = np.concatenate([range(starts[index], starts[index + 1]) for index in indices])
        codes[:, places], kl[:, places] = found
    if codes is None:
        raise ValueError("no sequences, to which there are no answers")
    return Answers(codes, kl)


def _answered(
    logits: torch.Tensor, sequences: Sequence[Any], architecture: str
) -> tuple[Codes, Vectors]:
    """Likeliest labels, and divergences from the first answer in bits: each answers x rows.

    Args:
        logits: answers x batch x labels, or x batch x tokens x labels (ner).
        sequences: of the batch.
        architecture: decides at which sub-word words are labelled.
    """
    if logits.dim() == 4:
        read = [
            (row, labelled_position(span, architecture))
            for row, sequence in enumerate(sequences)
            for span in sequence.words
        ]
        rows, places = torch.tensor(read, device=logits.device).T
        logits = logits[:, rows, places]
    # As in predictions: of labels that are equally likely in float32, the first.
    likeliest = torch.softmax(logits, dim=-1).cpu().numpy().argmax(axis=-1)
    logs = torch.log_softmax(logits.double(), dim=-1)
    bits = (logs[0].exp() * (logs[:1] - logs)).sum(dim=-1) / np.log(2)
    return likeliest.astype(np.int32), bits.clamp(min=0).float().cpu().numpy()
