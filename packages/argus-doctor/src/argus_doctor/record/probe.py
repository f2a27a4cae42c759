"""Questions that only a call of one's own can answer: asked where the user allows it, on copies of the weights."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from argus_doctor.record.tensors import is_finite, tensors_in

Call = tuple[tuple[Any, ...], dict[str, Any]]
_MOST_INPUTS = 4
_OF_MODULES = frozenset(vars(nn.Module()))
"""What every module keeps: weights, buffers, hooks."""


@contextlib.contextmanager
def undisturbed(model: nn.Module, call: Call) -> Iterator[Callable[..., Any]]:
    """A function that calls the model in evaluation mode and leaves nothing behind.

    It computes with copies of weights and buffers, so that what a model changes in ``forward`` (running statistics, a
    momentum encoder) is changed in the copies; modes, what modules keep in attributes of their own (a hidden state,
    a count) and the states of chance are put back.
    """
    kept = [(vars(module), dict(vars(module))) for module in model.modules()]
    tensors = {name: one.detach().clone() for name, one in model.named_parameters(remove_duplicate=True)}
    tensors |= {name: one.detach().clone() for name, one in model.named_buffers(remove_duplicate=True)}
    devices = {one.device.index for _, one in tensors_in([list(call[0]), call[1]]) if one.is_cuda}
    python, arrays = random.getstate(), np.random.get_state()

    def run(*args: Any, **kwargs: Any) -> Any:
        return torch.func.functional_call(model, tensors, args, kwargs)

    try:
        with torch.random.fork_rng(devices=sorted(devices)), torch.no_grad():
            for now, before in kept:
                now |= {name: _cloned(value) for name, value in before.items() if name not in _OF_MODULES}
                now["training"] = False
            yield run
    finally:
        random.setstate(python)
        np.random.set_state(arrays)
        for now, before in kept:
            now.clear()
            now |= before


def first_module_not_finite(model: nn.Module, call: Call) -> str | None:
    """Replays a forward pass and names the first module whose output is not finite though its inputs were.

    Hooks on every module double a pass's time: it is done once, when there is something to find.
    """
    found: list[str] = []

    def finite(value: Any) -> bool:
        return all(map(is_finite, _numbers(value)))

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and not finite(output) and finite(inputs):
                found.append(name or type(module).__name__)

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in model.named_modules()]
    try:
        with undisturbed(model, call) as run:
            run(*call[0], **call[1])
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def ignored_inputs(model: nn.Module, call: Call) -> dict[str, bool]:
    """For each input that differs between samples, whether the outputs stay the same when samples swap it."""
    args, kwargs = call
    names = [(name, one) for name, one in tensors_in([list(args), kwargs]) if one.ndim >= 1 and len(one) > 1]
    answers: dict[str, bool] = {}
    with undisturbed(model, call) as run:
        before = _numbers(run(*args, **kwargs))
        for name, tensor in names[:_MOST_INPUTS]:
            rolled = tensor.roll(1, 0)
            if torch.equal(rolled, tensor) or (not tensor.is_floating_point() and tensor.dtype != torch.long):
                continue
            after = _with_another(run, call, tensor, rolled)
            if after is None:
                continue
            same = [_same(a, b) for a, b in zip(before, after, strict=True) if a.shape == b.shape]
            answers[name] = bool(same) and all(same)
    return answers


def later_tokens_matter(model: nn.Module, call: Call) -> bool | None:
    """Whether an output of a sequence changes with tokens that come after it; ``None`` where there is no sequence."""
    args, kwargs = call
    given = (one for _, one in tensors_in([list(args), kwargs]))
    tokens = next((one for one in given if one.ndim == 2 and one.dtype == torch.long), None)
    if tokens is None or tokens.shape[1] < 4 or len(tokens) < 2:
        return None
    half = tokens.shape[1] // 2
    changed = torch.cat([tokens[:, :half], tokens.roll(1, 0)[:, half:]], 1)
    if torch.equal(changed, tokens):
        return None
    with undisturbed(model, call) as run:
        before = _numbers(run(*args, **kwargs))
        after = _with_another(run, call, tokens, changed)
    if after is None:
        return None
    length = tokens.shape[1]
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a.ndim == 3 and a.shape[1] == length]
    return None if not pairs else not all(_same(a[:, :half], b[:, :half]) for a, b in pairs)


def _with_another(run: Callable[..., Any], call: Call, old: Tensor, new: Tensor) -> list[Tensor] | None:
    """The outputs of a call with one of its tensors replaced; ``None`` where it is within what is not made anew."""
    args, kwargs = _replaced(call, old, new)
    if not any(one is new for _, one in tensors_in([list(args), kwargs])):
        return None
    return _numbers(run(*args, **kwargs))


def _numbers(output: Any) -> list[Tensor]:
    return [one for _, one in tensors_in(output) if one.is_floating_point()]


def _cloned(value: Any) -> Any:
    """A copy of its tensors and of what holds them, so that neither is changed in place; anything else as it is."""
    if isinstance(value, Tensor):
        return value if isinstance(value, nn.Parameter) else value.detach().clone()
    if type(value) in (list, tuple):
        return type(value)(map(_cloned, value))
    if type(value) is dict:
        return {key: _cloned(one) for key, one in value.items()}
    return value


def _same(first: Tensor, second: Tensor) -> bool:
    scale = float(first.abs().max()) if first.numel() else 0.0
    return not math.isfinite(scale) or float((first - second).abs().max()) <= 1e-5 * max(scale, 1e-12)


def _replaced(value: Any, old: Tensor, new: Tensor) -> Any:
    if value is old:
        return new
    if isinstance(value, tuple):
        parts = (_replaced(one, old, new) for one in value)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, list):
        return [_replaced(one, old, new) for one in value]
    if isinstance(value, dict):
        return {key: _replaced(one, old, new) for key, one in value.items()}
    return value
