"""The loss around a model's weights, along two random directions (Li et al., 2018: filter normalisation), and as SVG:
colours for the loss, and lines of equal loss.

Visualizing the Loss Landscape of Neural Nets, https://arxiv.org/abs/1712.09913
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from argusvl.core.progress import track
from argusvl.visual.curves import Chart
from argusvl.visual.heat import colours
from argusvl.visual.pictures import data_uri, png
from argusvl.visual.plots import format_number

POINTS = 15
"""On a side; odd, so that the weights themselves are one."""

_FINE = 57  # points on a side of the interpolated field
_LEVELS = 9
_SIDE = 400  # pixels
_LOGARITHMIC_FROM = 5.0  # times the lowest loss
_ROOM = 0.07  # of the width, between the numbers of two lines


@dataclass(frozen=True, slots=True)
class Landscape:
    """Losses on a square.

    Attributes:
        offsets: Along each direction, ascending; 0 is the model. At 1 a filter has moved by its own norm.
        losses: ``losses[row][column]``: second direction by row, first by column; may be not finite.
    """

    offsets: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]

    @property
    def centre(self) -> float:
        """The loss of the model itself."""
        middle = len(self.offsets) // 2
        return self.losses[middle][middle]


def loss_landscape(
    model: nn.Module, loss: Callable[[], float], *, points: int = POINTS, show_progress: bool = False
) -> Landscape:
    """The loss at ``points`` × ``points`` places around the weights, which are afterwards what they were, bit for bit.

    Parameters of two axes and more are moved, by offsets from -1 to 1; biases and norms stay, as in the paper. The
    loss is that of a fixed batch, without anything random in it.
    """
    weights = {n: p for n, p in model.named_parameters() if p.is_floating_point() and p.dim() > 1}
    first, second = (filter_normalised(weights, seed) for seed in range(2))
    offsets = tuple(2 * i / (points - 1) - 1 for i in range(points))
    places = [(y, x) for y in offsets for x in offsets]
    losses = []
    origin = {name: weight.detach().clone() for name, weight in weights.items()}
    with torch.no_grad():
        try:
            for y, x in track(places, len(places), "Loss landscape", unit="losses", enabled=show_progress):
                for name, weight in weights.items():
                    weight.copy_(origin[name] + x * first[name] + y * second[name])
                losses.append(float(loss()))
        finally:
            for name, weight in weights.items():
                weight.copy_(origin[name])
    rows = tuple(tuple(losses[i : i + points]) for i in range(0, len(losses), points))
    return Landscape(offsets, rows)


def filter_normalised(weights: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """A random direction in which each filter (row of the first axis) has the norm of that filter of the weights."""
    generator = torch.Generator().manual_seed(seed)
    direction = {}
    for name, weight in weights.items():
        drawn = torch.randn(weight.shape, generator=generator).to(weight)
        norms = [t.flatten(1).norm(dim=1).clamp_min(1e-12) for t in (weight.detach(), drawn)]
        direction[name] = drawn * (norms[0] / norms[1]).view(-1, *[1] * (weight.dim() - 1))
    return direction


def landscape_chart(landscape: Landscape) -> Chart:
    """The chart. Losses that are not finite are drawn as the highest that is, and counted."""
    losses = np.array(landscape.losses, dtype=np.float64)
    finite = np.isfinite(losses)
    title = "loss around the weights"
    if not finite.any():
        return Chart(title, "", warning="no loss is finite")
    losses = np.where(finite, losses, losses[finite].max())
    logarithmic = losses.min() > 0 and losses.max() > _LOGARITHMIC_FROM * losses.min()
    field = np.log(losses) if logarithmic else losses
    # Interpolated between the places that were computed, corners on corners.
    fine = np.clip(ndimage.zoom(field, _FINE / len(field), order=3), field.min(), field.max())
    low, high = float(fine.min()), float(fine.max())
    levels = [low + (high - low) * (k + 1) / (_LEVELS + 1) for k in range(_LEVELS)] if high > low else []
    body = [_picture((fine - low) / (high - low) if high > low else fine * 0)]
    body += [f'<path class="contour" d="{path}"/>' for path in (contour(fine, v) for v in levels) if path]
    box = f'viewBox="0 0 1000 {_SIDE}" height="{_SIDE}" preserveAspectRatio="none"'
    drawn = f'<svg class="stretched" {box}>{"".join(body)}</svg>'
    numbers = _numbers(fine[len(fine) // 2], levels, logarithmic)
    bad = int((~finite).sum())
    warning = f"{bad} of {losses.size} losses not finite, drawn as the highest" if bad else ""
    svg = (
        f'<svg class="chart" height="{_SIDE + 40}" role="img" aria-label="{title}">'
        f'<g transform="translate(0 10)">{drawn}<circle class="centre" cx="50%" cy="{_SIDE / 2:g}" r="4"/>'
        f"{numbers}{_axes(landscape.offsets)}</g></svg>"
    )
    centre, top = landscape.centre, float(losses.max())
    return Chart(
        f"{title}: {format_number(centre)} in the middle, up to {format_number(top)}", svg, (), warning
    )


def contour(field: NDArray[np.float64], level: float) -> str:
    """A line of equal value through a field, by marching squares, as the ``d`` of a path over 1000 × ``_SIDE``."""
    rows, columns = field.shape
    above = field >= level
    kinds = above[:-1, :-1] * 1 + above[:-1, 1:] * 2 + above[1:, 1:] * 4 + above[1:, :-1] * 8
    parts = []
    for y, x in zip(*np.nonzero((kinds > 0) & (kinds < 15)), strict=True):
        corners = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)]
        crossings = []
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            a, b = float(field[ay, ax]), float(field[by, bx])
            if (a >= level) != (b >= level):
                t = (level - a) / (b - a)
                crossings.append((ax + t * (bx - ax), ay + t * (by - ay)))
        for (x1, y1), (x2, y2) in zip(crossings[::2], crossings[1::2], strict=True):
            ends = [(1000 * u / (columns - 1), _SIDE * v / (rows - 1)) for u, v in ((x1, y1), (x2, y2))]
            parts.append("M" + "L".join(f"{u:.1f} {v:.1f}" for u, v in ends))
    return "".join(parts)


def _picture(shares: NDArray[np.float64]) -> str:
    picture = Image.fromarray(colours(shares)).resize((4 * _FINE, 4 * _FINE), Image.Resampling.BICUBIC)
    uri = data_uri("image/png", png(picture))
    return f'<image href="{uri}" width="100%" height="{_SIDE}" preserveAspectRatio="none"/>'


def _numbers(middle: NDArray[np.float64], levels: Sequence[float], logarithmic: bool) -> str:
    """The lines' values, where they cross the middle row to the right of the centre."""
    texts, last = [], 0.5
    start = len(middle) // 2
    for level in levels:
        beyond = np.nonzero(middle[start:] >= level)[0]
        at = (start + int(beyond[0])) / (len(middle) - 1) if len(beyond) else math.inf
        if at - last >= _ROOM and at < 0.96:
            value = format_number(math.exp(level) if logarithmic else level)
            y = _SIDE / 2 - 4
            place = f'x="{100 * at:.1f}%" y="{y:g}"'
            texts.append(f'<text class="level" {place} text-anchor="middle">{value}</text>')
            last = at
    return "".join(texts)


def _axes(offsets: Sequence[float]) -> str:
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = f"{offsets[0] + share * (offsets[-1] - offsets[0]):g}"
        below, beside = f'x="{100 * share:g}%" y="{_SIDE + 19}"', f'x="-8" y="{_SIDE * (1 - share) + 4:g}"'
        parts.append(f'<text class="axis" {below} text-anchor="middle">{value}</text>')
        parts.append(f'<text class="axis" {beside} text-anchor="end">{value}</text>')
    return "".join(parts)
