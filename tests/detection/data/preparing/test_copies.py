"""Copies are found however they were made, and pictures that only look alike are not."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from argusvl.detection.data.preparing.copies import Copies, fingerprint

SIZE = (160, 120)


def scene(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Blobs on a ground with a gradient: like a microscope's field, each its own."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[0 : size[1], 0 : size[0]]
    ground = 190 - 30 * np.hypot(xs / size[0] - 0.5, ys / size[1] - 0.5)
    image = Image.fromarray(np.stack([ground] * 3, axis=-1).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(14):
        x, y, r = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(6, 16)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(rng.integers(60, 170, 3).tolist()))
    return image


def stored(image: Image.Image, quality: int = 92, format_name: str = "JPEG") -> bytes:
    file = io.BytesIO()
    image.save(file, format_name, quality=quality)
    return file.getvalue()


def copies_of(files: Sequence[bytes]) -> Copies:
    pictures = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
    marks = [fingerprint(file, picture) for file, picture in zip(files, pictures, strict=True)]
    return Copies(marks, lambda number: pictures[number])


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "quality 40": lambda image: stored(image, 40),
    "PNG": lambda image: stored(image, format_name="PNG"),
    "90 %": lambda image: stored(image.resize((144, 108), Image.Resampling.BILINEAR)),
    "140 %": lambda image: stored(image.resize((224, 168), Image.Resampling.BICUBIC)),
    "brighter": lambda image: stored(ImageEnhance.Brightness(image).enhance(1.15)),
    "darker": lambda image: stored(ImageEnhance.Brightness(image).enhance(0.7)),
    "flatter": lambda image: stored(ImageEnhance.Contrast(image).enhance(0.7)),
    "grey": lambda image: stored(image.convert("L")),
}

TURNED: dict[str, Callable[[Image.Image], bytes]] = {
    "mirrored": lambda image: stored(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 60),
    "upside down, smaller": lambda image: stored(
        image.transpose(Image.Transpose.ROTATE_180).resize((144, 108))
    ),
    "on its side": lambda image: stored(image.transpose(Image.Transpose.ROTATE_270)),
    "transposed": lambda image: stored(image.transpose(Image.Transpose.TRANSVERSE)),
}


@pytest.fixture(scope="module")
def fields() -> list[bytes]:
    return [stored(scene(seed)) for seed in range(40)]


@pytest.mark.parametrize("change", [*CHANGES, *TURNED])
def test_a_changed_or_turned_copy_is_found_and_nothing_else(change: str, fields: list[bytes]) -> None:
    chosen, make = (3, 17, 31), (CHANGES | TURNED)[change]
    copies = copies_of([*fields, *(make(scene(seed)) for seed in chosen)])
    assert copies.groups == [[seed, 40 + k] for k, seed in enumerate(chosen)]
    assert {copies.likeness(*group) for group in copies.groups} == {"copy" if change in CHANGES else "turned"}


def test_a_symmetric_thing_is_not_its_neighbours_mirror_image() -> None:
    """Two front views of one kind of cabinet, each with lamps of its own."""
    pictures = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        image = Image.new("RGB", SIZE, (90, 90, 96))
        pen = ImageDraw.Draw(image)
        pen.rectangle((20, 10, 140, 110), fill=(40, 42, 48))
        for y in range(15, 105, 12):
            pen.rectangle((26, y, 134, y + 8), fill=(150, 152, 158))
            x = int(rng.integers(30, 126))
            pen.rectangle((x, y, x + 6, y + 8), fill=(20, 160, 60))
        pictures.append(stored(image))
    assert copies_of(pictures).groups == []


def test_equal_files_are_one_group_however_many(fields: list[bytes]) -> None:
    copies = copies_of([*fields[:5], fields[2], fields[2], CHANGES["quality 40"](scene(2))])
    assert copies.groups == [[2, 5, 6, 7]]
    assert [copies.likeness(2, other) for other in (5, 6, 7)] == ["file", "file", "copy"]


def test_two_files_are_enough(fields: list[bytes]) -> None:
    assert copies_of([fields[0], CHANGES["90 %"](scene(0))]).groups == [[0, 1]]
    assert copies_of([fields[0], fields[1]]).groups == []
    assert copies_of([fields[0]]).groups == [] == copies_of([]).groups


def test_a_picture_in_which_one_thing_moved_is_a_view_not_a_copy() -> None:
    changed = scene(0)
    ImageDraw.Draw(changed).ellipse((70, 50, 80, 60), fill=(30, 30, 60))
    copies = copies_of([stored(scene(0)), stored(changed)])
    assert copies.groups == [[0, 1]]
    assert copies.likeness(0, 1) == "view"


def test_plain_pictures_are_not_taken_for_each_other() -> None:
    """Walls of different grey, darker towards the corners, with the noise of a sensor."""
    ys, xs = np.mgrid[-1:1:90j, -1:1:120j]
    files = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        wall = rng.uniform(80, 200) - 25 * (xs**2 + ys**2) + rng.normal(0, 5, xs.shape)
        files.append(stored(Image.fromarray(wall.clip(0, 255).astype(np.uint8))))
    assert copies_of(files).groups == []
    assert copies_of([*files, files[7]]).groups == [[7, 40]]


def test_a_fixed_camera_does_not_make_all_its_pictures_copies() -> None:
    """The same cabinet in every picture; what is on the shelf differs, and one picture is there twice."""
    files = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        image = scene(1000)
        pen = ImageDraw.Draw(image)
        for _ in range(3):
            x, y = rng.uniform(0, 120), rng.uniform(0, 90)
            pen.rectangle((x, y, x + 30, y + 22), fill=tuple(rng.integers(0, 255, 3).tolist()))
        files.append(stored(image))
    again = Image.open(io.BytesIO(files[5]))
    copies = copies_of([*files, stored(again, 60)])
    assert [5, 40] in copies.groups
    assert len(copies.groups) <= 2
