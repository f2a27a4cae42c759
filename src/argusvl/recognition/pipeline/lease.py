"""A lease of a device: one model is resident on it at a time, and when it goes its memory is seen to come back.

Models used one after the other (caption, then detect, then embed) need the memory of the largest only, if each is gone
before the next is loaded. A forgotten reference, an output left on the GPU or a traceback is enough to keep one.
So a model is only reached through its lease: it is loaded by it, its outputs leave the
device at once as copies of their own, and at the end the memory of its tensors must be free, or that is an error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from argusvl.core.devices import usable_device
from argusvl.core.errors import ModelError
from argusvl.core.memory_slope import give_back_free_blocks, resident_bytes

M = TypeVar("M")
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class LeaseReport:
    """What a model took and gave back.

    ``model_bytes`` are those of its parameters and buffers, or of all tensors where it has no modules; ``seconds`` pass
    from loading to release. ``resident_…`` is the RSS of this process in bytes, ``allocated_…`` the memory allocated on
    the GPU (0 on the CPU), each before loading, with the model loaded, and after its release.
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

        In mappings, lists, tuples and dataclasses they are found at any depth. What the function wants to keep it
        returns; a module or a tensor of the model's that it puts elsewhere makes the lease's end an error. Gradients
        are the function's own affair: backbones and Florence-2 switch them off themselves.

        Raises:
            ModelError: The lease has ended.
        """
        if not self._model:
            raise ModelError(
                "the lease has ended and the model is gone",
                where=self.name,
                remedy="use it inside the `with` block",
            )
        return _on_cpu(function(self._model[0], *args, **kwargs))

    def _end(self, memory: _Memory) -> int:
        """Lets go of the model; returns how many bytes of it are still there."""
        self._model.clear()
        if _bytes_in_use(memory):
            gc.collect()  # objects that refer to each other; a search of half a million if libraries are loaded
        return _bytes_in_use(memory)


@contextlib.contextmanager
def lease(
    load: Callable[[torch.device], M], device: torch.device | str = "cpu", *, name: str
) -> Iterator[Lease[M]]:
    """Loads a model, lends it, and sees to it that it is gone afterwards.

    Args:
        load: Makes the model on the device that it is given. An ``nn.Module`` is brought there and put into
            evaluation mode in any case. It must not keep the model.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a GPU where there is one.
        name: Of the model, for errors and the report.

    Yields:
        The way to the model. Where the body raises, the frames of its traceback are emptied, because they hold
        the model; the error goes on.

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
        leased, memory = _load(load, place, name)
        model_bytes = _bytes_in_use(memory)
        loaded = _in_use(place)
        try:
            yield leased
        except BaseException as error:
            _empty_frames(error)
            if held := leased._end(memory):
                error.add_note(str(_not_returned(name, held, model_bytes)))
            raise
        else:
            if held := leased._end(memory):
                raise _not_returned(name, held, model_bytes)
        finally:
            after = _in_use(place)
            leased.report = LeaseReport(
                name, str(place), model_bytes, time.perf_counter() - started,
                before[0], loaded[0], after[0], before[1], loaded[1], after[1],
            )  # fmt: skip
    finally:
        del _RESIDENT[place]


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


def _load(load: Callable[[torch.device], M], device: torch.device, name: str) -> tuple[Lease[M], _Memory]:
    try:
        model = load(device)
        if isinstance(model, nn.Module):
            model = model.to(device).eval()
    except BaseException as error:
        _empty_frames(error)
        gc.collect()
        _in_use(device)
        raise
    return Lease(name, model), _memory_of(model)


def _memory_of(model: object) -> _Memory:
    """Of its modules' parameters and buffers; other tensors that it refers to may be constants of its library."""
    parts = parts_of(model)
    owned = [t for p in parts if isinstance(p, nn.Module) for t in (*p.parameters(False), *p.buffers(False))]
    tensors = owned or [part for part in parts if isinstance(part, Tensor)]
    storages = {
        t.untyped_storage().data_ptr(): t.untyped_storage() for t in tensors if t.layout is torch.strided
    }
    return [(StorageWeakRef(storage), storage.nbytes()) for storage in storages.values()]


def _bytes_in_use(memory: _Memory) -> int:
    return sum(size for storage, size in memory if not storage.expired())


def _in_use(device: torch.device) -> tuple[int, int]:
    """RSS and allocated GPU memory, without what the allocators hold in reserve."""
    on_device = 0
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        on_device = torch.cuda.memory_allocated(device)
    give_back_free_blocks()
    return resident_bytes(), on_device


def _not_returned(name: str, held: int, model_bytes: int) -> ModelError:
    return ModelError(
        f"{held / 2**20:.1f} of the model's {model_bytes / 2**20:.1f} MiB are still there after its release: something "
        "refers to it",
        where=name,
        remedy="load it inside the function that the lease is given and keep no module, parameter or view of one; "
        "return copies from the lease's run()",
    )


def _empty_frames(error: BaseException | None) -> None:
    """Drops the local variables of the frames that an error has gone through; some of them are the model."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _on_cpu(value: Any) -> Any:
    """The same with each tensor as a copy on the CPU: no view of a larger one, no graph, usable for training."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and not isinstance(value, Mapping):
        moved = {f.name: _on_cpu(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return dataclasses.replace(value, **moved)
    if isinstance(value, Mapping):
        moved = {key: _on_cpu(item) for key, item in value.items()}
        return moved if type(value) is dict else type(value)(**moved)  # transformers' ModelOutput
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_on_cpu(item) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(_on_cpu(item) for item in value)
    return value


_NOT_FOLLOWED = (type, types.ModuleType, types.CodeType, types.FrameType, types.BuiltinFunctionType)


def parts_of(root: object) -> list[nn.Module | Tensor]:
    """The modules and tensors that an object holds, itself included, each once.

    Attributes, containers, closures and bound methods are followed; modules of code, classes and global variables of
    functions are not.
    """
    found: list[nn.Module | Tensor] = []
    seen: dict[int, object] = {}  # holds what it has seen, so that no identity is used twice
    waiting: list[object] = [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, _NOT_FOLLOWED):
            continue
        seen[id(value)] = value
        # Its class alone: some libraries' objects act on any access to an attribute.
        if issubclass(type(value), nn.Module | Tensor):
            found.append(value)  # type: ignore[arg-type]
        if isinstance(value, types.FunctionType):  # its references lead to the globals of its module
            waiting += [value.__closure__, value.__defaults__, value.__kwdefaults__, value.__dict__]
        else:
            waiting += gc.get_referents(value)
    return found
