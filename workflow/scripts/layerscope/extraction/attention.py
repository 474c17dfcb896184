"""Attention maps of two models on the same inputs, compared layer by layer and head by head.

Measures, each a number for every example, layer and head:

- `cosine`: of the two maps as flat vectors, as published (Bonfigli et al. 2024).
- `jsd`: Jensen-Shannon divergence in bits (0 the same, 1 disjoint), row by row, averaged over the
  rows (Clark et al. 2019 compare heads so).
- `…_no_special`: rows and columns of special tokens left out, rows normalised again.
- `…_null_head`: against the next head of the layer, `…_null_sentence`: against the map of another
  sentence, both cut to the shorter one: how similar maps are that have no reason to be.
- `…_ceiling`: between two seeds of the same fine-tuning: how similar maps are that should be.
- `entropy` (bits) and `distance` (sub-words) of one model's own rows.
- `special` and `first`: fraction of a model's attention on special tokens, and on the first token
  ("attention sinks": Clark et al. 2019, Xiao et al. 2024).

Padding never enters. Raw cosine is inflated for causal maps, whose upper half is zero in both; the
nulls say by how much.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from transformers import PreTrainedModel

from layerscope.config.extraction import Attention
from layerscope.core.applicability import described
from layerscope.core.errors import NotApplicableError, UserError
from layerscope.core.formats import SCHEMAS
from layerscope.core.kinds import labels_examples
from layerscope.models.batching import collate
from layerscope.models.inputs import Encoded, encode_examples, encode_sentences
from layerscope.models.load import position_limit
from layerscope.models.loaded import LoadedModel
from layerscope.models.maps import maps_side_by_side, switch_to_maps
from layerscope.models.memory import halving

log = logging.getLogger(__name__)


def choose_examples(
    loaded: LoadedModel, table: pa.Table, kind: str, settings: Attention
) -> list[tuple[str, Encoded]]:
    """Examples evenly spaced over a table, of those that fit one window if they are enough.

    If not, of all: a longer sentence is its first window, a longer text or pair is cut, as for
    predictions.

    Returns:
        Ids and inputs, longest first, so that neighbours are of similar length.
    """
    limit = position_limit(loaded.model, settings.max_length)
    reader = (loaded.tokenizer, loaded.special_tokens)
    rows = table.to_pydict()
    if labels_examples(kind):
        inputs, _ = encode_examples(*reader, rows, kind, 2**30)
        fits = [len(each.ids) <= limit for each in inputs]
    else:
        sentences, _ = encode_sentences(*reader, rows["tokens"], limit)
        inputs = [windows[0] for windows in sentences]
        fits = [len(windows) == 1 for windows in sentences]
    usable = [index for index, fit in enumerate(fits) if fit]
    if len(usable) < min(settings.examples, len(fits)):
        usable = list(range(len(fits)))
        if labels_examples(kind):
            inputs, _ = encode_examples(*reader, rows, kind, limit)
    places = np.linspace(0, len(usable) - 1, min(settings.examples, len(usable)))
    chosen = [usable[place] for place in places.round().astype(int)]
    chosen.sort(key=lambda index: (-len(inputs[index].ids), index))
    if long := sum(not fits[index] for index in chosen):
        log.warning(
            "attention: %d of %d examples are longer than %d sub-words and used up to there",
            long, len(chosen), limit,
        )  # fmt: skip
    return [(rows["example_id"][index], inputs[index]) for index in chosen]


def cosine(a: torch.Tensor, b: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Cosine of two maps as flat vectors.

    Args:
        a: batch x heads x queries x keys.
        b: the same shape; columns that do not count are 0 in both.
        rows: batch x queries; 1 for a row that counts.

    Returns:
        batch x heads; NaN where no row counts.
    """
    weights = rows[:, None, :, None]
    a, b = a * weights, b * weights
    product = (a * b).sum(dim=(2, 3))
    return product / ((a * a).sum(dim=(2, 3)) * (b * b).sum(dim=(2, 3))).sqrt()


def jensen_shannon(a: torch.Tensor, b: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Jensen-Shannon divergence of two maps in bits, averaged over rows (Lin 1991).

    Arguments as for `cosine`; every row that counts sums to 1 in both maps.
    """
    divergence = entropy_bits((a + b) / 2) - (entropy_bits(a) + entropy_bits(b)) / 2
    return row_mean(divergence.clamp(min=0), rows)


def entropy_bits(rows: torch.Tensor) -> torch.Tensor:
    """Shannon entropy over the last dimension, in bits."""
    return torch.special.entr(rows).sum(dim=-1) / float(np.log(2))


def row_mean(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Mean of a value a row (batch x heads x queries) over the rows that count: batch x heads."""
    weights = rows[:, None, :]
    return (values * weights).sum(dim=-1) / weights.sum(dim=-1)


def mean_distance(maps: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """How far a head looks: expected |query - key| in sub-words, averaged over rows."""
    at = torch.arange(maps.shape[-1], device=maps.device, dtype=maps.dtype)
    return row_mean((maps * (at[:, None] - at[None, :]).abs()).sum(dim=-1), rows)


def token_fractions(
    maps: torch.Tensor, real: torch.Tensor, special: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Fraction of a head's attention on special tokens and on the first token, averaged over rows.

    `special`: tokens that the tokenizer's frame puts around and between texts (Clark et al. 2019,
    "What Does BERT Look At?"). `first`: the first token that is not padding, whatever it is (Xiao
    et al. 2024, "Efficient Streaming Language Models with Attention Sinks"). A first token that is
    special counts in both. Rows of special tokens count as others do.

    Args:
        maps: batch x heads x tokens x tokens; rows sum to 1 over tokens that are not padding.
        real: batch x tokens; 1 for a token that is not padding.
        special: batch x tokens; 1 for a special token.

    Returns:
        `special` and `first`, each batch x heads, 0 to 1; `special` is 0 without special tokens.
    """
    first = real * (real.cumsum(dim=1) == 1)
    mass = maps @ torch.stack([special * real, first], dim=-1)[:, None]
    return {name: row_mean(mass[..., at], real) for at, name in enumerate(("special", "first"))}


def restrict(maps: torch.Tensor, keep: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Keep some positions as rows and columns, and normalise the rows again.

    Args:
        maps: batch x heads x tokens x tokens.
        keep: batch x tokens; 1 for a position that stays.

    Returns:
        The maps, and what is left of each row before normalising (batch x heads x tokens).
    """
    kept = maps * keep[:, None, None, :]
    mass = kept.sum(dim=-1)
    return kept / mass.clamp(min=1e-12)[..., None], mass


def _pair_measures(
    name: str, a: torch.Tensor, b: torch.Tensor, rows: torch.Tensor
) -> dict[str, torch.Tensor]:
    return {f"cosine{name}": cosine(a, b, rows), f"jsd{name}": jensen_shannon(a, b, rows)}


def layer_measures(
    maps: torch.Tensor,
    real: torch.Tensor,
    special: torch.Tensor,
    before: torch.Tensor | None,
    other_seed: torch.Tensor | None,
) -> dict[str, torch.Tensor]:
    """All measures of one layer.

    Args:
        maps: of the variant; batch x heads x tokens x tokens.
        real: batch x tokens; 1 for a token that is not padding.
        special: batch x tokens; 1 for a special token.
        before: of the pre-trained model, or None.
        other_seed: of the same variant with another seed, or None.

    Returns:
        Name of the measure to batch x heads.
    """
    found = {
        "entropy": row_mean(entropy_bits(maps), real),
        "distance": mean_distance(maps, real),
        **token_fractions(maps, real, special),
    }
    if other_seed is not None:
        found |= _pair_measures("_ceiling", maps, other_seed, real)
    if before is None:
        return found
    found |= _pair_measures("", before, maps, real)
    plain = real * (1 - special)
    a, mass_a = restrict(before, plain)
    b, mass_b = restrict(maps, plain)
    # A row that only looks at special tokens has nothing left to compare.
    enough = ((mass_a > 1e-6) & (mass_b > 1e-6)).all(dim=1)
    found |= _pair_measures("_no_special", a, b, plain * enough)
    if maps.shape[1] > 1:
        found |= _pair_measures("_null_head", before, maps.roll(1, dims=1), real)
    if len(maps) > 1:
        common = real * real.roll(1, dims=0)
        a, mass_a = restrict(before, common)
        b, mass_b = restrict(maps.roll(1, dims=0), common)
        enough = ((mass_a > 1e-6) & (mass_b > 1e-6)).all(dim=1)
        found |= _pair_measures("_null_sentence", a, b, common * enough)
    return found


def compare_attention(
    examples: Sequence[tuple[str, Encoded]],
    loaded: LoadedModel,
    before: PreTrainedModel | None,
    other_seed: PreTrainedModel | None,
    batch_examples: int,
) -> dict[str, Any]:
    """Compare the attention of a variant with other models on the same examples.

    The models must have been switched to eager attention, which alone gives maps. No more than one
    layer's maps of each are kept.

    Args:
        examples: ids and inputs, neighbours of similar length.
        loaded: the variant.
        before: the pre-trained model, or None for the variant's own properties alone.
        other_seed: the same variant with another seed, or None.
        batch_examples: examples in a forward pass.

    Returns:
        Columns of the format "attention".

    Raises:
        UserError: the device has no memory for one example.
    """
    starts = range(0, len(examples), batch_examples)
    batches = [range(at, min(at + batch_examples, len(examples))) for at in starts]

    def run(indices: Sequence[int]) -> Measured:
        batch = batches[indices[0] // batch_examples]
        # A sentence is held against the one before it in its batch; a part of a batch takes the
        # one before its first along, so that halving changes no number.
        whole = len(indices) == len(batch)
        first = [] if whole else [indices[0] - 1 if indices[0] > batch[0] else batch[-1]]
        rows = [examples[row][1] for row in (*first, *indices)]
        measured = _measured(rows, loaded, [before, other_seed])
        return {key: table[len(first) :] for key, table in measured.items()}

    def too_large(indices: Sequence[int]) -> UserError:
        return UserError(
            f"out of memory with the attention maps of one example of "
            f"{len(examples[indices[0]][1].ids)} sub-words; allowed: a smaller max_length of "
            "`attention`, `attention: null`, or a device with more memory"
        )

    columns: dict[str, list[Any]] = {
        name: [] for name in ("example_id", "layer", "head", "measure", "value")
    }
    parts: list[Measured] = []
    for indices, found in halving(batches, run, too_large):
        parts.append(found)
        batch = batches[indices[0] // batch_examples]
        if indices[-1] == batch[-1]:
            ids = np.asarray([examples[row][0] for row in batch], dtype=object)
            _add_rows(columns, ids, parts)
            parts = []
    return {name: np.concatenate(values) for name, values in columns.items()}


def attention_table(
    loaded: LoadedModel,
    before: PreTrainedModel | None,
    other_seed: PreTrainedModel | None,
    table: pa.Table,
    kind: str,
    settings: Attention,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Choose examples of a prepared table and compare the attention of a variant on them.

    The models are switched to eager attention, and stay so.

    Args:
        loaded, before, other_seed: as for `compare_attention`.
        table: prepared rows.
        kind: of the task.
        settings: how many examples, and how many in a pass.

    Returns:
        Columns of the format "attention", and what the file's description says besides: without
        maps there are no rows, and it says why.

    Raises:
        UserError: the device has no memory for one example.
    """
    try:
        examples = choose_examples(loaded, table, kind, settings)
        device = next(loaded.model.parameters()).device
        first = collate([examples[0][1]], loaded.special_tokens, device)
        for each in (loaded.model, before, other_seed):
            if each is not None:
                switch_to_maps(each, first)
        columns = compare_attention(examples, loaded, before, other_seed, settings.batch_examples)
    except NotApplicableError as error:
        log.warning("attention is not applicable: %s", error)
        return {name: [] for name in SCHEMAS["attention"]}, described({"attention": str(error)})
    return columns, {}


#: Layer, counted from 1, and measure, to a value for each example and head.
Measured = dict[tuple[int, str], npt.NDArray[np.float32]]


def _measured(
    sequences: Sequence[Encoded], loaded: LoadedModel, others: Sequence[PreTrainedModel | None]
) -> Measured:
    """All measures of one batch."""
    model = loaded.model
    batch = collate(sequences, loaded.special_tokens, next(model.parameters()).device)
    real = batch["attention_mask"].float()
    special = torch.zeros_like(real)
    for row, encoded in enumerate(sequences):
        special[row, list(encoded.special)] = 1
    found: Measured = {}
    for layer, (own, rest) in enumerate(maps_side_by_side(model, others, batch), start=1):
        measured = layer_measures(own, real, special, *rest)
        tables = torch.stack(list(measured.values())).float().cpu().numpy()
        found |= {(layer, name): table for name, table in zip(measured, tables, strict=True)}
        del own, rest, measured  # before the next layer is computed
    return found


def _add_rows(
    columns: dict[str, list[Any]], ids: npt.NDArray[Any], parts: Sequence[Measured]
) -> None:
    """Add a batch, whose parts follow each other, to columns of the format "attention"."""
    for layer, name in parts[0]:
        table = np.concatenate([part[layer, name] for part in parts])
        finite = np.isfinite(table)
        at, head = np.nonzero(finite)
        columns["example_id"].append(ids[at])
        columns["layer"].append(np.full(len(at), layer, np.int32))
        columns["head"].append(head.astype(np.int32))
        columns["measure"].append(np.full(len(at), name, dtype=object))
        columns["value"].append(table[finite])
