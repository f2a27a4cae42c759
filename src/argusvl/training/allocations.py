"""What a step allocates, found without allocating it: the step runs on tensors that have a shape and no values.

Autograd, autocast and checkpointing do on such fake tensors what they do on real ones, so that what is kept from the
forward to the backward pass is not estimated but counted, for a model of any size. Only floating-point tensors are
fake: integers and masks are real, since code asks for their values (how long a sample is, where an image begins).
Where one would follow from floating-point values, a plausible one stands in: nothing is true, a ranking is in order.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

BACKWARD, GRADIENTS = "backward", "gradients"
"""Parts of every step: what its backward passes take beside what forward passes keep, and parameters' gradients."""

_aten: Any = torch.ops.aten
_RANKINGS = {_aten.sort, _aten.topk, _aten.argsort}
_INDEXED = {_aten.index, _aten.index_put, _aten.index_put_, _aten._unsafe_index}


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a step takes, from change to change.

    Attributes:
        parts: Names of the columns.
        bytes_in_use: ``[changes, parts]``.
        forward: The change at which the first backward pass began.
    """

    parts: tuple[str, ...]
    bytes_in_use: NDArray[np.int64]
    forward: int

    def at_peak(self, gradient_share: float = 1.0) -> dict[str, int]:
        """Bytes by part when most are in use.

        Args:
            gradient_share: Part of the gradients that counts, e.g. where they are divided among devices.
        """
        row = self.bytes_in_use[int(self._totals(gradient_share).argmax())]
        shares = (gradient_share if part == GRADIENTS else 1.0 for part in self.parts)
        return {part: round(share * int(n)) for part, share, n in zip(self.parts, shares, row, strict=True)}

    def forward_peak(self) -> int:
        """Most bytes in use at once until the forward pass has ended."""
        return int(self._totals(1.0)[: self.forward + 1].max())

    def backward_peak(self, gradient_share: float = 1.0) -> int:
        """Most bytes in use at once from then on."""
        return int(self._totals(gradient_share)[self.forward :].max())

    def _totals(self, gradient_share: float) -> NDArray[np.float64]:
        shares = np.array([gradient_share if part == GRADIENTS else 1.0 for part in self.parts])
        return self.bytes_in_use @ shares


class Allocations(TorchDispatchMode):
    """In its body floating-point tensors are fake, and what they would take is counted.

    Models and batches are to be made inside.

    Args:
        parts: Names by which forward passes are told apart, see :meth:`watch`; the first is what nobody else claims.
    """

    def __init__(self, parts: Sequence[str] = ("forward",)) -> None:
        super().__init__()
        self.parts = (*parts, BACKWARD, GRADIENTS)
        self._pure: dict[Any, bool] = {}  # whether what an op makes is new
        self._made: dict[Any, Any] = {}  # of what forms, by op and what it was given
        self._arrays = _Arrays()
        self._living: weakref.WeakKeyDictionary[Any, _Storage] = weakref.WeakKeyDictionary()
        self._layer: tuple[int, int] | None = None  # that is repeated, at work now, and how often
        self._part = 0
        self._changes: list[tuple[int, int]] = []  # part, bytes
        self._segments: dict[tuple[int, bool], list[list[int]]] = {}
        self._forward = 0

    def __enter__(self) -> Self:
        super().__enter__()
        self._arrays.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._arrays.__exit__(*error)
        super().__exit__(*error)

    # ---- what is counted ------------------------------------------------------------------------------------------

    def watch(self, model: nn.Module, parts: Mapping[str, Sequence[nn.Module]]) -> None:
        """What modules allocate in forward passes belongs to a part; parameters' gradients are gradients."""
        for name, modules in parts.items():
            for module in modules:
                self._claim(module, self.parts.index(name))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(self._is_gradient)

    def repeat(self, layer: nn.Module, times: int) -> None:
        """One layer stands for so many that are alike, one after the other: what it takes is counted so often."""
        allocations, base = self, type(layer)

        def call(self: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            # Outside of the layer's own call, which checkpointing would run once more.
            mark = partial(allocations.mark, (id(self), times))
            entered = _Boundary.apply(hidden_states, mark, True)
            return _Boundary.apply(base.__call__(self, entered, *args, **kwargs), mark, False)

        layer.__class__ = type(base.__name__, (base,), {"__call__": call})

    def start(self, part: str) -> None:
        """What was allocated before is not counted; what follows belongs to a part."""
        self._changes.clear()
        self._segments.clear()
        self._part = self.parts.index(part)
        for storage in self._living.values():
            storage.part = -1

    def forward(self) -> None:
        """The forward pass begins."""
        self._part = 0

    def backward(self) -> None:
        """The backward pass begins."""
        self._forward = len(self._changes)
        self._part = self.parts.index(BACKWARD)

    def timeline(self) -> Timeline:
        """What was counted since :meth:`start`, layers repeated."""
        deltas = np.zeros((len(self._changes), len(self.parts)), dtype=np.int64)
        for number, (part, size) in enumerate(self._changes):
            deltas[number, part] += size
        pieces, done, forward = [], 0, self._forward
        for begin, end, times in sorted(s for both in self._segments.values() for s in both if s[1] >= 0):
            pieces += [deltas[done:begin], np.tile(deltas[begin:end], (times, 1))]
            done = end
            forward += (end - begin) * (times - 1) if end <= self._forward else 0
        in_use = np.concatenate([*pieces, deltas[done:]]).cumsum(0)
        return Timeline(self.parts, in_use, min(forward, len(in_use) - 1))

    def mark(self, layer: tuple[int, int], states: Tensor, backward: bool, begins: bool) -> None:
        """A repeated layer begins or ends a pass, with these hidden states or their gradients."""
        here = self._segments.setdefault((layer[0], backward), [])
        if begins:
            here.append([len(self._changes), -1, layer[1]])
            self._layer = layer
        else:
            here[-1][1] = len(self._changes)
            self._layer = None
            handed_on = self._living.get(_storage_of(states))
            if handed_on is not None:
                handed_on.layer = None  # from layer to layer: each repetition frees what the one before made

    def _claim(self, module: nn.Module, part: int) -> None:
        before: list[int] = []

        def enter(*_: Any) -> None:
            before.append(self._part)
            if self.parts[self._part] != BACKWARD:
                self._part = part

        def leave(*_: Any) -> None:
            self._part = before.pop()

        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)

    def _is_gradient(self, parameter: Tensor) -> None:
        assert parameter.grad is not None
        storage = self._living.get(_storage_of(parameter.grad))
        gradients = self.parts.index(GRADIENTS)
        if storage is not None and storage.part not in (-1, gradients):
            self._changes += [(storage.part, -storage.size), (gradients, storage.size)]
            storage.part = gradients

    def _note(self, tensor: Tensor) -> None:
        key = _storage_of(tensor)
        if key not in self._living:
            storage = self._living[key] = _Storage(self._part, key.nbytes(), self._layer)
            self._changes.append((storage.part, storage.size))
            weakref.finalize(key, self._gone, storage).atexit = False

    def _gone(self, storage: _Storage) -> None:
        if storage.part >= 0:
            # What a repeated layer leaves behind is freed as often as it was made (autocast's copies of weights).
            times = storage.layer[1] if storage.layer is not None and self._layer is None else 1
            self._changes.append((storage.part, -storage.size * times))

    # ---- fake tensors and real ones -------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        if any(x.is_floating_point() for x in given):
            out = self._on_fakes(func, func.overloadpacket, args, kwargs)
        elif not given and any(argument.name == "device" for argument in func._schema.arguments):
            out = func(*args, **kwargs | {"device": "meta"})
            out = _Fake(out) if out.is_floating_point() else func(*args, **kwargs)
        else:
            out = pytree.tree_map(_faked, func(*args, **kwargs))
        for tensor in pytree.tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._note(tensor)
        return out

    def _on_fakes(self, func: Any, packet: Any, args: Any, kwargs: Any) -> Any:
        if packet is _aten._local_scalar_dense:
            return 1.0
        if packet in _INDEXED:
            args = (args[0], _chosen(args[1]), *args[2:])
        given, spec = pytree.tree_flatten((args, kwargs))
        metas = [_meta(value) for value in given]
        own = {id(meta): x for meta, x in zip(metas, given, strict=True) if isinstance(x, Tensor)}

        def known(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            if id(value) in own:  # done in place; an integer or a mask stays as it was
                return own[id(value)]
            if value.is_floating_point():
                return _Fake(value)
            # An integer or a mask that would follow from fake values.
            if packet in _RANKINGS and value.dim():
                return torch.arange(value.shape[-1], dtype=value.dtype).expand(value.shape).contiguous()
            return torch.zeros(value.shape, dtype=value.dtype)

        return pytree.tree_map(known, self._computed(func, metas, spec))

    def _computed(self, func: Any, metas: list[Any], spec: pytree.TreeSpec) -> Any:
        """What an op makes of forms; looked up where it has met them, for many compute forms in Python."""
        if func not in self._pure:
            schema = func._schema
            self._pure[func] = not any(one.alias_info for one in (*schema.arguments, *schema.returns))
        key = (func, spec, *map(_form, metas)) if self._pure[func] else None
        if key in self._made:
            forms, out_spec = self._made[key]
            return pytree.tree_unflatten([_of_form(form) for form in forms], out_spec)
        args, kwargs = pytree.tree_unflatten(metas, spec)
        out = func(*args, **kwargs)
        if key is not None:
            made, out_spec = pytree.tree_flatten(out)
            given = {x.untyped_storage()._cdata for x in metas if isinstance(x, Tensor)}
            # Of some (`_unsafe_view`) no schema says that they share what they were given.
            if any(x.untyped_storage()._cdata in given for x in made if isinstance(x, Tensor)):
                self._pure[func] = False
            else:
                self._made[key] = [_form(x) for x in made], out_spec
        return out


@dataclass(slots=True)
class _Storage:
    """Where bytes belong: a part, -1 for none, and the repeated layer that made them."""

    part: int
    size: int
    layer: tuple[int, int] | None


class _Boundary(torch.autograd.Function):
    """Passes hidden states and their gradients on, and notes when that happens."""

    @staticmethod
    def forward(ctx: Any, hidden_states: Tensor, mark: Callable[..., None], entry: bool) -> Tensor:
        """``entry``: whether they enter a layer, or leave it."""
        ctx.mark, ctx.entry = mark, entry
        mark(hidden_states, backward=False, begins=entry)
        return hidden_states.view_as(hidden_states)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """The other way round."""
        ctx.mark(grads[0], backward=True, begins=not ctx.entry)
        return grads[0], None, None


class _Fake(Tensor):
    """A form without values that passes for a tensor of the CPU; what ops make of it its ``meta`` tells, which lies on
    the meta device.
    """

    meta: Tensor

    @staticmethod
    def __new__(cls, meta: Tensor) -> _Fake:
        at = meta.storage_offset()
        fake = Tensor._make_wrapper_subclass(cls, meta.size(), meta.stride(), at, dtype=meta.dtype)
        fake.meta = meta
        return fake

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise AssertionError(f"{func} of a fake tensor outside of the body that counts")


def _faked(value: Any) -> Any:
    is_real = isinstance(value, Tensor) and value.is_floating_point() and not isinstance(value, _Fake)
    return _Fake(_meta(value)) if is_real else value


def _meta(value: Any) -> Any:
    if isinstance(value, _Fake):
        return value.meta
    if isinstance(value, Tensor):
        return _of_form(_form(value))
    return torch.device("meta") if isinstance(value, torch.device) else value


def _form(value: Any) -> tuple[Any, ...]:
    """Of a tensor, or any other value with its type: 1 is not ``True``."""
    if isinstance(value, Tensor):
        return Tensor, value.shape, value.stride(), value.dtype
    return type(value), value


def _of_form(form: tuple[Any, ...]) -> Any:
    if form[0] is Tensor:
        return torch.empty_strided(form[1], form[2], dtype=form[3], device="meta")
    return form[1]


def _storage_of(tensor: Tensor) -> torch.UntypedStorage:
    return (tensor.meta if isinstance(tensor, _Fake) else tensor).untyped_storage()


class _Arrays(TorchFunctionMode):
    """Fake tensors have no values for numpy: zeros stand in."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.numpy and isinstance(args[0], _Fake):
            return np.zeros(tuple(args[0].shape), dtype=np.float32)
        return func(*args, **(kwargs or {}))


def _chosen(indices: Sequence[Any]) -> list[Any]:
    """How many places a mask chooses is known, and only here: its places are named."""
    places: list[Any] = []
    for index in indices:
        mask = isinstance(index, Tensor) and index.dtype == torch.bool
        places += index.nonzero().unbind(-1) if mask else [index]
    return places
