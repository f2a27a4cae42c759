"""A picture in the making: its things so far, and the style that they have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from argusvl.synthetic.canvas import Colour
from argusvl.synthetic.shapes.kinds import KINDS, any_family, any_siblings
from argusvl.synthetic.shapes.palette import random_colour
from argusvl.synthetic.shapes.scene import Item
from argusvl.synthetic.shapes.terms import COLOURS, Label


@dataclass(slots=True)
class Style:
    """What the things of one picture have in common.

    Attributes:
        colours: That may occur.
        kinds: That may occur.
        see_through: Share of the things that let something through.
        lit: Share of the things that are shaded.
        shadow: Length of the shadows, 0 for none.
        turned: Whether things are turned at random.
        alike: Whether its kinds look alike: then all of them occur, none smaller than it can be told.
        uniform: Whether all things of a colour have one tone, and all of a kind the same details, as if of one set.
        seed: Of the details that they share.
        stains: Whether its things are stains under a microscope.
        tones: The tone of every colour, as far as chosen.
    """

    colours: Sequence[str]
    kinds: Sequence[str]
    see_through: float
    lit: float
    shadow: float
    turned: bool
    alike: bool
    uniform: bool
    seed: int
    stains: bool = False
    tones: dict[str, Colour] = field(default_factory=dict)


def random_style(rng: Random) -> Style:
    """A style: in most pictures of a few kinds that look alike, else of a family or of any kinds."""
    what = rng.choices(("siblings", "family", "all"), (0.6, 0.15, 0.25))[0]
    if what == "siblings":
        kinds = any_siblings(rng, 7)
    elif what == "family":
        kinds = list(any_family(rng))
    else:
        kinds = [rng.choice(list(any_family(rng))) for _ in range(24)]
    few = 0.65 if what == "siblings" else 0.3
    return Style(
        colours=rng.sample(list(COLOURS), rng.randrange(1, 4)) if rng.random() < few else tuple(COLOURS),
        kinds=kinds,
        see_through=rng.choice((0.0, 0.0, 0.0, 0.15, 0.5)),
        lit=rng.choice((0.0, 0.5, 1.0)),
        shadow=rng.choice((0.0, rng.uniform(0.05, 0.25), rng.uniform(0.05, 0.35))),
        turned=rng.random() < 0.7,
        alike=what == "siblings",
        uniform=rng.random() < (0.6 if what == "siblings" else 0.1),
        seed=rng.getrandbits(32),
    )


@dataclass(slots=True)
class Draft:
    """A picture in the making.

    Attributes:
        rng: Source of all chance.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        style: Of its things.
        items: So far, from the lowest up.
    """

    rng: Random
    width: int
    height: int
    style: Style
    items: list[Item] = field(default_factory=list)

    @property
    def unit(self) -> float:
        """Length of a pixel of a 448 × 336 picture, in this picture's pixels."""
        return math.sqrt(self.width * self.height / (448 * 336))

    def add(
        self,
        x: float,
        y: float,
        radius: float,
        *,
        name: str | None = None,
        tilt: float = 1.0,
        label: Label | None = None,
        degrees: float | None = None,
        colour: Colour | None = None,
        seed: int | None = None,
    ) -> None:
        """Adds a thing in the picture's style; what is not given is drawn by chance."""
        rng, style = self.rng, self.style
        if label is None:
            label = self.random_label(name, radius)
        kind = KINDS[label[0]]
        if kind.stands:
            tilt = 1.0
        radius = max(radius, kind.least / tilt)
        lit = rng.random() < style.lit and label[1] not in ("black", "white")
        light = (
            (rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), rng.choice((0.0, 0.3, -0.15)))
            if lit
            else (0, 0, 0)
        )
        if degrees is None:
            degrees = (
                rng.uniform(0, 360) if style.turned else rng.choice((0.0, 0.0, 90.0)) + rng.uniform(-4, 4)
            )
        if kind.sway < 180:
            degrees = rng.uniform(-1, 1) * min(kind.sway, 180.0 if style.turned else 6.0)
        if colour is None:
            near = style.tones.setdefault(label[1], random_colour(rng, label[1]))
            colour = near if style.uniform else random_colour(rng, label[1])
        self.items.append(
            Item(
                label=label,
                x=x,
                y=y,
                radius=radius,
                degrees=degrees,
                tilt=tilt,
                colour=colour,
                opacity=rng.uniform(0.6, 0.85) if rng.random() < style.see_through else 1.0,
                stain=style.stains,
                light=light,
                shadow=style.shadow,
                seed=(style.seed if style.uniform else rng.getrandbits(32)) if seed is None else seed,
            )
        )

    def random_label(self, name: str | None, radius: float) -> Label:
        """A label in the picture's style; of a kind that can be told at a size, if the style has any."""
        rng = self.rng
        if name is None:
            fitting = [k for k in self.style.kinds if self.style.alike or KINDS[k].least <= radius]
            name = rng.choice(fitting or self.style.kinds)
        kind = KINDS[name]
        colour = rng.choice([c for c in self.style.colours if c in kind.colours] or kind.colours)
        return (name, colour, rng.choice(kind.states)) if kind.states else (name, colour)

    def inside(self, margin: float = 0.0) -> tuple[float, float]:
        """A place in the picture; ``margin`` pixels from its edges, or beyond them when negative."""
        return self.rng.uniform(margin, self.width - margin), self.rng.uniform(margin, self.height - margin)
