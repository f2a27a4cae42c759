"""A plan of one picture, and painting it: things are laid on a ground one after another.

All chance is spent by seeds in the plan; painting a plan twice gives the same pixels. What is seen of every thing
is known at every moment, and a thing that would leave an earlier one barely recognisable is left out: nothing in a
picture is half an object, and what is annotated can be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from argusvl.synthetic.canvas import Colour, Rect
from argusvl.synthetic.effects import Exposure
from shapes.cells import CELLS
from shapes.devices import DEVICES
from shapes.forms import FORMS
from shapes.grounds import add_dust
from shapes.look import Draw, Look
from shapes.paint import Light, Plane
from shapes.sheet import Sheet
from shapes.terms import Label

KINDS: dict[str, Draw] = {**FORMS, **DEVICES, **CELLS}
"""Every kind with what draws it."""

SEEN = 0.35
"""An object of which at least this share of its area can be seen is annotated."""

SEEN_OF = {
    "plain_cell": 0.25,
    **dict.fromkeys(("plate", "ports", "bracket", "bottle"), 0.75),
    **dict.fromkeys(("bolt", "screw", "nucleate_cell", "letter", "digit", "arrow", "key", "tag"), 0.5),
}
"""Kinds of which another share is asked: more where the kind or state is in how many parts there are or in one of
them, less for plain cells, which are told by any stretch of their edge."""

UNSEEN = 0.08
"""An object of which less than this share can be seen is not annotated; between the two there is none."""

_MIN_SIDE_PX = 4.0
_MIN_CONTRAST = 28.0  # grey levels by which an object changes what it lies on, on average
_STAIN_HIDES = 0.5  # a stained cell dims what is behind it; that much of its opacity counts as hiding
_LONG_SHADOW_RADIUS_PX = 48.0  # things larger than this lie no higher above their ground


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to draw, its centre at ``x``, ``y`` in the picture.

    Attributes:
        radius: Half of its longest side, pixels.
        degrees: How far it is turned, clockwise.
        opacity: 1: nothing shows through.
        stain: Whether it takes light away from what is behind it, as a stained cell does, instead of covering it.
        light: Brightness over its surface: slope to the right, slope downwards, bulge; all in its own frame.
        shadow: Offset of its shadow as a share of its radius; 0: none.
    """

    label: Label
    x: float
    y: float
    radius: float
    degrees: float
    colour: Colour
    opacity: float
    stain: bool
    light: tuple[float, float, float]
    shadow: float
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One picture: what paints its ground ``[3, height, width]``, the items from the lowest up, and how it is taken.

    ``dust`` is the amount of specks over everything, 0 to 1, and ``seed`` theirs.
    """

    width: int
    height: int
    ground: Callable[[], Plane]
    items: tuple[Item, ...]
    dust: float
    seed: int
    exposure: Exposure


@dataclass(slots=True)
class Shown:
    """A thing in a picture being painted.

    Attributes:
        box: Its full extent, clipped to the picture.
        visible: How much of every pixel of ``rows`` and ``columns`` is covered by it and not hidden, 0 to 1.
        area: Its whole area, what is outside of the picture included.
        seen: Share of the area that can be seen.
        needed: The least share at which it can be told what it is.
    """

    item: Item
    box: Rect
    rows: slice
    columns: slice
    visible: Plane
    area: float
    seen: float
    needed: float


def draw_item(item: Item) -> Sheet:
    """The item on a sheet of its own."""
    sheet = Sheet(item.x, item.y, 1.12 * item.radius + 2, item.degrees)
    right, down, bulge = item.light
    light = Light((right, down), bulge, item.radius) if any(item.light) else None
    state = item.label[2] if len(item.label) > 2 else ""
    KINDS[item.label[0]](sheet, Look(Random(item.seed), item.radius, item.colour, state, light))
    return sheet


def paint_plan(plan: Plan) -> tuple[Image.Image, list[Shown]]:
    """The picture without its exposure, and the objects to be annotated, lowest first."""
    planes = plan.ground()
    shown: list[Shown] = []
    for item in plan.items:
        _lay(planes, shown, item)
    add_dust(planes, Random(plan.seed), plan.dust)
    pixels = np.clip(planes + 0.5, 0, 255).astype(np.uint8)
    image = Image.merge("RGB", [Image.fromarray(plane) for plane in pixels])
    return image, [thing for thing in shown if thing.seen >= thing.needed]


def _lay(planes: Plane, shown: list[Shown], item: Item) -> None:
    """Lays one item on the picture, unless that would spoil it."""
    height, width = planes.shape[1:]
    sheet = draw_item(item)
    side = sheet.coverage.shape[0]
    x0, y0 = max(0, sheet.left), max(0, sheet.top)
    x1, y1 = min(width, sheet.left + side), min(height, sheet.top + side)
    box = sheet.extent().clipped(Rect(0.0, 0.0, float(width), float(height)))
    if x1 <= x0 or y1 <= y0 or box.width < _MIN_SIDE_PX or box.height < _MIN_SIDE_PX:
        return
    rows, columns = slice(y0, y1), slice(x0, x1)
    crop = (slice(y0 - sheet.top, y1 - sheet.top), slice(x0 - sheet.left, x1 - sheet.left))
    coverage = sheet.coverage[crop]
    area, inside = float(sheet.coverage.sum()), float(coverage.sum())
    needed = SEEN_OF.get(item.label[0], SEEN)
    passing = 1 - item.opacity * (_STAIN_HIDES if item.stain else 1.0) * coverage
    if inside < needed * area or not _leaves_room(shown, rows, columns, passing):
        return
    ground = planes[:, rows, columns]
    painted = sheet.colour[:, crop[0], crop[1]]
    change = ground * painted / 255 if item.stain else painted.copy()
    change -= ground * coverage
    change *= item.opacity
    if float(np.abs(change).max(axis=0).sum()) < _MIN_CONTRAST * inside:
        return
    for thing in shown:
        _hide(thing, rows, columns, passing)
    if item.shadow:
        _cast_shadow(planes, sheet, item)
        change = item.opacity * (painted - ground * coverage)
    ground += change
    shown.append(Shown(item, box, rows, columns, coverage.copy(), area, inside / area, needed))


def _leaves_room(shown: list[Shown], rows: slice, columns: slice, passing: Plane) -> bool:
    """Whether every thing stays clearly visible, or goes altogether, behind something that lets ``passing`` through."""
    for thing in shown:
        parts = _common(thing, rows, columns)
        if parts is None or thing.seen < UNSEEN:
            continue
        mine, theirs = parts
        part = thing.visible[mine]
        seen = thing.seen - float((part * (1 - passing[theirs])).sum()) / thing.area
        if UNSEEN <= seen < thing.needed:
            return False
    return True


def _hide(thing: Shown, rows: slice, columns: slice, passing: Plane) -> None:
    parts = _common(thing, rows, columns)
    if parts is not None:
        mine, theirs = parts
        thing.visible[mine] *= passing[theirs]
        thing.seen = float(thing.visible.sum()) / thing.area


def _common(
    thing: Shown, rows: slice, columns: slice
) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """The common part of a thing's region and another one, as indices into each."""
    x0, x1 = max(thing.columns.start, columns.start), min(thing.columns.stop, columns.stop)
    y0, y1 = max(thing.rows.start, rows.start), min(thing.rows.stop, rows.stop)
    if x1 <= x0 or y1 <= y0:
        return None

    def within(rows: slice, columns: slice) -> tuple[slice, slice]:
        return slice(y0 - rows.start, y1 - rows.start), slice(x0 - columns.start, x1 - columns.start)

    return within(thing.rows, thing.columns), within(rows, columns)


def _cast_shadow(planes: Plane, sheet: Sheet, item: Item) -> None:
    """Darkens the ground below and to the right of an item; no part of its extent."""
    height, width = planes.shape[1:]
    offset = item.shadow * min(item.radius, _LONG_SHADOW_RADIUS_PX)
    blur = max(0.6, 0.5 * offset)
    margin = int(3 * blur) + 1
    mask = Image.fromarray((sheet.coverage * 255).astype(np.uint8))
    side = mask.width + 2 * margin
    grown = Image.new("L", (side, side))
    grown.paste(mask, (margin, margin))
    soft = np.asarray(grown.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32) * (0.5 / 255)
    left, top = sheet.left - margin + round(0.8 * offset), sheet.top - margin + round(offset)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    if x1 > x0 and y1 > y0:
        planes[:, y0:y1, x0:x1] *= 1 - soft[y0 - top : y1 - top, x0 - left : x1 - left]
