"""Batches that a device has no memory for: recognised, halved and said in the log."""

from __future__ import annotations

import gc
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch

#: How libraries below torch say that they could not allocate. cuBLAS and cuDNN take memory of
#: their own, outside of torch's allocator, and torch passes their words on as a plain RuntimeError.
MESSAGES = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate",
)

log = logging.getLogger(__name__)

Result = TypeVar("Result")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device has too little memory."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in MESSAGES)


def free_memory() -> None:
    """Give back what a failed attempt held.

    Call it after the `except` clause has ended: until then the error holds the attempt's tensors.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def halving(
    batches: Iterable[Sequence[int]],
    run: Callable[[Sequence[int]], Result],
    too_large: Callable[[Sequence[int]], Exception],
) -> Iterator[tuple[Sequence[int], Result]]:
    """Run batches one after the other; one that does not fit in memory is run in halves.

    Args:
        batches: of indices, in the order in which they are run.
        run: computes a batch. It keeps nothing of one that fails.
        too_large: gives the error to raise for an index that does not fit even alone.

    Yields:
        The indices of a batch, or of a part of one, and what `run` gave. Order is kept.

    Raises:
        Exception: that of `too_large`, or whatever else `run` raises.
    """
    waiting = deque(batches)
    halved = False
    while waiting:
        indices = waiting.popleft()
        failed = False
        try:
            result = run(indices)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            failed = True
        if not failed:
            yield indices, result
            del result
            continue
        free_memory()
        if len(indices) == 1:
            raise too_large(indices)
        if not halved:
            log.warning(
                "out of memory with %d sequences in a pass; such batches are halved", len(indices)
            )
        halved = True
        middle = len(indices) // 2
        waiting.extendleft([indices[middle:], indices[:middle]])
