"""How one object is drawn: what every kind's drawing function is given, and what is known of a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from argusvl.synthetic.canvas import Colour, mix, shade
from argusvl.synthetic.shapes.paint import Light, Paint, Weave
from argusvl.synthetic.shapes.sheet import Sheet
from argusvl.synthetic.shapes.terms import COLOURS

WHITE: Colour = (250, 250, 248)
BLACK: Colour = (18, 18, 20)


@dataclass(frozen=True, slots=True)
class Look:
    """The look of one object.

    Attributes:
        rng: Source of chance for its details.
        radius: Half of its longest side, in pixels.
        colour: The colour that it is called by.
        state: The state that it is called by; empty for kinds without one.
        light: How its surfaces are lit; ``None``: evenly.
    """

    rng: Random
    radius: float
    colour: Colour
    state: str
    light: Light | None

    def paint(self, colour: Colour | None = None, other: Colour = BLACK, weave: Weave | None = None) -> Paint:
        """A surface in this object's light, in its own colour unless another is given."""
        return Paint(self.colour if colour is None else colour, other, weave, self.light)

    def shade(self, factor: float) -> Paint:
        """A surface of a lighter or darker shade of the object's colour."""
        return self.paint(shade(self.colour, factor))

    def tint(self, share: float) -> Paint:
        """A surface of the object's colour with a share of white."""
        return self.paint(mix(self.colour, WHITE, share))

    @property
    def dark(self) -> bool:
        """Whether the object is so dark that details on it must be lighter than itself."""
        return self.brightness < 70

    @property
    def brightness(self) -> float:
        """Of the object's colour as the eye weighs it, 0 to 255."""
        r, g, b = self.colour
        return 0.3 * r + 0.59 * g + 0.11 * b

    @property
    def contrary(self) -> Colour:
        """A colour for details that stand out against the object's own: a shade of it, or a lighter tone."""
        return mix(self.colour, WHITE, 0.45) if self.dark else shade(self.colour, 0.35)

    @property
    def ink(self) -> Colour:
        """Black or white, whichever can be read on the object's colour."""
        return BLACK if self.brightness > 120 else WHITE


Draw = Callable[[Sheet, Look], None]
"""Draws an object of a look on a sheet, around the origin."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a kind beside its name.

    Attributes:
        draw: Draws one.
        least: Half of the longest side in pixels at which it can still be told from its siblings.
        seen: Share of its area that must be in view for it to be told.
        colours: In which it occurs and can be told by its colour.
        states: In which it occurs; none for most.
        sway: How far it may be turned either way, degrees; 180 where no turn makes another kind of it.
        stands: Whether it stands upright on a table that is seen obliquely; others lie flat.
    """

    draw: Draw
    least: float = 15.0
    seen: float = 0.5
    colours: tuple[str, ...] = tuple(COLOURS)
    states: tuple[str, ...] = ()
    sway: float = 180.0
    stands: bool = False
