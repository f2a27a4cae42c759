"""What the things lie on, and what lies about that is nobody's object.

Grounds: plain, graded, cloudy, patterned, brushed, like a photograph out of focus, or what light shines through
under a microscope. Clutter: fine lines, blotches, spots out of focus, dust. None of it has the crisp, thick outline
of a kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from argusvl.synthetic.canvas import Colour, mix, shade, unit_of
from shapes.paint import Plane, Weave, checks, dots, smooth_noise, stripes
from shapes.palette import random_ground_colour

Ground = Callable[[Random, int, int, Colour], Plane]
"""Paints a ground of about a colour: planes ``[3, height, width]`` of 0 to 255."""


def plain(rng: Random, width: int, height: int, colour: Colour) -> Plane:
    """One colour."""
    return np.broadcast_to(_column(colour), (3, height, width)).copy()


def graded(rng: Random, width: int, height: int, colour: Colour) -> Plane:
    """From one colour to another, along a direction or outwards from a point."""
    x, y = _grid(width, height)
    if rng.random() < 0.6:
        angle = rng.uniform(0, 2 * math.pi)
        share = 0.5 + 0.5 * (math.cos(angle) * x + math.sin(angle) * y)
    else:
        share = np.sqrt((x - rng.uniform(-1, 1)) ** 2 + (y - rng.uniform(-1, 1)) ** 2) / 1.6
    return _mixed(colour, _companion(rng, colour, 0.6), np.clip(share, 0, 1))


def cloudy(rng: Random, width: int, height: int, colour: Colour) -> Plane:
    """Blotches of several sizes between two colours: plaster, stone, cloth."""
    generator = np.random.default_rng(rng.getrandbits(32))
    unit = unit_of(width, height)
    field = np.zeros((height, width), dtype=np.float32)
    for size, weight in ((110, 0.5), (36, 0.5), (10, 0.35), (3, rng.uniform(0, 0.4))):
        field = field + weight * smooth_noise(generator, width, height, size * unit)
    return _mixed(colour, _companion(rng, colour, 0.5), np.clip(0.5 + 0.35 * field, 0, 1))


def patterned(rng: Random, width: int, height: int, colour: Colour) -> Plane:
    """A faint pattern: stripes, squares or dots."""
    pitch = unit_of(width, height) * rng.choice((rng.uniform(4, 10), rng.uniform(10, 40)))
    turn = rng.choice((0, 90, rng.uniform(0, 180)))
    striped, dotted = rng.uniform(0.1, 0.5), rng.uniform(0.2, 0.6)
    weaves = (stripes(pitch, turn, striped), checks(pitch, turn), dots(pitch, turn, dotted))
    weave: Weave = rng.choice(weaves)
    u = np.arange(width, dtype=np.float32)[None, :]
    v = np.arange(height, dtype=np.float32)[:, None]
    return _mixed(colour, _companion(rng, colour, rng.uniform(0.08, 0.3)), weave(u, v))


def brushed(rng: Random, width: int, height: int, colour: Colour) -> Plane:
    """Fine streaks along one direction, as on sheet metal or wood, sometimes in panels with joints."""
    generator = np.random.default_rng(rng.getrandbits(32))
    fine = generator.standard_normal((height, max(2, width // 24)), dtype=np.float32)
    coarse = generator.standard_normal((max(2, height // 20), 3), dtype=np.float32)
    field = np.asarray(Image.fromarray(fine).resize((width, height), Image.Resampling.BILINEAR))
    field = field + np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    if rng.random() < 0.5:
        turned = Image.fromarray(field).transpose(Image.Transpose.ROTATE_90)
        field = np.asarray(turned.resize((width, height)))
    companion = _companion(rng, colour, 0.35)
    planes = _mixed(colour, companion, np.clip(0.4 + rng.uniform(0.06, 0.2) * field, 0, 1))
    if rng.random() < 0.5:
        pitch = rng.uniform(0.2, 0.6) * width
        at = rng.uniform(0, pitch)
        while at < width:
            column = int(at)
            planes[:, :, column : column + 2] *= 0.7
            planes[:, :, column + 2 : column + 3] *= 1.15
            at += pitch
    return planes


def out_of_focus(rng: Random, width: int, height: int, colour: Colour) -> Plane:
    """A room or a table top far out of focus: large soft patches of related colours."""
    small = (max(8, width // 7), max(8, height // 7))
    image = Image.new("RGB", small, colour)
    pen = ImageDraw.Draw(image)
    for _ in range(rng.randrange(6, 26)):
        x, y = rng.uniform(-0.1, 1) * small[0], rng.uniform(-0.1, 1) * small[1]
        w, h = rng.uniform(0.05, 0.6) * small[0], rng.uniform(0.05, 0.6) * small[1]
        tone = mix(shade(colour, rng.uniform(0.4, 1.5)), random_ground_colour(rng), rng.uniform(0, 0.5))
        draw = rng.choice((pen.rectangle, pen.ellipse))
        draw((x, y, x + w, y + h), fill=tone)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.8, 4.0)))
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    planes = np.ascontiguousarray(np.asarray(image, dtype=np.float32).transpose(2, 0, 1))
    generator = np.random.default_rng(rng.getrandbits(32))
    return planes * (1 + rng.uniform(0, 0.08) * smooth_noise(generator, width, height, rng.uniform(1.5, 5)))


def natural(rng: Random, width: int, height: int, colour: Colour) -> Plane:
    """Noise with the spectrum of photographs (amplitude falls with frequency), in brightness and in colour."""
    generator = np.random.default_rng(rng.getrandbits(32))
    sizes = [s * unit_of(width, height) for s in (150, 64, 27, 11, 5)]
    light = np.zeros((height, width), dtype=np.float32)
    for i, size in enumerate(sizes):
        light = light + 0.62**i * smooth_noise(generator, width, height, size)
    light = light * rng.uniform(10, 26)
    planes = []
    for channel in colour:
        tone = smooth_noise(generator, width, height, sizes[0])
        tone = tone + 0.5 * smooth_noise(generator, width, height, sizes[2])
        planes.append(channel + light + rng.uniform(2, 14) * tone)
    return np.clip(np.stack(planes), 0, 255)


def transmitted(rng: Random, width: int, height: int, colour: Colour) -> Plane:
    """Bright, even light through glass, uneven towards the edges."""
    generator = np.random.default_rng(rng.getrandbits(32))
    x, y = _grid(width, height)
    fall = 1 - rng.uniform(0, 0.14) * ((x - rng.uniform(-0.5, 0.5)) ** 2 + (y - rng.uniform(-0.5, 0.5)) ** 2)
    film = 1 + 0.02 * smooth_noise(generator, width, height, 60)
    film = film + 0.008 * smooth_noise(generator, width, height, 6)
    return np.clip(_column(colour) * (fall * film), 0, 255)


GROUNDS: tuple[tuple[Ground, float], ...] = (
    (plain, 0.10),
    (graded, 0.16),
    (cloudy, 0.18),
    (patterned, 0.12),
    (brushed, 0.12),
    (out_of_focus, 0.17),
    (natural, 0.15),
)
"""Grounds of ordinary scenes with how often each is taken."""


def add_clutter(planes: Plane, rng: Random, amount: float) -> None:
    """Lays fine lines, blotches and spots out of focus over a ground, which is changed; ``amount``: 0 to 1."""
    _, height, width = planes.shape
    unit = unit_of(width, height)
    for _ in range(_count(rng, 5 * amount)):
        _spots(planes, rng, unit)
    for _ in range(_count(rng, 3 * amount)):
        _lines(planes, rng, unit)


def add_cables(planes: Plane, rng: Random, count: int) -> None:
    """Cables that cross the whole picture, from edge to edge; changes ``planes`` in place."""
    _, height, width = planes.shape
    unit = unit_of(width, height)
    t = np.linspace(0, 1, 24)
    for _ in range(count):
        thick = unit * rng.uniform(2.5, 6.5)
        start, end = rng.uniform(-0.2, 1.2), rng.uniform(-0.2, 1.2)
        across = start + (end - start) * t + rng.uniform(-0.3, 0.3) * np.sin(math.pi * t * rng.choice((1, 2)))
        along = 1.2 * t - 0.1
        x, y = (across * width, along * height) if rng.random() < 0.6 else (along * width, across * height)
        colour = random_ground_colour(rng)
        for share, factor, shift in ((1.0, 0.55, 0.0), (0.7, 1.0, -0.1), (0.2, 1.5, -0.2)):
            mask = Image.new("L", (2 * width, 2 * height))
            path = np.stack((2 * (x + shift * thick), 2 * (y + shift * thick)), axis=1)
            pixels = max(1, round(2 * share * thick))
            ImageDraw.Draw(mask).line(path.ravel().tolist(), fill=255, width=pixels, joint="curve")
            cover = np.asarray(mask.reduce(2), dtype=np.float32) / 255
            planes += cover * (_column(shade(colour, factor)) - planes)


def add_dust(planes: Plane, rng: Random, amount: float) -> None:
    """Tiny faint specks, over everything."""
    _, height, width = planes.shape
    for _ in range(_count(rng, 30 * amount)):
        x, y, size = rng.randrange(width), rng.randrange(height), rng.choice((1, 1, 2))
        planes[:, y : y + size, x : x + size] *= rng.choice((rng.uniform(0.7, 0.9), rng.uniform(1.05, 1.2)))


def _spots(planes: Plane, rng: Random, unit: float) -> None:
    """Soft round patches, lighter or darker or of another colour: things far out of focus, stains."""
    _, height, width = planes.shape
    radius = unit * rng.choice((rng.uniform(6, 16), rng.uniform(16, 70)))
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    x0, y0 = max(0, int(x - 1.3 * radius)), max(0, int(y - 1.3 * radius))
    x1, y1 = min(width, int(x + 1.3 * radius) + 1), min(height, int(y + 1.3 * radius) + 1)
    if x1 <= x0 or y1 <= y0:
        return
    dx = (np.arange(x0, x1, dtype=np.float32) - x)[None, :] / radius
    dy = (np.arange(y0, y1, dtype=np.float32) - y)[:, None] / (radius * rng.uniform(0.6, 1.0))
    softness = rng.uniform(0.5, 1.0)  # the edge is never narrower than a quarter of the radius
    share = np.clip((1.1 - np.sqrt(dx * dx + dy * dy)) / softness, 0, 1) * rng.uniform(0.1, 0.45)
    colour = rng.choice((random_ground_colour(rng), (255, 255, 250), (20, 20, 24)))
    region = planes[:, y0:y1, x0:x1]
    region += share * (_column(colour) - region)


def _lines(planes: Plane, rng: Random, unit: float) -> None:
    """Fine lines: scratches, hairs, wires, ruled paper; one colour at a time."""
    _, height, width = planes.shape
    mask = Image.new("L", (2 * width, 2 * height))
    pen = ImageDraw.Draw(mask)
    stroke = max(1, round(2 * unit * rng.uniform(0.5, 1.6)))
    if rng.random() < 0.25:
        pitch, first = 2 * unit * rng.uniform(14, 60), rng.uniform(0, 60)
        for i in range(math.ceil(2 * height / pitch)):
            pen.line((0, first + i * pitch, 2 * width, first + i * pitch), fill=255, width=stroke)
        if rng.random() < 0.4:
            for i in range(math.ceil(2 * width / pitch)):
                pen.line((first + i * pitch, 0, first + i * pitch, 2 * height), fill=255, width=stroke)
    else:
        for _ in range(rng.randrange(1, 7)):
            x, y = rng.uniform(0, 2 * width), rng.uniform(0, 2 * height)
            angle, turn = rng.uniform(0, 2 * math.pi), rng.choice((0.0, rng.uniform(-0.16, 0.16)))
            step = 2 * unit * rng.uniform(3, 26)
            path = [(x, y)]
            for _ in range(16):
                x, y = x + step * math.cos(angle), y + step * math.sin(angle)
                angle += turn
                path.append((x, y))
            pen.line(path, fill=255, width=stroke)
    share = np.asarray(mask.reduce(2), dtype=np.float32) * (rng.uniform(0.25, 0.9) / 255)
    planes += share * (_column(random_ground_colour(rng)) - planes)


def _count(rng: Random, mean: float) -> int:
    return round(rng.uniform(0, 2 * mean))


def _companion(rng: Random, colour: Colour, distance: float) -> Colour:
    """A second colour of a ground: another shade of it, or some way towards any other."""
    if rng.random() < 0.6:
        return shade(colour, 1 + rng.choice((-1, 1)) * distance)
    return mix(colour, random_ground_colour(rng), min(1.0, 1.5 * distance))


def _mixed(first: Colour, second: Colour, share: Plane) -> Plane:
    return _column(first) + (_column(second) - _column(first)) * share.astype(np.float32)


def _column(colour: Colour) -> Plane:
    return np.array(colour, dtype=np.float32)[:, None, None]


def _grid(width: int, height: int) -> tuple[Plane, Plane]:
    """Coordinates from -1 to 1 to the right and downwards."""
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    return x, y
