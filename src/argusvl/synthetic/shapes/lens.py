"""What a hand-held camera adds: a focus that is not everywhere, a hand that shakes, noise of light and of colour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageFilter

_SHAKES = {  # the pixels of a 5 × 5 kernel that a shake smears over
    "across": ((2, 0), (2, 1), (2, 2), (2, 3), (2, 4)),
    "along": ((0, 2), (1, 2), (2, 2), (3, 2), (4, 2)),
    "aslant": ((0, 0), (1, 1), (2, 2), (3, 3), (4, 4)),
    "short": ((2, 1), (2, 2), (2, 3)),
    "upright": ((1, 2), (2, 2), (3, 2)),
}


@dataclass(frozen=True, slots=True)
class Lens:
    """How a picture is spoilt.

    Attributes:
        blur: Radius of the blur where the picture is least in focus, pixels; 0: in focus everywhere.
        degrees: The direction in which it goes out of focus.
        shake: How the hand moved, a key of the kernels; empty: not at all.
        shot: Noise that grows with the light, grey levels at full white.
        chroma: Coarse noise of colour, grey levels.
        seed: Of the noise.
    """

    blur: float
    degrees: float
    shake: str
    shot: float
    chroma: float
    seed: int


def random_lens(rng: Random, unit: float) -> Lens:
    """A lens; most spoil nothing. ``unit`` is the length of a pixel of a 448 × 336 picture."""
    return Lens(
        blur=unit * rng.uniform(0.8, 2.0) if rng.random() < 0.25 else 0.0,
        degrees=rng.uniform(0, 360),
        shake=rng.choice(list(_SHAKES)) if rng.random() < 0.12 else "",
        shot=rng.uniform(2.0, 9.0) if rng.random() < 0.3 else 0.0,
        chroma=rng.uniform(2.0, 8.0) if rng.random() < 0.3 else 0.0,
        seed=rng.getrandbits(32),
    )


def look_through(image: Image.Image, lens: Lens) -> Image.Image:
    """The picture as it falls on the sensor: its geometry stays as it is."""
    width, height = image.size
    if lens.blur:
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * math.cos(math.radians(lens.degrees))
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * math.sin(math.radians(lens.degrees))
        share = Image.fromarray((255 * np.clip(0.1 + 0.9 * (x + y), 0, 1)).astype(np.uint8))
        image = Image.composite(image.filter(ImageFilter.GaussianBlur(lens.blur)), image, share)
    if lens.shake:
        smeared = _SHAKES[lens.shake]
        image = image.filter(
            ImageFilter.Kernel((5, 5), [1 if (i // 5, i % 5) in smeared else 0 for i in range(25)])
        )
    return image


def add_noise(image: Image.Image, lens: Lens) -> Image.Image:
    """The picture with the sensor's noise."""
    if not lens.shot and not lens.chroma:
        return image
    width, height = image.size
    generator = np.random.default_rng(lens.seed)
    pixels = np.asarray(image, dtype=np.float32)
    if lens.shot:
        grain = generator.standard_normal((height, width, 1), dtype=np.float32)
        pixels = pixels + lens.shot * grain * np.sqrt(pixels * (1 / 255))
    if lens.chroma:
        coarse = generator.standard_normal((-(-height // 3), -(-width // 3), 3), dtype=np.float32)
        pixels = pixels + lens.chroma * np.repeat(np.repeat(coarse, 3, 0)[:height], 3, 1)[:, :width]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
