"""A graphics card for machines without one: the CPU does its arithmetic, and everything else is strict.

A tensor that says it lies on `cuda:0` holds an ordinary one inside. Computing with it gives such tensors
again; computing with it and an ordinary tensor at once is refused, as a real card refuses it. So whatever was
not moved to the card, or not back from it, is found without one; only the card's own arithmetic is not tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only

ELSEWHERE = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
CARD = torch.device("cuda:0")
# What may have tensors of both kinds: copies between them, and indexing by numbers from the CPU.
BETWEEN = {"aten::copy_", "aten::_to_copy", "aten::index", "aten::index_put_"}


class OnCard(torch.Tensor):
    """A tensor of the card."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnCard:
        made: OnCard = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=CARD,
            requires_grad=held.requires_grad,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})

    # These ask for the device's own library before they come to the dispatcher.
    def item(self) -> Any:
        return self.held.item()

    def __getitem__(self, index: Any) -> Tensor:
        return OnCard(self.held[_held(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, Tensor) and value.ndim and not isinstance(value, OnCard):
            raise RuntimeError(f"set: {ELSEWHERE}")
        self.held[_held(index)] = _held(value)

    def contiguous(self, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
        ready = self.held.is_contiguous(memory_format=memory_format)
        return self if ready else OnCard(self.held.contiguous(memory_format=memory_format))

    def __bool__(self) -> bool:
        return bool(self.held)

    def __float__(self) -> float:
        return float(self.held)

    def __int__(self) -> int:
        return int(self.held)

    def untyped_storage(self) -> Any:
        return self.held.untyped_storage()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnCard({self.held!r})"


def _held(value: Any) -> Any:
    return tree_map_only(OnCard, lambda t: t.held, value)


class Card(TorchDispatchMode):
    """While it lasts, tensors may be made on the card."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, Tensor)]
    here = any(isinstance(t, OnCard) for t in tensors)
    wanted = kwargs.get("device")
    there = here if wanted is None else torch.device(wanted).type == "cuda"
    if not here and not there:
        return func(*args, **kwargs)
    strangers = [t for t in tensors if not isinstance(t, OnCard) and t.ndim]
    if here and strangers and func.name().split(".")[0] not in BETWEEN:
        raise RuntimeError(f"{func.name()}: {ELSEWHERE}")
    if wanted is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    result = func(*_held(args), **_held(kwargs))
    wrappers = {id(t.held): t for t in tensors if isinstance(t, OnCard)}

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if any(value is t for t in tensors):  # a copy from the card, in place
            return value
        known = wrappers.get(id(value))  # computed in place
        if known is not None:
            return known
        return OnCard(value) if there else value

    return tree_map(wrapped, result)


@contextmanager
def pretend_card(monkeypatch: pytest.MonkeyPatch, free: int = 8 << 30) -> Iterator[None]:
    """As if a card with `free` bytes were there."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (free, free))
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)
    replaces = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with Card():
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(replaces)
