"""Training examples in an order that is a function of seed and epoch, so that a resume keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from layerscope.data.rng import seeded

BATCHES_TOGETHER = 50  # sorted by length together: enough for equal lengths, few enough to mix

Item = dict[str, Any]


class Items(torch.utils.data.Dataset[Item]):
    """A list as the data set that the Trainer asks for."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Item:
        return self._items[index]


class Epochs(torch.utils.data.Dataset[Item]):
    """Items in an order of each epoch; the Trainer reads them from first to last.

    The Trainer's own samplers draw from generators that run on, so what comes next would depend on
    what was read before.
    """

    def __init__(
        self,
        items: Sequence[Item],
        order: Callable[[int], Sequence[int]],
        change: Callable[[Item, int, int], Item] | None = None,
    ) -> None:
        """Take items and how an epoch orders them.

        Args:
            items: in their own order.
            order: indices of the items in the order of an epoch, counted from 0.
            change: makes what is given of an item, the epoch and the item's index.
        """
        self._items, self._order_of, self._change = items, order, change
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; accelerate's data loader calls this."""
        self._epoch = epoch
        self._order = self._order_of(epoch)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, place: int) -> Item:
        index = self._order[place]
        item = self._items[index]
        return item if self._change is None else self._change(item, self._epoch, index)


def shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """The order of an epoch that accelerate's seedable sampler gives: a permutation of `count`."""
    generator = torch.Generator().manual_seed(seed + epoch)
    return torch.randperm(count, generator=generator).tolist()


def similar_lengths(lengths: Sequence[int], batch: int, seed: int, epoch: int) -> list[int]:
    """An order whose batches have similar lengths, each epoch's batches others.

    Items are shuffled, sorted by length within some batches' worth of them, cut into batches, and
    the batches shuffled. The batch with the longest item comes first: memory that does not suffice
    shows at once. A last batch that is not full comes last.

    Args:
        lengths: of the items.
        batch: items in an optimiser step.
        seed: of the training.
        epoch: counted from 0.

    Returns:
        Each index once.
    """
    rng = seeded(f"order of epoch {epoch}", seed)
    order = list(range(len(lengths)))
    rng.shuffle(order)
    together = batch * BATCHES_TOGETHER
    batches = [
        group[at : at + batch]
        for start in range(0, len(order), together)
        for group in [sorted(order[start : start + together], key=lambda i: -lengths[i])]
        for at in range(0, len(group), batch)
    ]
    last = [batches.pop()] if len(order) % batch else []
    rng.shuffle(batches)
    if batches:
        longest = max(batches, key=lambda indices: max(lengths[i] for i in indices))
        batches.remove(longest)
        batches.insert(0, longest)
    return [index for indices in batches + last for index in indices]
