"""What a camera and a room do to a picture: light, haze, blur, noise. The geometry stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

FloatPlane = NDArray[np.floating[Any]]  # float32 in fact; numpy's types widen it


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a picture is taken.

    Attributes:
        gain: Brightness, 1 as painted.
        gamma: Contrast curve, 1 as painted.
        slope: Change of brightness from the middle to the right and to the lower edge, as fractions.
        lamp: Centre (fractions of width and height), radius (fraction of the width) and strength of a light spot;
            a flash that a panel reflects, or a torch.
        vignette: Loss of light in the corners, as a fraction.
        warmth: Relative change of red against blue.
        haze: Share of a flat veil laid over the picture.
        blur: Radius of the lens's blur in pixels.
        noise: Standard deviation of the sensor's noise in grey levels.
        grain: Depth of the surfaces' texture, as a fraction.
        quality: Of the JPEG.
        seed: Of the noise and the grain.
    """

    gain: float
    gamma: float
    slope: tuple[float, float]
    lamp: tuple[float, float, float, float]
    vignette: float
    warmth: float
    haze: float
    blur: float
    noise: float
    grain: float
    quality: int
    seed: int


def random_exposure(rng: Random, scale: float) -> Exposure:
    """One of the ways in which a picture turns out; ``scale`` is its size over that of 448 × 336."""
    dim = rng.random() < 0.15
    return Exposure(
        gain=rng.uniform(0.55, 0.75) if dim else rng.uniform(0.78, 1.06),
        gamma=rng.uniform(0.85, 1.2),
        slope=(rng.uniform(-0.22, 0.22), rng.uniform(-0.18, 0.18)),
        lamp=(
            rng.random(),
            rng.random(),
            rng.uniform(0.25, 0.6),
            rng.uniform(0.1, 0.35) if rng.random() < 0.5 else 0.0,
        ),
        vignette=rng.uniform(0.0, 0.28),
        warmth=rng.uniform(-0.09, 0.11),
        haze=rng.uniform(0.0, 0.1),
        blur=scale * (rng.uniform(0.7, 1.0) if rng.random() < 0.15 else rng.uniform(0.0, 0.55)),
        noise=rng.uniform(5, 9) if dim else rng.uniform(1.0, 5.5),
        grain=rng.uniform(0.01, 0.035),
        quality=rng.randrange(82, 95),
        seed=rng.getrandbits(32),
    )


def expose(image: Image.Image, exposure: Exposure) -> Image.Image:
    """The picture as the camera would store it."""
    if exposure.blur > 0.15:
        image = image.filter(ImageFilter.GaussianBlur(exposure.blur))
    width, height = image.size
    x = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
    y = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
    light: FloatPlane = exposure.gain * (1 + exposure.slope[0] * x + exposure.slope[1] * y)
    light = light * (1 - exposure.vignette * 0.5 * (x * x + y * y))
    cx, cy, radius, strength = exposure.lamp
    if strength:
        away = (x - (2 * cx - 1)) ** 2 + ((y - (2 * cy - 1)) * height / width) ** 2
        light = light * (1 + strength * np.exp(-2 * (away / (4 * radius * radius))))
    generator = np.random.default_rng(exposure.seed)
    light = light * (1 + exposure.grain * _texture(generator, width, height))

    # The curve is a table of 256 entries: cheaper than a power of every pixel. Channels are planes of their own,
    # because numpy is several times slower over a last dimension of three.
    levels = np.arange(256, dtype=np.float32) / 255
    curve = 255 * ((1 - exposure.haze) * levels**exposure.gamma + exposure.haze * 0.62)
    curve = curve.astype(np.float32)
    noise = exposure.noise * generator.standard_normal((height, width), dtype=np.float32) + 0.5
    planes = []
    tint = (1 + exposure.warmth / 2, 1.0, 1 - exposure.warmth / 2)
    for plane, colour in zip(image.split(), tint, strict=True):
        pixels = (curve * np.float32(colour))[np.asarray(plane)]
        pixels *= light
        pixels += noise
        planes.append(Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)))
    return Image.merge("RGB", planes)


def _texture(generator: np.random.Generator, width: int, height: int) -> FloatPlane:
    """Smooth blotches of two sizes, about -1 to 1, ``[height, width]``."""
    total = np.zeros((height, width), dtype=np.float32)
    for cells in (6, 24):
        coarse = generator.standard_normal((cells, cells), dtype=np.float32)
        total += np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))
    return total / 2
