"""How much a fine-tuned model's loss depends on each attention head, by gradients.

Michel, Levy and Neubig (2019), "Are Sixteen Heads Really Better than One?", section 4.1: what a
head gives is multiplied by a gate of 1 before the output projection, and the head's importance is
the mean over examples of the absolute gradient of an example's loss with respect to its gate. To
first order, that is how much the loss changes if this one head is masked.

Each example has gates of its own, so that one pass back gives the gradients of a whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from layerscope.analysis.interventions.erasure import Codes, Inputs, read_inputs
from layerscope.config.extraction import Activations
from layerscope.core.errors import NotApplicableError
from layerscope.core.kinds import labels_examples
from layerscope.data.labels import TaskLabels
from layerscope.data.sampling import capped_sample, strata
from layerscope.models.forward import forward
from layerscope.models.hooks import heads_gated
from layerscope.models.inputs import Encoded, labelled_position
from layerscope.models.loaded import LoadedModel
from layerscope.models.parts import head_count, head_projections, key_value_heads

#: Examples at most whose gradients are taken, so that time and memory stay as data grow.
MOST_EXAMPLES = 500
#: A pass that is kept for the way back needs many times the memory: its batch is so much smaller.
SMALLER = 4

Gradients = npt.NDArray[np.float32]


def asked_examples(reference: pa.Table, task: TaskLabels, seed: int) -> pa.Table:
    """At most `MOST_EXAMPLES` examples, stratified, in their order."""
    rows = reference.select(["label" if labels_examples(task.kind) else "tags"]).to_pylist()
    ids = reference["example_id"].to_pylist()
    return reference.take(
        capped_sample(ids, strata(task.kind, rows), None, MOST_EXAMPLES, seed),
    )


class GatedAnswer(NamedTuple):
    """Logits of a batch, and the gates that they depend on."""

    logits: torch.Tensor
    gates: list[torch.Tensor]  # of each layer, batch x heads, all 1


class Gated(nn.Module):
    """A fine-tuned model that answers as it is, with a gate on each head and example."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Its weights get no gradients from here on; nothing else is changed.

        Args:
            model: with its head, in evaluation mode.

        Raises:
            NotApplicableError: the heads of this model are not found.
        """
        super().__init__()
        self.model, self.config = model.requires_grad_(False), model.config
        self.layers, self.heads = len(head_projections(model)), head_count(model)

    def forward(self, **batch: torch.Tensor) -> GatedAnswer:
        """Logits of a batch, and its gates."""
        ids = batch["input_ids"]
        gates = [
            torch.ones(len(ids), self.heads, device=ids.device, requires_grad=True)
            for _ in range(self.layers)
        ]
        with heads_gated(self.model, gates):
            return GatedAnswer(self.model(**batch).logits, gates)


def summed_loss(
    logits: torch.Tensor, sequences: Sequence[Encoded], codes: Sequence[Codes], architecture: str
) -> torch.Tensor:
    """Cross-entropy of all labels of a batch, in nats and float32: the loss of training, summed.

    Args:
        logits: batch x labels, or batch x tokens x labels (ner).
        sequences: of the batch.
        codes: of each sequence that of its label, or of each word's (ner).
        architecture: decides at which sub-word words are labelled.
    """
    if logits.dim() == 3:
        read = [
            (row, labelled_position(span, architecture))
            for row, sequence in enumerate(sequences)
            for span in sequence.words
        ]
        rows, places = torch.tensor(read, device=logits.device).T
        logits = logits[rows, places]
    targets = torch.from_numpy(np.concatenate(codes)).to(logits.device)
    return cross_entropy(logits.float(), targets, reduction="sum")


def gate_gradients(loaded: LoadedModel, inputs: Inputs, settings: Activations) -> Gradients:
    """Of each sequence's loss, summed over its labels: sequences x layers x heads.

    Args:
        loaded: with its head, in evaluation mode.
        inputs: sequences with their labels.
        settings: limits and precision of passes.

    Raises:
        NotApplicableError: the heads of this model are not found, or no gradient reaches them.
        UserError: the device has no memory for one sequence.
    """
    gated = Gated(loaded.model)
    found = np.empty((len(inputs.sequences), gated.layers, gated.heads), np.float32)

    def read(indices: list[int], _: Any, answer: GatedAnswer) -> Gradients:
        sequences = [inputs.sequences[index] for index in indices]
        codes = [inputs.codes[index] for index in indices]
        loss = summed_loss(answer.logits, sequences, codes, loaded.architecture)
        gradients = _reached(loss, answer.gates, type(loaded.model).__name__)
        return torch.stack(gradients, dim=1).cpu().numpy()

    for indices, gradients in forward(
        gated, inputs.sequences, loaded.special_tokens,
        settings.batch_tokens // SMALLER, settings.precision, read, gradients=True,
    ):  # fmt: skip
        found[indices] = gradients
    return found


def _reached(loss: torch.Tensor, gates: Sequence[torch.Tensor], name: str) -> list[torch.Tensor]:
    """Gradients of a loss with respect to gates.

    Raises:
        NotApplicableError: it does not depend on them, or an operation has no gradient.
    """
    gradients: Sequence[torch.Tensor | None] = [None]
    if loss.requires_grad:
        try:
            gradients = torch.autograd.grad(loss, gates, allow_unused=True)
        except RuntimeError as error:
            if "is not implemented" not in str(error):
                raise
            raise NotApplicableError(f"{name}: {str(error).splitlines()[0]}") from error
    reached = [each for each in gradients if each is not None]
    if len(reached) < len(gates):
        raise NotApplicableError(f"{name}: no gradient of its loss reaches all of its heads")
    return reached


def by_example(gradients: Gradients, codes: Sequence[Codes], counts: Sequence[int]) -> Gradients:
    """Gradients of the mean loss of an example's labels: examples x layers x heads.

    Args:
        gradients: of the summed loss of each sequence.
        codes: of each sequence; those of an example's windows (ner) follow each other.
        counts: labels of each example.
    """
    starts = np.cumsum([0, *map(len, codes)])[:-1]
    owners = np.searchsorted(np.cumsum(counts), starts, side="right")
    sums = np.zeros((len(counts), *gradients.shape[1:]))
    np.add.at(sums, owners, gradients)
    return (sums / np.maximum(counts, 1)[:, None, None]).astype(np.float32)


def head_gradients(
    loaded: LoadedModel, reference: pa.Table, task: TaskLabels, seed: int, settings: Activations
) -> Mapping[str, Any]:
    """Columns of the format "head_importance" of one fine-tuned model.

    Args:
        loaded: fine-tuned, with its head.
        reference: prepared rows that no variant learned from and that are not tested on.
        task: its labels.
        seed: of the choice of rows where there are more than `MOST_EXAMPLES`.
        settings: limits and precision of passes.

    Raises:
        NotApplicableError: as of `gate_gradients`.
        UserError: no reference rows, or a label that the task does not have.
    """
    head_projections(loaded.model)  # now, and not after reading inputs
    table = asked_examples(reference, task, seed)
    inputs = read_inputs(loaded, table, task, settings)
    words = not labels_examples(task.kind)
    counts = [len(tokens) for tokens in table["tokens"].to_pylist()] if words else [1] * len(table)
    found = by_example(gate_gradients(loaded, inputs, settings), inputs.codes, counts)
    examples, layers, heads = found.shape
    ids = np.asarray(table["example_id"].to_pylist(), dtype=object)
    shared = np.asarray(key_value_heads(loaded.model), dtype=np.int32)
    return {
        "example_id": np.repeat(ids, layers * heads),
        "layer": np.tile(np.repeat(np.arange(1, layers + 1, dtype=np.int32), heads), examples),
        "head": np.tile(np.arange(heads, dtype=np.int32), examples * layers),
        "key_value_head": np.tile(shared, examples * layers),
        "gradient": found.ravel(),
    }
