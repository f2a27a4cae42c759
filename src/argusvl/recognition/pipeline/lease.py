"""A lease of a device: one model is resident on it at a time, and when it goes its memory is seen to come back.

Models used one after the other (caption, then detect, then embed) need the memory of the largest only, if each is gone
before the next is loaded. A forgotten reference, an output left on the GPU or a traceback is enough to keep one
(seed 004's first entry). So a model is only reached through its lease: it is loaded by it, its outputs leave the
device at once as copies of their own, and at the end every storage that it had must be free, or the error says who
still refers to it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from argusvl.core.devices import usable_device
from argusvl.core.errors import ModelError
from argusvl.recognition.memory_slope import give_back_free_blocks, resident_bytes
from argusvl.recognition.pipeline.parts import holders_of, is_part, names_of, parts_of

M = TypeVar("M")
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class LeaseReport:
    """What a model took and gave back.

    Attributes:
        name: Of the lease.
        device: Where the model was.
        model_bytes: Of its parameters, buffers and other tensors.
        seconds: From loading to release.
        resident_before: RSS of this process before loading, in bytes.
        resident_loaded: With the model loaded.
        resident_after: After its release.
        allocated_before: Memory allocated on the GPU before loading, in bytes; 0 where the device is none.
        allocated_loaded: With the model loaded.
        allocated_after: After its release.
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

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return dataclasses.asdict(self)


class Lease(Generic[M]):
    """The way to a leased model; of no use when the lease has ended.

    Attributes:
        name: As given to :func:`lease`.
        device: Where the model is.
        report: What it took and gave back; there when the lease has ended.
    """

    def __init__(self, name: str, device: torch.device, model: M) -> None:
        self.name = name
        self.device = device
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

    def _end(self, remains: list[_Remains]) -> list[_Remains]:
        """Lets go of the model; returns what is still there of it."""
        self._model.clear()
        if any(part.there() for part in remains):
            gc.collect()  # parts that refer to each other; a search of half a million objects if libraries are loaded
        return [part for part in remains if part.there()]


@contextlib.contextmanager
def lease(
    load: Callable[[torch.device], M], device: torch.device | str = "cpu", *, name: str, wait_s: float = 0.0
) -> Iterator[Lease[M]]:
    """Loads a model, lends it, and sees to it that it is gone afterwards.

    Args:
        load: Makes the model on the device that it is given. An ``nn.Module`` is brought there and put into
            evaluation mode in any case. It must not keep the model.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a GPU where there is one.
        name: Of the model, for errors and the report.
        wait_s: How long to wait for another thread's lease on the same device to end, in seconds.

    Yields:
        The way to the model. Where the body raises, the frames of its traceback are emptied, because they hold
        the model; the error goes on.

    Raises:
        ConfigError: This machine has no such device.
        ModelError: A model is already resident on the device; ``load`` gave a model that existed before; or the
            model's memory did not come back, with the names of what refers to it.
    """
    place = _device(device)
    _take(place, name, wait_s)
    try:
        before = _in_use(place)
        started = time.perf_counter()
        leased, remains, model_bytes = _load(load, place, name)
        loaded = _in_use(place)
        try:
            yield leased
        except BaseException as error:
            _empty_frames(error)
            if held := leased._end(remains):
                error.add_note(str(_not_returned(name, held)))
            raise
        else:
            if held := leased._end(remains):
                raise _not_returned(name, held)
        finally:
            after = _in_use(place)
            leased.report = LeaseReport(
                name, str(place), model_bytes, time.perf_counter() - started,
                before[0], loaded[0], after[0], before[1], loaded[1], after[1],
            )  # fmt: skip
    finally:
        _give_back(place)


def resident_models() -> dict[str, str]:
    """Device → name of the model that is leased on it now."""
    with _CHANGED:
        return {str(device): name for device, (name, _) in _RESIDENT.items()}


_RESIDENT: dict[torch.device, tuple[str, int]] = {}
"""Device → name of the resident model and the thread that leased it."""
_CHANGED = threading.Condition()


def _take(device: torch.device, name: str, wait_s: float) -> None:
    thread = threading.get_ident()
    with _CHANGED:
        deadline = time.monotonic() + wait_s
        while device in _RESIDENT:
            holder, owner = _RESIDENT[device]
            left = deadline - time.monotonic()
            if owner == thread or left <= 0:
                raise ModelError(
                    f"{holder!r} is resident on {device}, so {name!r} cannot be loaded there",
                    where=name,
                    remedy="end the first lease before the second begins: models run in sequence"
                    if owner == thread
                    else "wait for it with wait_s, or use another device",
                )
            _CHANGED.wait(left)
        _RESIDENT[device] = (name, thread)


def _give_back(device: torch.device) -> None:
    with _CHANGED:
        del _RESIDENT[device]
        _CHANGED.notify_all()


def _device(device: torch.device | str) -> torch.device:
    """The device with its number, so that two names of one device are one."""
    place = usable_device(device)
    if place.type == "cuda":
        return torch.device("cuda", torch.cuda.current_device() if place.index is None else place.index)
    return torch.device(place.type)


@dataclass(frozen=True, slots=True)
class _Remains:
    """By what is seen that a part of a model is gone: its object, and for a tensor its memory."""

    name: str
    depth: int
    part: weakref.ref[Any]
    storage: StorageWeakRef | None
    size: int

    def there(self) -> bool:
        return self.part() is not None or (self.storage is not None and not self.storage.expired())


def _load(
    load: Callable[[torch.device], M], device: torch.device, name: str
) -> tuple[Lease[M], list[_Remains], int]:
    there_before = _parts_alive()
    try:
        model = _loaded(load, device)
    except BaseException as error:
        _empty_frames(error)
        gc.collect()
        _in_use(device)
        raise
    parts = parts_of(model)
    new = [part for part in parts if not _is_in(part, there_before)]
    old = [part for part in parts if _is_in(part, there_before)]
    if (is_part(model) and _is_in(model, there_before)) or any(isinstance(p, nn.Parameter) for p in old):
        raise ModelError(
            "the model was there before it was leased, so releasing it would return no memory",
            where=name,
            remedy="load it inside the function that the lease is given, and keep it nowhere else",
        )
    names = names_of(model)
    remains, sizes = [], {}
    for part in [*new, *([] if is_part(model) else [model])]:
        storage, size = None, 0
        if isinstance(part, Tensor) and part.layout is torch.strided:
            memory = part.untyped_storage()
            storage, size = StorageWeakRef(memory), memory.nbytes()
            sizes[storage.cdata] = size
        with contextlib.suppress(TypeError):  # an object without weak references; its parts have them
            name_in_model = names.get(id(part), "")
            shown = name_in_model or f"the {'model' if part is model else 'part'} {type(part).__qualname__}"
            depth = 0 if part is model else 1 + name_in_model.count(".") + bool(name_in_model)
            remains.append(_Remains(shown, depth, weakref.ref(part), storage, size))
    return Lease(name, device, model), remains, sum(sizes.values())


def _loaded(load: Callable[[torch.device], M], device: torch.device) -> M:
    model = load(device)
    return model.to(device).eval() if isinstance(model, nn.Module) else model


def _parts_alive() -> dict[int, weakref.ref[Any]]:
    of_parts: dict[type, bool] = {}  # asked once for each class: there are half a million objects
    alive = {}
    for value in gc.get_objects():
        kind = type(value)
        wanted = of_parts.get(kind)
        if wanted is None:
            wanted = of_parts[kind] = is_part(value)
        if wanted:
            alive[id(value)] = weakref.ref(value)
    return alive


def _is_in(part: object, alive: Mapping[int, weakref.ref[Any]]) -> bool:
    found = alive.get(id(part))
    return found is not None and found() is part


def _in_use(device: torch.device) -> tuple[int, int]:
    """RSS and allocated GPU memory, without what the allocators hold in reserve."""
    on_device = 0
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        on_device = torch.cuda.memory_allocated(device)
    give_back_free_blocks()
    return resident_bytes(), on_device


def _not_returned(name: str, held: list[_Remains]) -> ModelError:
    """Names the outermost part that is still there and who refers to it: the rest follows from it."""
    storages = {part.storage.cdata: part.size for part in held if part.storage is not None}
    size = sum(storages.values())
    objects = [part for part in held if part.part() is not None]
    if objects:
        outermost = min(objects, key=lambda part: (part.depth, isinstance(part.part(), Tensor)))
        # What the model's own parts say about each other helps nobody.
        inner = tuple(value for part in objects if (value := part.part()) is not outermost.part())
        holders = holders_of(outermost.part(), ignore=(objects, held, inner, *_dicts_of(inner)))
        shown = outermost.name
        del inner
    else:
        views = [value for value in gc.get_objects() if issubclass(type(value), Tensor)]
        kept = [
            view
            for view in views
            if view.layout is torch.strided and StorageWeakRef(view.untyped_storage()).cdata in storages
        ]
        shown = f"the memory of {held[0].name}"
        holders = [words for view in kept for words in holders_of(view, ignore=(views, kept))]
    referring = "; ".join(dict.fromkeys(holders)) or "an object that Python's garbage collector does not see"
    return ModelError(
        f"{len(held)} parts of the model ({size / 2**20:.1f} MiB) are still there after its release; "
        f"{shown} is referred to by {referring}",
        where=name,
        remedy="keep no module, parameter or view of one: return copies from the lease's run()",
    )


def _dicts_of(values: tuple[object, ...]) -> list[object]:
    found: list[object] = []
    for value in values:
        attributes = getattr(value, "__dict__", {})
        found += [attributes, *(inner for inner in attributes.values() if isinstance(inner, dict))]
    return found


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
