"""A block of an output and of the gradient that comes back to it: enough to tell which loss is at work, and no more."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from argus_doctor.evidence import Evidence
from argus_doctor.record.hooks import may_look

_MOST_NUMBERS = 1 << 14
"""Of a block: 64 KiB."""
WIDE = 4096
"""Outputs with more columns than this are scores of a vocabulary: of each row only the ends are kept."""
_ROWS_OF_A_VOCABULARY = 32


class OutputSample:
    """What is kept of one output until the step is told.

    Args:
        output: As the model returned it; it is not held.
        evidence: Takes down what goes wrong.

    Attributes:
        identity: Of the tensor.
        shape: Of the whole.
        index: Which part of it the block is: a slice of each dimension.
        values: The block.
        gradient: The same block of the gradient; ``None`` until it came.
        wide: Whether it is of a vocabulary, and blocks are ``[rows, 5]``: least and greatest value's column, the two
            values, the sum.
        norm: Of the whole gradient.
        columns: Norms of the columns of the whole gradient, of ``[N, C]`` with a few columns.
    """

    def __init__(self, output: Tensor, evidence: Evidence) -> None:
        self._evidence = evidence
        self.identity, self.shape = id(output), tuple(output.shape)
        self.wide = output.ndim >= 2 and output.shape[-1] > WIDE
        self.index = _index(self.shape, self.wide)
        block = output.detach()[self.index]
        self.values = block.new_zeros(()) if self.wide else block.float().clone()
        self.gradient: Tensor | None = None
        self.norm: Tensor | None = None
        self.columns: Tensor | None = None

    def keeping(self, reached: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
        """What to hang on the output: keeps the block of the gradient that comes."""

        def keep(gradient: Tensor) -> None:
            gradient = gradient.detach()
            block = gradient[self.index]
            self.gradient = _ends(block) if self.wide else block.float().clone()
            self.norm = self.gradient[..., 2:4].norm() if self.wide else self.gradient.norm()
            if gradient.ndim == 2 and 2 <= gradient.shape[1] <= 64:
                self.columns = self.gradient.norm(dim=0)

        def hook(gradient: Tensor) -> None:
            reached(gradient)
            if may_look(gradient):
                self._evidence.quietly("calls", lambda: keep(gradient))

        return hook

    def part_of(self, other: Tensor) -> Tensor:
        """The same part of targets: of the whole shape, or of it without its columns or its second dimension."""
        if other.ndim == 0 or other.shape[:1] != self.shape[:1]:
            return other
        index, shape = self.index[:1], tuple(other.shape)
        if shape == self.shape:
            index = self.index
        elif shape in (self.shape[:-1], (*self.shape[:-1], 1)):
            index = self.index[:-1]
        elif shape == (self.shape[0], *self.shape[2:]):
            index = self.index[:1] + self.index[2:]
        return other.detach()[index]


def _index(shape: tuple[int, ...], wide: bool) -> tuple[slice, ...]:
    """A slice of each dimension, so that few numbers are left and the dimension of the classes is whole."""
    steps = [1] * len(shape)
    # Of pictures [B, C, H, W] classes may stand second; of sequences [B, L, C] last.
    free = [place for place in range(len(shape)) if place == 0 or (place >= 2 and len(shape) >= 4)]
    if len(shape) == 3:
        free = [0, 1] if shape[2] > 1 and (shape[1] > shape[2] or wide) else [0]
    most = _ROWS_OF_A_VOCABULARY * shape[-1] if wide else _MOST_NUMBERS

    def left(place: int) -> int:
        return -(-shape[place] // steps[place])

    def total() -> int:
        return math.prod(map(left, range(len(shape))))

    while total() > most:
        widest = max(free, key=left)
        if left(widest) <= 1:
            if len(free) == len(shape):
                break
            free = list(range(len(shape)))  # nothing else is left to thin out
            continue
        steps[widest] *= 2
    return tuple(slice(None, None, step) for step in steps)


def _ends(block: Tensor) -> Tensor:
    """Of each row: the columns of its least and greatest value, these values, and the sum of all."""
    low, high = block.min(-1), block.max(-1)
    figures = (low.indices, high.indices, low.values, high.values, block.sum(-1, dtype=torch.float32))
    return torch.stack([one.float() for one in figures], -1)
