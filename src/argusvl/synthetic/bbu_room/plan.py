"""A plan of one picture: what is painted where, in which order, and what it is called.

All chance is spent while the plan is made; painting a plan twice gives the same pixels. A plan is cheap, so that
pictures can be chosen by what they will show before any of them is painted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from argusvl.synthetic.bbu_room.stamp import Stamp
from argusvl.synthetic.bbu_room.terms import Label
from argusvl.synthetic.canvas import Canvas, Matrix, Pen, Rect, project_rect, quad_to_quad
from argusvl.synthetic.effects import Exposure

Paint = Callable[[Pen], None]

MIN_SIDE_PX = 6.0
"""An object of which less than this is in the picture, in width or height, is not annotated."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something to paint in the plan's plane, and its label when it is an object."""

    paint: Paint
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One picture: parts in the order in which they are painted, how it is taken, and what the camera writes over it.

    ``view`` brings the plane on which the parts stand to pixels of the picture.
    """

    width: int
    height: int
    view: Matrix
    parts: tuple[Part, ...]
    exposure: Exposure
    stamp: Stamp | None

    def labels(self) -> list[Label]:
        """The labels of the objects, in painting order."""
        return [part.label for part in self.parts if part.label is not None]


@dataclass(frozen=True, slots=True)
class Painted:
    """An object of a painted plan: its label and its tight box, clipped to the picture."""

    label: Label
    box: Rect


@dataclass(slots=True)
class Draft:
    """A plan in the making: what is on it, and what is still free.

    Attributes:
        view: The plane → the picture.
        unit: Length of a pixel of a 448 × 336 picture, in this picture's pixels.
        room_for: How many more small objects may be placed.
        large: Surroundings and equipment, painted first.
        cables: Painted over the equipment.
        small: Screws, plugs and stickers, painted last so that no cable hides them.
        taken: Places of the small objects.
        surfaces: Flat faces that a sticker may be stuck on.
    """

    rng: Random
    width: int
    height: int
    view: Matrix
    unit: float
    room_for: int
    large: list[Part] = field(default_factory=list)
    cables: list[Part] = field(default_factory=list)
    small: list[Part] = field(default_factory=list)
    taken: list[Rect] = field(default_factory=list)
    surfaces: list[Rect] = field(default_factory=list)

    def share_in_view(self, bounds: Rect) -> float:
        """Share of a rectangle of the plane that lies in the picture."""
        seen = project_rect(self.view, bounds)
        return seen.clipped(Rect(0, 0, self.width, self.height)).area / seen.area

    def is_free(self, bounds: Rect, margin: float) -> bool:
        """Whether no small object is within ``margin``."""
        grown = bounds.grown(margin)
        return not any(grown.touches(other) for other in self.taken)

    def place(self, bounds: Rect, paint: Paint, label: Label) -> bool:
        """Adds a small object, unless it would leave the picture, touch another, or be one too many."""
        outside = self.share_in_view(bounds.grown(1.5 * self.unit)) < 1
        if self.room_for <= 0 or outside or not self.is_free(bounds, 1.0):
            return False
        self.room_for -= 1
        self.taken.append(bounds)
        self.small.append(Part(paint, label))
        return True

    def add(self, paint: Callable[..., None], label: Label | None = None, **options: Any) -> None:
        """Adds surroundings or equipment, which ``paint(pen, **options)`` paints."""
        self.large.append(Part(partial(paint, **options), label))

    def add_above(self, paint: Callable[..., None], **options: Any) -> None:
        """Adds a cable, or what else lies over the equipment."""
        self.cables.append(Part(partial(paint, **options)))

    def finish(self, exposure: Exposure, stamp: Stamp | None) -> Plan:
        """The plan, with everything in its painting order."""
        parts = (*self.large, *self.cables, *self.small)
        return Plan(self.width, self.height, self.view, parts, exposure, stamp)


def random_view(rng: Random, width: int, height: int, slant: float) -> Matrix:
    """A camera that is not quite level or straight ahead.

    ``slant`` is the largest shift of a corner by perspective, as a fraction of the sides; the roll is in proportion.
    """
    w, h = float(width), float(height)
    keystone_x, keystone_y = rng.uniform(-slant, slant), rng.uniform(-slant, slant)
    roll = rng.uniform(-slant, slant) * 0.6
    zoom = rng.uniform(0.0, 0.03)
    corners = []
    for x, y in ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)):
        sx, sy = 1 - 2 * x, 1 - 2 * y  # +1 at the left and at the top: towards the middle
        dx = sx * (zoom + max(0.0, keystone_x * sy)) - roll * sy * 0.6
        dy = sy * (zoom + max(0.0, keystone_y * sx)) + roll * sx
        corners.append(((x + dx) * w, (y + dy) * h))
    return quad_to_quad([(0, 0), (w, 0), (w, h), (0, h)], corners)


def paint_plan(plan: Plan) -> tuple[Canvas, list[Painted]]:
    """Paints the parts in order and measures the objects; the light is left to ``effects.expose``."""
    canvas = Canvas(plan.width, plan.height)
    pen = Pen(canvas, plan.view)
    frame = Rect(0.0, 0.0, float(plan.width), float(plan.height))
    objects = []
    for part in plan.parts:
        canvas.begin()
        part.paint(pen)
        if part.label is not None:
            box = canvas.extent().clipped(frame)
            if box.width >= MIN_SIDE_PX and box.height >= MIN_SIDE_PX:
                objects.append(Painted(part.label, box))
    return canvas, objects
