"""Pictures to verify with: a user's folder, or drawn ones that are the same every time."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from argusvl.core.errors import DataError, ImageError
from argusvl.core.images import read_image_file
from argusvl.recognition.decoding import decode_bytes
from argusvl.recognition.extraction.sources import find_images

DRAWN = 48
_SIZES = ((320, 240), (240, 320), (400, 225), (256, 256), (200, 300), (640, 200))


class Pictures:
    """Pictures that can be gone through again and again; each is decoded anew, as in an extraction.

    Args:
        description: What they are.
        files: Name and content of each; the content is read when it is needed.
    """

    def __init__(self, description: str, files: Sequence[tuple[str, Callable[[], bytes]]]) -> None:
        self.description = description
        self._files = files

    def __iter__(self) -> Iterator[Image.Image]:
        return (decode_bytes(read(), name, "exact", 1) for name, read in self._files)


def drawn_pictures(seed: int = 0, number: int = DRAWN) -> Pictures:
    """Coloured shapes on a coloured ground, in several sizes, most of them not square, kept as JPEG."""
    rng = np.random.default_rng(seed)
    sizes = itertools.islice(itertools.cycle(_SIZES), number)
    files = [(f"drawn picture {n}", partial(bytes, _draw(rng, size))) for n, size in enumerate(sizes)]
    return Pictures(f"{number} drawn pictures, seed {seed}", files)


def folder_pictures(folder: Path, limit: int) -> Pictures:
    """The first pictures of a folder that can be read, at most ``limit``.

    Raises:
        DataError: None of its pictures can be read.
    """
    listing = find_images(folder)
    files: list[tuple[str, Callable[[], bytes]]] = []
    refused: list[str] = []
    for path in listing.paths:
        if len(files) == limit:
            break
        read = partial(read_image_file, listing.root / path)
        try:
            decode_bytes(read(), path, "exact", 1)
        except ImageError as error:
            refused.append(f"{path}: {error.what}")
        else:
            files.append((path, read))
    if not files:
        raise DataError(
            f"none of {len(refused)} pictures can be read, the first: {refused[0]}",
            where=folder,
            remedy="name a folder with pictures, or leave --images out to use drawn ones",
        )
    left_out = f", {len(refused)} that cannot be read left out" if refused else ""
    return Pictures(f"{len(files)} pictures of {folder}{left_out}", files)


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
