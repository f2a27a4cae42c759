"""What is behind a hand: walls, table tops, cloth, clutter; or a part of one of the user's own pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from argusvl.core.errors import DataError
from argusvl.core.images import open_image
from argusvl.synthetic.hands.arrays import Floats, Generator
from argusvl.synthetic.hands.noise import in_plane

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """The pictures of a folder and of those below it, by name.

    Raises:
        DataError: There are none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS)
    if not found:
        what = "there are no pictures" if folder.is_dir() else "no such folder"
        raise DataError(what, where=folder, remedy="name a folder with photographs that show no hands")
    return tuple(found)


def random_background(
    generator: Generator, size: tuple[int, int], pictures: Sequence[Path], skin_srgb: NDArray[np.floating]
) -> Image.Image:
    """A picture to draw a hand on: one of the user's, of which four in five times one is taken, or a drawn one.

    ``skin_srgb`` ``[3]`` is the colour of the hand, which things behind it may have, too.

    Raises:
        DataError: A picture cannot be read.
    """
    # Walls, wood, faces, clothes: on what has the hand's own colour, its outline gets lost.
    near = skin_srgb * generator.uniform(0.7, 1.3) if generator.uniform() < 0.3 else None
    if pictures and generator.uniform() < 0.8:
        chosen = open_image(pictures[int(generator.integers(len(pictures)))], exif="ignore")
        return _part_of(chosen, generator, size, near)
    image = _plain(generator, size, near)
    if generator.uniform() < 0.45:
        image = _table(generator, size, image)
    if generator.uniform() < 0.75:
        _clutter(generator, image, skin_srgb)
    blur = float(generator.choice([0.0, 0.6, 1.5, 4.0], p=[0.25, 0.3, 0.25, 0.2])) * size[0] / 224
    return image.filter(ImageFilter.GaussianBlur(blur)) if blur else image


def _part_of(
    image: Image.Image, generator: Generator, size: tuple[int, int], near: NDArray[np.floating] | None
) -> Image.Image:
    """Any part, mirrored or not, in other light if its middle is to be ``near`` a colour."""
    aspect = size[0] / size[1]
    widest = min(image.width, image.height * aspect)
    width = generator.uniform(0.4, 1.0) * widest
    left = generator.uniform(0, image.width - width)
    top = generator.uniform(0, image.height - width / aspect)
    box = (left, top, left + width, top + width / aspect)
    part = image.convert("RGB").resize(size, Image.Resampling.BILINEAR, box=box)
    if generator.uniform() < 0.5:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if near is None:
        return part
    pixels = np.asarray(part, np.float32)
    return Image.fromarray(np.clip(pixels + (near - pixels.mean((0, 1))), 0, 255).astype(np.uint8))


def _colour(generator: Generator) -> Floats:
    """Levels of sRGB: mostly dull, as in rooms."""
    grey, vivid = generator.uniform(15, 245), generator.uniform(0, 255, 3)
    share = generator.beta(1, 2.5)
    return grey + share * (vivid - grey) + generator.normal(0, 8, 3)


def _plain(
    generator: Generator, size: tuple[int, int], near: NDArray[np.floating] | None = None
) -> Image.Image:
    """Two colours mixed by a slope and by noise, with or without a weave or a grain; the first ``near`` a colour."""
    width, height = size
    first, second = _colour(generator), _colour(generator)
    if near is not None:
        first = near + generator.normal(0, 10, 3)
    if generator.uniform() < 0.5:
        second = first + generator.normal(0, 25, 3)
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    angle = generator.uniform(0, 2 * np.pi)
    along = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
    cells = [2, 5, 11, 31, 83][: generator.integers(1, 6)]
    mix = 0.5 + generator.uniform(0, 0.5) * along
    mix = mix + generator.uniform(0.05, 0.5) * in_plane(generator, size, cells)
    texture = generator.uniform()
    if texture < 0.25:  # planks, blinds, stripes: along a direction, bent a little
        period, bend = generator.uniform(0.04, 0.5), generator.uniform(0, 1.5)
        wave = np.cos((along + 0.1 * bend * mix) * np.float32(2 * np.pi / period))
        mix = mix + generator.uniform(0.05, 0.6) * (np.sign(wave) if generator.uniform() < 0.4 else wave)
    elif texture < 0.35:  # tiles, a check
        step = generator.uniform(0.1, 0.5)
        across = np.float32(np.cos(angle)) * y - np.float32(np.sin(angle)) * x
        mix = mix + generator.uniform(0.1, 0.6) * ((np.floor(along / step) + np.floor(across / step)) % 2)
    mix = np.clip(mix, -0.2, 1.2)
    planes = [np.clip(f + mix * (s - f), 0, 255).astype(np.uint8) for f, s in zip(first, second, strict=True)]
    return Image.merge("RGB", [Image.fromarray(plane) for plane in planes])


def _table(generator: Generator, size: tuple[int, int], wall: Image.Image) -> Image.Image:
    """Another surface below a slanted edge."""
    width, height = size
    mask = Image.new("L", size)
    left, right = generator.uniform(0.1, 0.9, 2) * height
    if abs(left - right) > 0.3 * height and generator.uniform() < 0.7:
        right = left
    ImageDraw.Draw(mask).polygon([(0, left), (width, right), (width, height), (0, height)], fill=255)
    return Image.composite(_plain(generator, size), wall, mask)


def _clutter(generator: Generator, image: Image.Image, skin_srgb: NDArray[np.floating]) -> None:
    """Things of all forms, some of the colour of skin, some of its long shapes."""
    draw, (width, height) = ImageDraw.Draw(image), image.size
    for _ in range(int(generator.integers(2, 16))):
        like_skin = generator.uniform() < 0.15
        colour = skin_srgb + generator.normal(0, 14, 3) if like_skin else _colour(generator)
        fill = tuple(int(v) for v in np.clip(colour, 0, 255))
        x, y = generator.uniform(0, 1, 2) * [width, height]
        extent = np.exp(generator.uniform(np.log(0.04), np.log(0.5))) * width
        kind = generator.integers(4)
        if kind == 0:
            tall = extent * generator.uniform(0.3, 1)
            draw.ellipse((x - extent / 2, y - tall / 2, x + extent / 2, y + tall / 2), fill=fill)
        elif kind == 1:
            corners = int(generator.integers(3, 8))
            angles = np.sort(generator.uniform(0, 2 * np.pi, corners))
            radii = extent * generator.uniform(0.4, 1, corners) / 2
            corners_at = zip(x + radii * np.cos(angles), y + radii * np.sin(angles), strict=True)
            draw.polygon([*corners_at], fill=fill)
        elif kind == 2:
            angle, wide = generator.uniform(0, np.pi), generator.uniform(0.08, 0.6)
            u = np.array([np.cos(angle), np.sin(angle)]) * extent / 2
            v = np.array([-u[1], u[0]]) * wide
            signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
            draw.polygon([tuple(np.array([x, y]) + a * u + b * v) for a, b in signs], fill=fill)
        else:
            ends = generator.normal(0, extent, (int(generator.integers(2, 5)), 2)) + np.array([x, y])
            thick = max(1, int(generator.uniform(0.005, 0.09) * width))
            draw.line([tuple(end) for end in ends], fill=fill, width=thick)
