"""Tensors wherever they are: in tuples, mappings, dataclasses and outputs of any shape."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from argus_doctor.evidence import TensorStatistics

MOST_ROWS = 256
MOST_VALUES = 1024
"""Of a sample: statistics are of every n-th value where there are more."""
_DEEPEST = 6
_MOST_COLUMNS = 32
_PRINTED = 64
_CHANNELS = (1, 3, 4)
_GRID_ROWS, _GRID_VALUES = 32, 4096


def held_here(tensor: Tensor) -> Tensor:
    """The part of a sharded tensor (a ``DTensor``) that this process has; any other as it is.

    A watcher computes with nothing else: of the whole, all processes would have to ask at the same moment.
    """
    # Known by its method: importing its class takes over a second, and most trainings have none.
    if type(tensor) in (Tensor, Parameter):  # to look for what is not there takes long
        return tensor
    part: Tensor = getattr(tensor, "to_local", lambda: tensor)()
    return part


def has_values(tensor: Tensor) -> bool:
    """Whether there are numbers in it, one beside the other: it is dense, and neither a meta nor a fake tensor."""
    if tensor.layout is not torch.strided or tensor.is_meta:
        return False
    return type(tensor) in (Tensor, Parameter) or not hasattr(tensor, "fake_mode")


def is_finite(tensor: Tensor) -> bool:
    """Whether all numbers that this process has of a tensor are finite."""
    return bool(torch.isfinite(held_here(tensor.detach())).all())


def tensors_in(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Every dense tensor in a nested value, with its place."""
    if isinstance(value, Tensor):
        if has_values(value):
            yield name or "tensor", value
        return
    if depth == _DEEPEST or isinstance(value, (str, bytes)):
        return
    prefix = f"{name}." if name else ""
    if isinstance(value, (list, tuple)):
        for number, one in enumerate(value[:64]):
            yield from tensors_in(one, f"{prefix}{number}", depth + 1)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from tensors_in(one, f"{prefix}{key}", depth + 1)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for part in dataclasses.fields(value):
            yield from tensors_in(getattr(value, part.name, None), f"{prefix}{part.name}", depth + 1)


def rows_of(tensor: Tensor, most_rows: int = MOST_ROWS, most_values: int = MOST_VALUES) -> Tensor:
    """Samples by some of their values: ``[N, V]``, without a copy where nothing is left out."""
    flat = tensor.detach().reshape(tensor.shape[0], -1) if tensor.ndim > 1 else tensor.detach().reshape(-1, 1)
    stride = math.ceil(flat.shape[1] / most_values) if flat.shape[1] else 1
    return flat if stride == 1 and flat.shape[0] <= most_rows else flat[:most_rows, ::stride]


def statistics(name: str, tensor: Tensor) -> TensorStatistics | None:
    """Of a tensor whose first dimension is the samples; ``None`` of an empty one or a scalar."""
    found = described(name, tensor)
    return None if found is None else found[1](found[0].cpu())


def described(name: str, tensor: Tensor) -> tuple[Tensor, Callable[[Tensor], TensorStatistics]] | None:
    """The numbers, still on the tensor's device, and what makes statistics of them on the host."""
    if tensor.ndim == 0 or tensor.numel() == 0 or tensor.is_complex() or tensor.layout is not torch.strided:
        return None
    rows = rows_of(tensor).float()
    finite = torch.isfinite(rows)
    bad = 1.0 - finite.all(dim=1).float().mean()
    rows = torch.where(finite, rows, torch.zeros_like(rows))
    table = tensor.ndim == 2 and tensor.is_floating_point() and tensor.shape[0] > 1
    few = table and tensor.shape[1] <= _MOST_COLUMNS
    mean, spread = (rows.mean(0), rows.std(0)) if table else (rows[:0].sum(0)[:0], rows[:0].sum(0)[:0])
    worst = torch.maximum(mean.abs(), spread).max() if table else bad.new_zeros(())
    alike = (rows == rows[:1]).all().float() if len(rows) > 1 else bad.new_zeros(())
    figures = [rows.mean(), rows.std(unbiased=False), rows.min(), rows.max()]
    figures += [(rows == rows.round()).all().float(), alike, bad, worst]
    picture = tensor.ndim == 4 and tensor.is_floating_point() and tensor.shape[1] in _CHANNELS
    figures += _grid(tensor) if picture else [bad.new_zeros(())] * 2
    numbers = torch.cat([torch.stack(figures), *((mean, spread.clamp_min(1e-6)) if few else ())])
    shape, is_float = tuple(tensor.shape), tensor.is_floating_point()

    def made(there: Tensor) -> TensorStatistics:
        values = there.tolist()
        columns = None
        if few:
            width = shape[1]
            columns = tuple(values[10 : 10 + width]), tuple(values[10 + width :])
        mean_there, std, low, high, whole, alike_there, not_finite, greatest, spacing, levels = values[:10]
        return TensorStatistics(
            name, shape, is_float, mean_there, std, low, high, bool(whole), bool(alike_there), not_finite,
            greatest if table else None, columns, (spacing, int(levels)) if levels > 0 else None,
        )  # fmt: skip

    return numbers, made


def _grid(pictures: Tensor) -> list[Tensor]:
    """Spacing and number of steps of the grid that all values of the first channel lie on; zeros where they do not."""
    flat = pictures.detach()[:_GRID_ROWS, 0].reshape(-1).float()
    values = flat[:: math.ceil(len(flat) / _GRID_VALUES)].sort().values
    span, steps = values[-1] - values[0], values.diff()
    least = torch.where(steps > span * 1e-4, steps, torch.inf).min() if len(steps) else span
    levels = (span / least).round()
    spacing = span / levels.clamp_min(1)
    place = (values - values[0]) / spacing.clamp_min(1e-30)
    fits = ((place - place.round()).abs().max() < 0.05) & (levels < 256) & (span > 0) & torch.isfinite(span)
    return [torch.where(fits, spacing, 0.0), torch.where(fits, levels, 0.0)]


def printed(tensor: Tensor) -> Tensor:
    """Of each sample the values that its fingerprint is made of: a copy, ``[N, V]`` float32."""
    width = math.prod(tensor.shape[1:])
    if width and tensor.is_contiguous():  # at each step: in as few operations as it takes
        stride = math.ceil(width / _PRINTED)
        rows = tensor.detach().as_strided((len(tensor), math.ceil(width / stride)), (width, stride))
    else:
        rows = rows_of(tensor, most_rows=tensor.shape[0], most_values=_PRINTED)
    return rows.to(torch.float32, copy=True)


def fingerprints(samples: Tensor) -> Tensor:
    """A number for each row of :func:`printed`, the same for the same values: ``[N]`` int64, on the same device."""
    bits = samples.view(torch.int32).to(torch.int64)
    # The sum wraps; factors drawn by chance tell samples of few values (bits, tokens) apart as well as any.
    factors = _factors(samples.device)[: bits.shape[1]]
    return bits @ factors if bits.is_cpu else (bits * factors).sum(dim=1)  # CUDA has no product of integers


@cache
def _factors(device: torch.device) -> Tensor:
    drawn = torch.randint(2**62, (_PRINTED,), generator=torch.Generator().manual_seed(0))
    return (2 * drawn + 1).to(device)
