"""Random changes of a picture and its boxes: flips, quarter turns, zoom, colour.

Every change comes from the numpy generator that the caller passes, so a sample's picture depends on nothing but
seed, epoch and index. Sizes stay on the network's grid (a quarter turn swaps the sides). A box moves with its object
and is clipped to the picture; an object of which too little is left goes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from argusvl.detection.data.orientation import box_to_upright

_LUMA = np.array([0.299, 0.587, 0.114])
# RGB → YIQ: luma apart from two chroma axes, in which a change of hue is a rotation.
_TO_YIQ = np.array([_LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)

_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,  # left becomes right
    4: np.flipud,  # top becomes bottom
    6: partial(np.rot90, k=-1),  # clockwise: width and height change places
    8: np.rot90,  # counter-clockwise
}
"""EXIF orientation → what brings its pixels upright, as far as pictures are augmented so."""


@dataclass(frozen=True, slots=True)
class View:
    """A picture, ``uint8 [height, width, 3]``, with N boxes, ``float64 [N, 4]``, and their descriptions."""

    pixels: np.ndarray
    boxes_xyxy_px: np.ndarray
    descs: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)``, pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Which changes, and how strong: the configuration's section ``augmentation`` says it of each, and checks it."""

    horizontal_flip: float
    vertical_flip: float
    rotate90: float
    scale_min: float
    scale_max: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    min_visible: float

    def __call__(self, view: View, rng: np.random.Generator) -> View:
        """A changed copy; the view given is left as it is. Every random decision comes from ``rng``."""
        if self.scale_min != 1 or self.scale_max != 1:
            # Log-uniform: twice as large is as likely as half as large.
            scale = math.exp(rng.uniform(math.log(self.scale_min), math.log(self.scale_max)))
            view = zoom(view, rng, scale, self.min_visible)
        if rng.random() < self.horizontal_flip:
            view = turn(view, 2)
        if rng.random() < self.vertical_flip:
            view = turn(view, 4)
        if rng.random() < self.rotate90:
            view = turn(view, 6 if rng.random() < 0.5 else 8)
        changes = rng.uniform(-1, 1, size=4) * (self.brightness, self.contrast, self.saturation, self.hue)
        if changes.any():
            view = change_colour(view, *changes)
        return View(np.ascontiguousarray(view.pixels), view.boxes_xyxy_px, view.descs)


def turn(view: View, orientation: int) -> View:
    """A picture and its boxes, brought upright as if they had been stored in one of the orientations of ``_TURNS``."""
    boxes = box_to_upright(view.boxes_xyxy_px.T, view.size, orientation)
    return View(_TURNS[orientation](view.pixels), np.stack(boxes, axis=1), view.descs)


def zoom(view: View, rng: np.random.Generator, scale: float, min_visible: float) -> View:
    """The same size, its content ``scale`` times as large, at a random place."""
    width, height = view.size
    if scale >= 1:
        pixels, boxes = _part(view, rng, scale)
    else:
        small_width, small_height = max(round(width * scale), 1), max(round(height * scale), 1)
        left = int(rng.integers(0, width - small_width + 1))
        top = int(rng.integers(0, height - small_height + 1))
        small = Image.fromarray(view.pixels).resize((small_width, small_height), Image.Resampling.BILINEAR)
        pixels = np.empty_like(view.pixels)
        pixels[:] = _mean_colour(view.pixels).round().astype(np.uint8)
        pixels[top : top + small_height, left : left + small_width] = np.asarray(small)
        boxes = _move(view.boxes_xyxy_px, small_width / width, small_height / height, left, top)
    return _clip(View(pixels, boxes, view.descs), min_visible)


def change_colour(view: View, brightness: float, contrast: float, saturation: float, hue: float) -> View:
    """Relative changes of brightness, contrast and saturation, and a shift of hue (part of the colour circle).

    All four are affine in RGB, so that one 3×4 matrix does them in one pass and rounds once. Hue turns in the
    YIQ plane, which keeps luma (the usual way through HSV changes it).
    """
    mean = float(_LUMA @ _mean_colour(view.pixels))
    angle = 2 * math.pi * hue
    turn = np.array(
        [[1, 0, 0], [0, math.cos(angle), -math.sin(angle)], [0, math.sin(angle), math.cos(angle)]]
    )
    chroma = np.diag([1.0, 1 + saturation, 1 + saturation])
    matrix = (1 + brightness) * (1 + contrast) * (_FROM_YIQ @ chroma @ turn @ _TO_YIQ)
    offset = (1 + brightness) * -contrast * mean
    affine = np.concatenate([matrix, np.full((3, 1), offset)], axis=1)
    image = Image.fromarray(np.ascontiguousarray(view.pixels)).convert("RGB", tuple(affine.flatten()))
    return View(np.asarray(image), view.boxes_xyxy_px, view.descs)


def _part(view: View, rng: np.random.Generator, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """A random part of a picture, ``scale`` ≥ 1 times as large, in the picture's size, and all boxes in it."""
    width, height = view.size
    part_width, part_height = width / scale, height / scale
    left, top = rng.uniform(0, width - part_width), rng.uniform(0, height - part_height)
    # The last ulp must not reach past the picture's edge.
    box = (left, top, min(left + part_width, width), min(top + part_height, height))
    image = Image.fromarray(np.ascontiguousarray(view.pixels))
    pixels = np.asarray(image.resize(view.size, Image.Resampling.BILINEAR, box=box))
    return pixels, _move(view.boxes_xyxy_px, scale, scale, -left * scale, -top * scale)


def _move(boxes: np.ndarray, scale_x: float, scale_y: float, left: float, top: float) -> np.ndarray:
    return np.asarray(
        boxes * np.array([scale_x, scale_y, scale_x, scale_y]) + np.array([left, top, left, top])
    )


def _clip(view: View, min_visible: float) -> View:
    """Boxes inside the picture; without the objects that are (nearly) outside, or less than a pixel."""
    boxes = view.boxes_xyxy_px
    clipped = np.clip(boxes, 0, np.array([*view.size, *view.size], dtype=np.float64))
    sides = clipped[:, 2:] - clipped[:, :2]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    keep = (sides.prod(axis=1) >= min_visible * area) & (sides >= 1).all(axis=1)
    return View(view.pixels, clipped[keep], tuple(d for d, k in zip(view.descs, keep, strict=True) if k))


def _mean_colour(pixels: np.ndarray) -> np.ndarray:
    """``float64 [3]``, from every fourth pixel each way: a sixteenth of the work, the same colour."""
    return np.asarray(pixels[::4, ::4].reshape(-1, 3).mean(axis=0))
