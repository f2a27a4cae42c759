"""Is preprocessing what it should be? Measured from outside, with pictures whose pixels say where they are.

The usual mistakes are BGR instead of RGB, another model's processor, missing normalisation. None of them raises an
error; each only costs accuracy. The geometry is measured with a picture whose red says how far to the right a pixel is
and whose green says how far down; that black and white come out as two numbers undoes any normalisation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.verification.pictures import Pictures
from argusvl.recognition.verification.verdict import Verdict, verdict

TOLERANCE = 1e-5
"""Largest difference to the library's own processor, in normalised units."""
NOTICED = 1e-3
"""Mean cosine distance from which on a mistake in the pixels shows in the vectors."""

_STATED = {"resize_shorter_side_px", "filter", "centre_crop_px", "mean", "std"}
_LOW, _HIGH = 16, 240  # a ramp that touches neither black nor white: resizing may overshoot by a little
_SIZES = ((480, 320), (320, 480), (500, 500), (900, 120), (90, 40))


def check_preprocessing(backbone: Backbone, pictures: Pictures, batch_size: int) -> Iterator[Verdict]:
    """The checks of this group; ``batch_size`` pictures at most are embedded, in the right way and in wrong ways."""
    yield _one_size(backbone)
    black, white = (backbone.preprocess(Image.new("RGB", (64, 64), (v, v, v))) for v in (0, 255))
    if not bool((white - black).abs().min() > 0):
        yield verdict("pixels-constant", False, "the pixels do not depend on the picture")
        return
    yield _channel_order(backbone, black, white)
    yield _geometry(backbone)
    samples = list(itertools.islice(pictures, batch_size))
    yield _reference(backbone, samples)
    pixels = torch.stack([backbone.preprocess(image) for image in samples])
    vectors = backbone.embed(pixels)
    bgr = [Image.fromarray(np.ascontiguousarray(np.asarray(image)[..., ::-1])) for image in samples]
    swapped = torch.stack([backbone.preprocess(image) for image in bgr])
    yield _noticed("colours-unseen", vectors, backbone.embed(swapped))
    plain = (pixels - black) / (white - black)
    if bool((plain - pixels).abs().max() < 1e-3):  # this backbone normalises nothing: do so, wrongly
        mean, std = torch.tensor([IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD])[..., None, None]
        plain = (pixels - mean) / std
    yield _noticed("normalisation-unseen", vectors, backbone.embed(plain.contiguous()))


def _one_size(backbone: Backbone) -> Verdict:
    shapes = {tuple(backbone.preprocess(Image.new("RGB", size)).shape) for size in _SIZES}
    return verdict(
        "sizes-differ",
        len(shapes) == 1 and next(iter(shapes))[0] == 3,
        ", ".join("×".join(map(str, shape)) for shape in sorted(shapes)),
        {"shapes": [list(shape) for shape in sorted(shapes)]},
    )


def _channel_order(backbone: Backbone, black: Tensor, white: Tensor) -> Verdict:
    answers = []
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        pixels = backbone.preprocess(Image.new("RGB", (64, 64), colour))
        answers.append(((pixels - black) / (white - black)).mean(dim=(1, 2)))
    matrix = torch.stack(answers)  # [colour, channel]
    seen = " ".join(
        f"{name}→{int(row.argmax())}" for name, row in zip(("red", "green", "blue"), matrix, strict=True)
    )
    passed = bool((matrix - torch.eye(3)).abs().max() < 0.01)
    return verdict("wrong-channel-order", passed, seen, {"colour_to_channel": matrix.tolist()})


@dataclass(frozen=True, slots=True)
class _Window:
    """What a backbone sees of a picture: which part of it, in its pixels; how many of these are one of the input,
    negative where it is mirrored; and by how much what should depend on x depends on y, and the other way round.
    """

    left: float
    right: float
    top: float
    bottom: float
    scale_x: float
    scale_y: float
    crossed: float

    def fault(self, width: int, height: int) -> str | None:
        """What is wrong, if anything: turned, mirrored, off the middle, or squeezed although it is cropped."""
        if self.crossed > 0.05:
            return "turned or transposed"
        if self.scale_x < 0 or self.scale_y < 0:
            return "mirrored"
        if (
            abs(self.left + self.right - width) > 0.02 * width
            or abs(self.top + self.bottom - height) > 0.02 * height
        ):
            return "not from the middle"
        squeezed = abs(self.scale_x / self.scale_y - 1) > 0.03
        cropped = self.right - self.left < 0.98 * width or self.bottom - self.top < 0.98 * height
        if squeezed and cropped:
            return "squeezed, though it is cropped"
        return None


def _geometry(backbone: Backbone) -> Verdict:
    figures, values, faults = [], {}, []
    for width, height in ((480, 320), (320, 480)):
        window = _measure(backbone, width, height)
        fault = window.fault(width, height)
        faults += [f"{width}×{height}: {fault}"] if fault else []
        left, right, top, bottom = map(round, (window.left, window.right, window.top, window.bottom))
        figures.append(f"of {width}×{height} it sees x {left}–{right}, y {top}–{bottom}")
        values[f"{width}x{height}"] = {
            "left": window.left,
            "right": window.right,
            "top": window.top,
            "bottom": window.bottom,
            "aspect": window.scale_x / window.scale_y,
        }
    return verdict("wrong-geometry", not faults, "; ".join([*faults, *figures]), values)


def _measure(backbone: Backbone, width: int, height: int) -> _Window:
    ramp = np.zeros((height, width, 3), dtype=np.uint8)
    ramp[..., 0] = np.rint(np.linspace(_LOW, _HIGH, width))[None, :]
    ramp[..., 1] = np.rint(np.linspace(_LOW, _HIGH, height))[:, None]
    low, high = (backbone.preprocess(Image.new("RGB", (width, height), (v, v, v))) for v in (_LOW, _HIGH))
    found = (backbone.preprocess(Image.fromarray(ramp)) - low) / (high - low)
    x, y = (found[c].double().numpy() * (n - 1) for c, n in ((0, width), (1, height)))
    across_x, down_x = _line(x.mean(axis=0)), _line(x.mean(axis=1))
    across_y, down_y = _line(y.mean(axis=0)), _line(y.mean(axis=1))
    (scale_x, start_x), (scale_y, start_y) = across_x, down_y
    crossed = max(abs(down_x[0]) / max(abs(scale_x), 1e-9), abs(across_y[0]) / max(abs(scale_y), 1e-9))
    # A pixel's value stands for its middle; the part that is seen goes to the outer edges of the first and the last.
    left, top = start_x + 0.5 - scale_x / 2, start_y + 0.5 - scale_y / 2
    rows, columns = x.shape
    return _Window(left, left + scale_x * columns, top, top + scale_y * rows, scale_x, scale_y, crossed)


def _line(values: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and start, from the inner nine tenths: at its edges a filter sees less."""
    inner = len(values) // 20
    at = np.arange(len(values))[inner : len(values) - inner]
    slope, start = np.polyfit(at, values[inner : len(values) - inner], 1)
    return float(slope), float(start)


def _reference(backbone: Backbone, samples: list[Image.Image]) -> Verdict:
    slug = "other-than-reference"
    found = _second_computation(backbone)
    if found is None:
        return verdict(slug, None, "there is none to compare with")
    compute, source = found
    worst = 0.0
    for image in samples:
        given, expected = backbone.preprocess(image), compute(image)
        if given.shape != expected.shape:
            sizes = f"{list(given.shape)}, expected {list(expected.shape)}"
            return verdict(slug, False, f"{sizes} ({source})", {"source": source})
        worst = max(worst, float((given.double() - expected.double()).abs().max()))
    figure = f"differs by {worst:.1e} at most ({source}; limit {TOLERANCE:.0e})"
    values = {"difference": worst, "limit": TOLERANCE, "source": source}
    return verdict(slug, worst <= TOLERANCE, figure, values)


def _second_computation(backbone: Backbone) -> tuple[Callable[[Image.Image], Tensor], str] | None:
    """The pixels by another way than the backbone's own, and what that is; ``None`` where there is none.

    A backbone from a folder in hub layout has the library's processor of that folder; one that states its sizes, mean
    and standard deviation is computed anew from these.
    """
    folder = getattr(backbone, "folder", None)
    if isinstance(folder, Path):
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil", local_files_only=True)
        return (
            lambda image: processor(images=image, return_tensors="pt")["pixel_values"][0],
            f"{type(processor).__name__} of transformers",
        )
    stated = backbone.fingerprint.preprocessing
    if set(stated) == _STATED:
        return partial(_from_numbers, stated), "computed from the numbers that it states"
    return None


def _from_numbers(stated: Mapping[str, Any], image: Image.Image) -> Tensor:
    side, crop = stated["resize_shorter_side_px"], stated["centre_crop_px"]
    resampling = Image.Resampling[stated["filter"].upper()]
    shorter = min(image.size)
    width, height = (max(side, round(length * side / shorter)) for length in image.size)
    scaled = np.asarray(image.resize((width, height), resampling), dtype=np.float64)
    left, top = (width - crop) // 2, (height - crop) // 2
    window = scaled[top : top + crop, left : left + crop] / 255
    return torch.from_numpy(((window - stated["mean"]) / stated["std"]).transpose(2, 0, 1))


def _noticed(slug: str, vectors: Tensor, others: Tensor) -> Verdict:
    distance = float((1 - F.cosine_similarity(vectors.double(), others.double())).mean())
    figure = f"vectors move by a cosine distance of {distance:.4f} (at least {NOTICED:g})"
    values: dict[str, Any] = {"cosine_distance": distance, "limit": NOTICED}
    return verdict(slug, distance >= NOTICED, figure, values)
