"""A lease of a device: one model is resident on it at a time, and when it goes its memory is seen to come back.

Models used one after the other (caption, then detect, then embed) need the memory of the largest only, if each is gone
before the next is loaded. A forgotten reference, an output left on the GPU or a traceback is enough to keep one.
So a model is only reached through its lease: it is loaded by it, its outputs leave the device at once as copies of
their own, and at the end the memory of its networks must be free, or that is an error.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Concatenate, Generic, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_map_only

from argusvl.core.devices import usable_device
from argusvl.core.errors import ModelError
from argusvl.core.memory_slope import give_back_free_blocks, resident_bytes

M = TypeVar("M")
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class LeaseReport:
    """What a model took and gave back.

    ``model_bytes`` are those of its networks' parameters and buffers; ``seconds`` pass from loading to release.
    ``resident_…`` is the RSS of this process in bytes, ``allocated_…`` the memory allocated on the GPU (0 on the CPU),
    each before loading, with the model loaded, and after its release.
    """

    name: str
    device: str
    model_bytes: int
    seconds: float
    resident_before: int
    resident_loaded: int
    resident_after: int
    allocated_before: int
    allocated_loaded: int
    allocated_after: int


class Lease(Generic[M]):
    """The way to a leased model; of no use when the lease has ended: then its report is there."""

    def __init__(self, name: str, model: M) -> None:
        self.name = name
        self.report: LeaseReport | None = None
        self._model: list[M] = [model]

    def run(self, function: Callable[Concatenate[M, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls ``function(model, …)`` and brings the tensors in its result to the CPU, as copies of their own.

        In dictionaries, lists, tuples and the outputs of transformers they are found at any depth. What the function
        wants to keep it returns; a module or a tensor of the model's that it puts elsewhere makes the lease's end an
        error. Gradients are the function's own affair: backbones and Florence-2 switch them off themselves.

        Raises:
            ModelError: The lease has ended.
        """
        if not self._model:
            raise ModelError(
                "the lease has ended and the model is gone",
                where=self.name,
                remedy="use it inside the `with` block",
            )
        return tree_map_only(Tensor, _on_cpu, function(self._model[0], *args, **kwargs))


@contextlib.contextmanager
def lease(
    load: Callable[[torch.device], M], device: torch.device | str = "cpu", *, name: str
) -> Iterator[Lease[M]]:
    """Loads a model, lends it, and sees to it that it is gone afterwards.

    Args:
        load: Makes the model on the device that it is given. An ``nn.Module`` is brought there and put into
            evaluation mode in any case; of another object, the networks among its attributes are what must be gone
            at the end. It must not keep the model.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a GPU where there is one.
        name: Of the model, for errors and the report.

    Yields:
        The way to the model. Where the body raises, the frames of its traceback are emptied, because they hold the
        model, and the error goes on; whether the memory came back is not asked then.

    Raises:
        ConfigError: This machine has no such device.
        ModelError: A model is already resident on the device, or the model's memory did not come back.
    """
    place = _device(device)
    with _TAKING:
        if place in _RESIDENT:
            raise ModelError(
                f"{_RESIDENT[place]!r} is resident on {place}, so {name!r} cannot be loaded there",
                where=name,
                remedy="end the first lease before the second begins: models run in sequence, or on two devices",
            )
        _RESIDENT[place] = name
    try:
        before = _in_use(place)
        started = time.perf_counter()
        leased = Lease(name, load(place))
        if isinstance(leased._model[0], nn.Module):
            leased._model[0].to(place).eval()
        memory = _memory_of(leased._model[0])
        model_bytes = _bytes_in_use(memory)
        loaded = _in_use(place)
        try:
            yield leased
        finally:
            leased._model.clear()
            if _bytes_in_use(memory):
                gc.collect()  # objects that refer to each other; a search of half a million if libraries are loaded
            after = _in_use(place)
            leased.report = LeaseReport(
                name, str(place), model_bytes, time.perf_counter() - started,
                before[0], loaded[0], after[0], before[1], loaded[1], after[1],
            )  # fmt: skip
        if held := _bytes_in_use(memory):
            raise ModelError(
                f"{held / 2**20:.1f} of the model's {model_bytes / 2**20:.1f} MiB are still there after its release: "
                "something refers to it",
                where=name,
                remedy="load it inside the function that the lease is given and keep no module, parameter or view of "
                "one; return copies from the lease's run()",
            )
    except BaseException as error:
        _empty_frames(error)
        raise
    finally:
        del _RESIDENT[place]


def _empty_frames(error: BaseException | None) -> None:
    """Drops the local variables of the frames that an error and its causes have gone through: some are the model."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


_RESIDENT: dict[torch.device, str] = {}
"""Device → name of the model that is leased on it now."""
_TAKING = threading.Lock()


def _device(device: torch.device | str) -> torch.device:
    """The device with its number, so that two names of one device are one."""
    place = usable_device(device)
    if place.type == "cuda":
        return torch.device("cuda", torch.cuda.current_device() if place.index is None else place.index)
    return torch.device(place.type)


_Memory = list[tuple[StorageWeakRef, int]]
"""The storages of a model's tensors, each with its size in bytes. They see what is freed more exactly than the device's
counters, in which the libraries' workspaces and other threads' tensors stand as well, and see it on the CPU too."""


def networks_of(model: object) -> list[nn.Module]:
    """The networks of a model: itself, or those among its attributes, where backbones and Florence-2 have theirs."""
    held = [model, *getattr(model, "__dict__", {}).values()]
    return [value for value in held if isinstance(value, nn.Module)]


def _memory_of(model: object) -> _Memory:
    tensors = (t for n in networks_of(model) for t in (*n.parameters(), *n.buffers()))
    storages = {
        t.untyped_storage().data_ptr(): t.untyped_storage() for t in tensors if t.layout is torch.strided
    }
    return [(StorageWeakRef(storage), storage.nbytes()) for storage in storages.values()]


def _bytes_in_use(memory: _Memory) -> int:
    return sum(size for storage, size in memory if not storage.expired())


def _in_use(device: torch.device) -> tuple[int, int]:
    """RSS and allocated GPU memory, without what the allocators hold in reserve."""
    on_device = allocated_bytes(device)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    give_back_free_blocks()
    return resident_bytes(), on_device


def allocated_bytes(device: torch.device) -> int:
    """Bytes that are allocated on a GPU when all that was asked of it is done; 0 on the CPU."""
    if device.type != "cuda":
        return 0
    torch.cuda.synchronize(device)
    return torch.cuda.memory_allocated(device)


def _on_cpu(tensor: Tensor) -> Tensor:
    """A copy of its own: no view of a larger one, no graph, usable for training."""
    return tensor.detach().to("cpu", copy=True)
