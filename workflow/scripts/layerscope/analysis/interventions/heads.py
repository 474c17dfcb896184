"""Which heads are masked together, and what stands in for them.

Heads are masked in the order of how much fine-tuning changed their attention (after Michel et al.
2019 and Voita et al. 2019, who rank them by other measures). Of each layer as many are taken:
upper layers change most, so that the most changed heads of a model are whole layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch

from layerscope.analysis.interventions.passes import Intervention
from layerscope.config.extraction import Activations
from layerscope.config.interventions import Interventions
from layerscope.core.errors import UserError
from layerscope.data.rng import seeded
from layerscope.models.forward import forward
from layerscope.models.hooks import Head, head_outputs_captured
from layerscope.models.inputs import Encoded
from layerscope.models.loaded import LoadedModel

#: Heads of each layer, in some order.
ByLayer = Mapping[int, Sequence[Head]]

#: The fraction of heads, in percent, that the summary looks at: masked by means too, and not picked
#: by its outcome.
QUARTER = 25


def ranked_heads(attention: pa.Table, known: Sequence[Head]) -> dict[int, list[Head]]:
    """Heads of each layer, those first whose attention fine-tuning changed most.

    Args:
        attention: a file of kind `attention` of the fine-tuned model. What ranks is the mean over
            examples of `jsd`, the divergence of a head's maps before and after.
        known: all heads of the model; in their order where they changed as much.

    Raises:
        UserError: the file is of other heads.
    """
    changes = attention.filter(pc.equal(attention["measure"], "jsd"))
    # Threads would add in any order, and heads that changed as much change places.
    means = changes.group_by(["layer", "head"], use_threads=False).aggregate([("value", "mean")])
    change = {(row["layer"], row["head"]): row["value_mean"] for row in means.to_pylist()}
    if set(change) != set(known):
        raise UserError(
            f"attention: changes of {len(change)} heads; allowed: of all {len(known)} of the model"
        )
    ranked: dict[int, list[Head]] = {}
    for head in sorted(known, key=lambda head: -change[head]):
        ranked.setdefault(head[0], []).append(head)
    return ranked


def first_of_layers(order: ByLayer, share: int) -> list[Head]:
    """The first heads of each layer: so many percent, rounded, and at least one."""
    return [
        head
        for heads in order.values()
        for head in heads[: max(1, (share * len(heads) + 50) // 100)]
    ]


def masked_heads(
    ranked: ByLayer, settings: Interventions, name: str, means: Sequence[torch.Tensor]
) -> list[Intervention]:
    """Of each layer and fraction the most and the least changed heads, and random ones.

    A smaller fraction's heads are among a larger one's. All are masked by zeros; the heads of the
    fraction nearest to a quarter by their means too.

    Args:
        ranked: all heads by layer, the most changed first.
        settings: fractions, and number and seed of the draws.
        name: of the model and its variant; each has its own random heads.
        means: of what each layer's heads give (`mean_outputs`).
    """
    orders: list[tuple[str, int | None, ByLayer]] = [
        ("heads-most", None, ranked),
        ("heads-least", None, {layer: heads[::-1] for layer, heads in ranked.items()}),
    ]
    for draw in range(settings.random_draws):
        random = seeded(f"heads of {name}, draw {draw}", settings.seed)
        drawn = {layer: sorted(heads) for layer, heads in sorted(ranked.items())}
        for heads in drawn.values():
            random.shuffle(heads)
        orders.append(("heads-random", draw, drawn))
    by_means = min(settings.head_shares, key=lambda share: (abs(share - QUARTER), share))
    wanted = [("zero", share, None) for share in sorted(settings.head_shares)]
    return [
        Intervention(
            intervention,
            ablation=ablation,
            share=share,
            draw=draw,
            heads=first_of_layers(order, share),
            values=values,
        )
        for ablation, share, values in [*wanted, ("mean", by_means, means)]
        for intervention, draw, order in orders
    ]


def mean_outputs(
    loaded: LoadedModel, sequences: Sequence[Encoded], settings: Activations
) -> list[torch.Tensor]:
    """Mean over all tokens of what the heads of each layer give, side by side: width, float64.

    Args:
        loaded: a model in evaluation mode.
        sequences: of rows that no variant was trained on; padding never enters.
        settings: of the passes.

    Raises:
        ValueError: no sequences.
    """
    total: torch.Tensor | None = None
    count = 0
    for tokens, sums in _sums(loaded, sequences, settings):
        total, count = sums if total is None else total + sums, count + tokens
    if total is None:
        raise ValueError("no sequences, of which there is no mean")
    return list(total / count)


def _sums(
    loaded: LoadedModel, sequences: Sequence[Encoded], settings: Activations
) -> Iterator[tuple[int, torch.Tensor]]:
    """Of each batch the number of its tokens and their sum, layers x width."""
    with head_outputs_captured(loaded.model) as outputs:

        def summed(_: Any, batch: Mapping[str, torch.Tensor], __: Any) -> tuple[int, torch.Tensor]:
            real = batch["attention_mask"].bool()
            sums = [each[real].sum(dim=0, dtype=torch.float64) for each in outputs]
            return int(real.sum()), torch.stack(sums)

        given = (loaded.model, sequences, loaded.special_tokens)
        for _, found in forward(*given, settings.batch_tokens, settings.precision, summed):
            yield found
