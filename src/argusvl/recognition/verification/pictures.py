"""Pictures to verify with: a user's folder, or drawn ones that are the same every time."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from argusvl.core.errors import DataError, ImageError
from argusvl.core.images import read_image_file
from argusvl.recognition.decoding import decode_bytes
from argusvl.recognition.extraction.sources import find_images

DRAWN = 48
_SIZES = ((320, 240), (240, 320), (400, 225), (256, 256), (200, 300), (640, 200))


class Pictures(Protocol):
    """A set of pictures that can be gone through again and again; each is decoded anew, as in an extraction."""

    description: str

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Image.Image]: ...


class DrawnPictures:
    """Coloured shapes on a coloured ground, in several sizes, most of them not square, kept as JPEG.

    Args:
        seed: Of the drawing.
        number: How many.
    """

    def __init__(self, seed: int = 0, number: int = DRAWN) -> None:
        rng = np.random.default_rng(seed)
        self._files = [_draw(rng, size) for size in itertools.islice(itertools.cycle(_SIZES), number)]
        self.description = f"{number} drawn pictures, seed {seed}"

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Image.Image]:
        for number, data in enumerate(self._files):
            yield decode_bytes(data, f"drawn picture {number}", "exact", 1)


class FolderPictures:
    """The first pictures of a folder that can be read.

    Args:
        folder: Searched with what is in it.
        limit: So many are enough.

    Raises:
        DataError: None of its pictures can be read.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        listing = find_images(folder)
        self._files: list[tuple[str, Path]] = []
        refused: list[str] = []
        for path in listing.paths:
            if len(self._files) == limit:
                break
            file = listing.file(path)
            try:
                decode_bytes(read_image_file(file), path, "exact", 1)
            except ImageError as error:
                refused.append(f"{path}: {error.what}")
            else:
                self._files.append((path, file))
        if not self._files:
            raise DataError(
                f"none of {len(refused)} pictures can be read, the first: {refused[0]}",
                where=folder,
                remedy="name a folder with pictures, or leave --images out to use drawn ones",
            )
        self.refused = tuple(refused)
        left_out = f", {len(refused)} that cannot be read left out" if refused else ""
        self.description = f"{len(self._files)} pictures of {folder}{left_out}"

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Image.Image]:
        for path, file in self._files:
            yield decode_bytes(read_image_file(file), path, "exact", 1)


def _draw(rng: np.random.Generator, size: tuple[int, int]) -> bytes:
    width, height = size
    ground = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(ground).resize(size, Image.Resampling.BICUBIC)).copy()
    for _ in range(6):
        left, top = int(rng.integers(0, width - 20)), int(rng.integers(0, height - 20))
        right, bottom = left + int(rng.integers(10, width // 2)), top + int(rng.integers(10, height // 2))
        pixels[top:bottom, left:right] = rng.integers(0, 256, 3, dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=92)
    return stream.getvalue()
