"""A second device on a processor, for what has to run on two GPUs.

Its tensors are computed by the processor, but as those of a GPU they refuse to meet tensors that
are elsewhere, and moving them is the only way out. PyTorch takes the device for an accelerator, so
whoever imports this runs in a process of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils import backend_registration
from torch.utils._device import _device_constructors

NAME = "second"
DEVICE = f"{NAME}:0"


class _Module(backend_registration._DummyBackendModule):
    """What PyTorch asks of an accelerator."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        torch.set_rng_state(state)


class Elsewhere(torch.Tensor):
    """A tensor on the second device, with the processor's that stands for it."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Elsewhere:
        made: Any = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, device=DEVICE,
        )  # fmt: skip
        made.held = held
        return made  # type: ignore[no-any-return]

    def __setitem__(self, places: Any, value: Any) -> None:
        places = places if isinstance(places, tuple) else (places,)
        self.held[tuple(map(_held, places))] = _held(value)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = func.decompose(*args, **kwargs)
        return _run(func, args, kwargs) if found is NotImplemented else found


def _held(each: Any) -> Any:
    return each.held if isinstance(each, Elsewhere) else each


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Compute on the processor what belongs on one device.

    Raises:
        RuntimeError: it has tensors on two.
    """
    given = [each for each in pytree.tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    away = {id(each.held): each for each in given if isinstance(each, Elsewhere)}
    here = [each for each in given if each.dim() and not isinstance(each, Elsewhere)]
    moves = func._schema.name in ("aten::_to_copy", "aten::copy_")
    if away and here and not moves:
        raise RuntimeError(f"{func}: tensors on two devices")
    target = kwargs.get("device")
    if target is not None:
        there = torch.device(target).type == NAME
        kwargs = {**kwargs, "device": "cpu"}
    else:
        there = isinstance(args[0], Elsewhere) if moves else bool(away)

    def wrapped(each: Any) -> Any:
        if id(each) in away:  # changed in place
            return away[id(each)]
        return Elsewhere(each) if there and isinstance(each, torch.Tensor) else each

    held_args, held_kwargs = pytree.tree_map(_held, (args, kwargs))
    return pytree.tree_map(wrapped, func(*held_args, **held_kwargs))


def _tensor(data: Any, *more: Any, device: Any = None, **options: Any) -> torch.Tensor:
    """In place of `torch.tensor`, which makes one of a list where no library comes between."""
    if device is None or torch.device(device).type != NAME:
        return _own_tensor(data, *more, device=device, **options)
    return _own_tensor(data, *more, device="cpu", **options).to(device)


_device_constructors()  # `with torch.device(...)` knows `torch.tensor` by itself
_own_tensor = torch.tensor
torch.tensor = _tensor
backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
_library = torch.library.Library("_", "IMPL")  # for as long as the process
_library.fallback(lambda func, *args, **kwargs: _run(func, args, kwargs), "PrivateUse1")
