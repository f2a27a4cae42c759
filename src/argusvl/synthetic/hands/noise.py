"""Smooth random fields, in the plane and in space."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates

from argusvl.synthetic.hands.arrays import Floats32, Generator

_CELLS = 64


@cache
def volume() -> Floats32:
    """``[64, 64, 64]`` of smooth blotches, about -1 to 1, that repeats without a seam."""
    generator = np.random.default_rng(20)
    frequencies = np.fft.fftfreq(_CELLS) * _CELLS
    x, y, z = np.meshgrid(frequencies, frequencies, np.fft.rfftfreq(_CELLS) * _CELLS, indexing="ij")
    radius = np.sqrt(x * x + y * y + z * z)
    spectrum = np.fft.rfftn(generator.standard_normal((_CELLS,) * 3)) * (radius > 0) / (1 + radius) ** 1.8
    field = np.fft.irfftn(spectrum, s=(_CELLS,) * 3, axes=(0, 1, 2))
    return (field / (2 * field.std())).astype(np.float32)


def in_space(points: Floats32, cell_m: float, offset: NDArray[np.floating]) -> Floats32:
    """``[N]``: the volume at ``[N, 3]`` points, of which one cell is so large; smooth."""
    place = points.T / cell_m + offset[:, None]
    return np.asarray(map_coordinates(volume(), place, order=1, mode="grid-wrap"), dtype=np.float32)


def grain(points: Floats32, cell_m: float, offset: NDArray[np.floating]) -> Floats32:
    """As :func:`in_space`, but by whole cells: for those not larger than a pixel, and faster."""
    cell = (points * np.float32(1 / cell_m) + offset.astype(np.float32)).astype(np.int32) & (_CELLS - 1)
    return np.asarray(volume().ravel()[(cell[:, 0] * _CELLS + cell[:, 1]) * _CELLS + cell[:, 2]])


def in_plane(generator: Generator, size: tuple[int, int], cells: list[int]) -> Floats32:
    """``[height, width]`` of blotches of several sizes, weaker where smaller, about -1 to 1."""
    total, weight = np.zeros((size[1], size[0]), dtype=np.float32), np.float32(1)
    for count in cells:
        coarse = generator.standard_normal((count, count), dtype=np.float32)
        total += weight * np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
        weight *= np.float32(0.6)
    return total / np.float32(1.6)
