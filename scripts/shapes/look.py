"""How one object is drawn: what every kind's drawing function is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from argusvl.synthetic.canvas import Colour, mix, shade
from shapes.paint import Light, Paint, Weave
from shapes.sheet import Sheet

WHITE: Colour = (250, 250, 248)
BLACK: Colour = (18, 18, 20)


@dataclass(frozen=True, slots=True)
class Look:
    """The look of one object: the colour and the state that it is called by, chance for its details, and its light.

    ``radius`` is half of its longest side in pixels. The state is empty for kinds without one; no light: evenly lit.
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
        r, g, b = self.colour
        return 0.3 * r + 0.59 * g + 0.11 * b < 70

    @property
    def contrary(self) -> Colour:
        """A colour for details that stand out against the object's own: a shade of it, or a lighter tone."""
        return mix(self.colour, WHITE, 0.45) if self.dark else shade(self.colour, 0.35)


Draw = Callable[[Sheet, Look], None]
"""Draws an object of a look on a sheet, around the origin."""
