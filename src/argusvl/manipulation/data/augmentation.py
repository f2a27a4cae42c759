"""Random changes of a hand's crop: of its geometry as one map for picture, K and labels; of its colours alone.

Everything comes from the generator that the caller passes: a sample depends on nothing but seed, epoch and index.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pydantic import Field
from torch.nn import functional as F

from argusvl.config.schema import Probability, Section
from argusvl.manipulation.data.checking import Floats
from argusvl.synthetic.hands.camera import PictureMap

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

Change = Annotated[float, Field(ge=0, lt=1)]


class HandAugmentation(Section):
    """Random changes of training crops; 0 for none of a kind. K and labels change with the picture."""

    rotation: float = Field(ge=0, le=180)
    """Largest turn, degrees, to either side."""
    scale: Change
    """Largest relative change of the crop's side."""
    shift: Change
    """Largest shift of the crop, as a share of its side."""
    colour: Change
    """Largest relative change of brightness, contrast and saturation, and by half of it of each channel."""
    blur: Probability
    """Probability of a blur."""
    noise: Change
    """Largest standard deviation of pixel noise, as a share of white."""
    erase: Probability
    """Probability that a rectangle of up to two fifths of each side of the crop is covered."""
    greyscale: Probability
    """Probability that all colour is taken away."""
    texture: Probability
    """Probability that a random convolution gives the crop other textures and colours (RandConv, Xu et al., ICLR 2021);
    for hands that are drawn."""

    def crop(
        self, box_xyxy_px: Floats, margin: float, size: int, rng: np.random.Generator | None
    ) -> PictureMap:
        """The square of ``size`` pixels around a box with a ``margin``, a factor; with ``rng``, changed at random."""
        x1, y1, x2, y2 = box_xyxy_px
        side, centre = max(x2 - x1, y2 - y1) * margin, np.array([x1 + x2, y1 + y2]) / 2
        degrees = 0.0
        if rng is not None:
            side *= math.exp(rng.uniform(-1, 1) * math.log1p(self.scale))
            centre = centre + rng.uniform(-1, 1, size=2) * self.shift * side
            degrees = rng.uniform(-1, 1) * self.rotation
        (x, y), half = centre, max(side, 1.0) / 2
        square = PictureMap.crop((x - half, y - half, x + half, y + half), (size, size))
        return square.then(PictureMap.rotation((size, size), degrees)) if degrees else square

    def recolour(self, picture: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
        """The crop with other light, sharpness and noise: ``[height, width, 3]``."""
        if rng.random() < self.blur:
            picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2) * picture.width / 128))
        pixels: NDArray[np.floating[Any]] = np.asarray(picture, dtype=np.float32)
        if rng.random() < self.texture:
            pixels = _other_texture(pixels, rng)
        brightness, contrast, saturation = rng.uniform(-1, 1, size=3) * self.colour
        if rng.random() < self.greyscale:
            saturation = -1
        tint = 1 + rng.uniform(-0.5, 0.5, size=3) * self.colour
        grey = pixels @ _LUMA
        pixels = grey[..., None] + (pixels - grey[..., None]) * np.float32(1 + saturation)
        middle = float(grey.mean())
        pixels = (pixels - middle) * np.float32(1 + contrast) + middle
        pixels *= (tint * (1 + brightness)).astype(np.float32)
        if self.noise:
            deviation = np.float32(rng.uniform(0, self.noise) * 255)
            pixels += deviation * rng.standard_normal(pixels.shape, dtype=np.float32)
        if rng.random() < self.erase:
            height, width = pixels.shape[:2]
            h, w = (rng.uniform(0.1, 0.4, size=2) * (height, width)).astype(int)
            top, left = rng.integers(0, height - h), rng.integers(0, width - w)
            pixels[top : top + h, left : left + w] = rng.uniform(0, 255, size=3)
        return np.clip(pixels, 0, 255).astype(np.uint8)


NO_CHANGE = HandAugmentation(
    rotation=0, scale=0, shift=0, colour=0, blur=0, noise=0, erase=0, greyscale=0, texture=0
)


def _other_texture(pixels: NDArray[np.floating[Any]], rng: np.random.Generator) -> NDArray[np.floating[Any]]:
    """A random convolution of 1 to 7 pixels with the picture's own mean and deviation, mixed with the picture."""
    side = int(rng.choice([1, 3, 5, 7]))
    kernel = rng.standard_normal((3, 3, side, side), dtype=np.float32)
    mean, deviation = pixels.mean((0, 1)), pixels.std() + 1e-3
    planes = torch.from_numpy(np.ascontiguousarray(((pixels - mean) / deviation).transpose(2, 0, 1)))
    filtered = F.conv2d(planes[None], torch.from_numpy(kernel), padding="same")[0]
    changed = ((filtered - filtered.mean()) / (filtered.std() + 1e-3)).permute(1, 2, 0).numpy()
    share = np.float32(rng.uniform())
    return share * pixels + (1 - share) * (changed * deviation + mean)
