"""Composing pictures: what lies where.

Seven kinds: scattered things, rows and grids, heaps, a microscope's field, a panel with fasteners, one or two huge
things with small ones about them, and nothing but clutter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from argusvl.synthetic.canvas import Colour, mix, unit_of
from argusvl.synthetic.effects import Exposure, random_exposure
from shapes import grounds
from shapes.cells import CELLS
from shapes.devices import DEVICES
from shapes.forms import FORMS
from shapes.paint import Plane
from shapes.palette import random_colour, random_ground_colour
from shapes.scene import Item, Plan
from shapes.terms import COLOURS, STATES, Label, allowed_colours

PaintGround = Callable[[], Plane]

MIN_RADIUS_PX: dict[str, float] = {
    **{"granule": 3.0, "disc": 4.5, "square": 5.5, "ring": 6.0, "triangle": 6.5},
    **dict.fromkeys(("ellipse", "rectangle", "rod", "cross"), 7.0),
    **dict.fromkeys(("bar", "plain_cell", "nut", "letter", "digit"), 8.0),
    **dict.fromkeys(("screw", "star", "arrow", "crescent", "hexagon"), 9.0),
    **{"flower": 10.0, "leaf": 11.0, "nucleate_cell": 14.0},
    **dict.fromkeys(("tube", "key", "tag", "bolt", "gear"), 12.0),
}
"""Half of the longest side at which a kind can still be told from the others; 15 where none is given."""

_TEXTURED_MIN_RADIUS_PX = 16.0
_FASTENERS = ("screw", "bolt", "nut")
_PANEL_KINDS = (
    *("plate", "ports", "plug", "tag", "dial", "chip"),
    *("grille", "bracket", "disc", "ring", "letter", "gear"),
)


@dataclass(slots=True)
class Style:
    """What the things of one picture have in common: colours and kinds that may occur, and looks.

    Attributes:
        see_through: Share of the things that something shows through.
        lit: Share of the things that are shaded.
        shadow: Length of the shadows, 0 for none.
    """

    colours: Sequence[str]
    kinds: Sequence[str]
    see_through: float
    lit: float
    shadow: float
    turned: bool


@dataclass(slots=True)
class Draft:
    """A picture in the making, all chance from ``rng``; ``items`` are those so far, from the lowest up."""

    rng: Random
    width: int
    height: int
    style: Style
    items: list[Item] = field(default_factory=list)

    @property
    def unit(self) -> float:
        """Length of a pixel of a 448 × 336 picture, in this picture's pixels."""
        return unit_of(self.width, self.height)

    def add(
        self,
        x: float,
        y: float,
        radius: float,
        *,
        kind: str | None = None,
        label: Label | None = None,
        degrees: float | None = None,
        colour: Colour | None = None,
        seed: int | None = None,
    ) -> None:
        """Adds a thing in the picture's style; what is not given is drawn by chance."""
        rng, style = self.rng, self.style
        if label is None:
            label = self.random_label(kind, radius)
        radius = max(radius, _least_radius(*label))
        lit = rng.random() < style.lit and label[1] not in ("black", "white")
        light = (0.0, 0.0, 0.0)
        if lit:
            light = (rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), rng.choice((0.0, 0.3, -0.15)))
        turn = rng.uniform(0, 360) if style.turned else rng.choice((0.0, 0.0, 90.0)) + rng.uniform(-4, 4)
        self.items.append(
            Item(
                label=label,
                x=x,
                y=y,
                radius=radius,
                degrees=turn if degrees is None else degrees,
                colour=random_colour(rng, label[1]) if colour is None else colour,
                opacity=rng.uniform(0.6, 0.85) if rng.random() < style.see_through else 1.0,
                stain=label[0] in CELLS,
                light=light,
                shadow=0.0 if label[0] in CELLS else style.shadow,
                seed=rng.getrandbits(32) if seed is None else seed,
            )
        )

    def random_label(self, kind: str | None, radius: float) -> Label:
        """A label in the picture's style that can be told at a size."""
        rng = self.rng
        if kind is None:
            fitting = [k for k in self.style.kinds if _least_radius(k) <= radius]
            kind = rng.choice(fitting or self.style.kinds)
        states = [s for s in STATES[kind] if _least_radius(kind, state=s) <= radius] or list(STATES[kind][:1])
        if "filled" in states and rng.random() < 0.3:
            states = ["filled"]
        state = rng.choice(states) if states else None
        allowed = allowed_colours(kind, state)
        colour = rng.choice([c for c in self.style.colours if c in allowed] or allowed)
        return (kind, colour) if state is None else (kind, colour, state)

    def inside(self, margin: float = 0.0) -> tuple[float, float]:
        """A place in the picture; ``margin`` pixels from its edges, or beyond them when negative."""
        return self.rng.uniform(margin, self.width - margin), self.rng.uniform(margin, self.height - margin)


def compose(rng: Random, width: int, height: int) -> Plan:
    """A random plan; every choice is drawn from ``rng``."""
    kinds = (_scattered, _grid, _heaps, _microscope, _panel, _huge, _nothing)
    kind = rng.choices(kinds, (0.27, 0.13, 0.09, 0.25, 0.16, 0.06, 0.04))[0]
    draft = Draft(rng, width, height, _random_style(rng))
    ground = kind(draft)
    dust, seed = rng.random() ** 2, rng.getrandbits(32)
    return Plan(width, height, ground, tuple(draft.items), dust, seed, _exposure(rng, draft.unit))


def _random_style(rng: Random) -> Style:
    kinds = rng.choices(([*FORMS], [*DEVICES], [*FORMS, *DEVICES, *CELLS]), (0.3, 0.25, 0.45))[0]
    if rng.random() < 0.4:
        kinds = rng.sample(kinds, rng.randrange(2, 7))
    return Style(
        colours=COLOURS if rng.random() < 0.7 else rng.sample(COLOURS, rng.randrange(2, 5)),
        kinds=kinds,
        see_through=rng.choice((0.0, 0.0, 0.15, 0.5)),
        lit=rng.choice((0.0, 0.5, 1.0)),
        shadow=rng.choice((0.0, 0.0, rng.uniform(0.05, 0.25))),
        turned=rng.random() < 0.75,
    )


def _exposure(rng: Random, unit: float) -> Exposure:
    """A wider range than a room's: sharper and more blurred, cleaner and harder compressed."""
    taken = random_exposure(rng, unit)
    blur = rng.choice((0.0, rng.uniform(0, 0.7), rng.uniform(0, 1.3))) * unit
    return replace(
        taken,
        gain=rng.uniform(0.8, 1.06),
        haze=taken.haze * rng.random(),
        blur=blur,
        noise=rng.uniform(0.0, 3.0) if rng.random() < 0.6 else rng.uniform(3.0, 10.0),
        quality=rng.randrange(55, 96),
    )


def _ground(
    draft: Draft, paint: grounds.Ground, colour: Colour, clutter: float, cables: int = 0
) -> PaintGround:
    """Paints a ground with its clutter."""
    seed = draft.rng.getrandbits(32)

    def painted() -> Plane:
        rng = Random(seed)
        planes = paint(rng, draft.width, draft.height, colour)
        grounds.add_clutter(planes, rng, clutter)
        grounds.add_cables(planes, rng, cables)
        return planes

    return painted


def _any_ground(draft: Draft) -> PaintGround:
    rng = draft.rng
    paint = rng.choices([g for g, _ in grounds.GROUNDS], [w for _, w in grounds.GROUNDS])[0]
    return _ground(draft, paint, random_ground_colour(rng), rng.random())


def _scattered(draft: Draft) -> PaintGround:
    """Things of all sizes anywhere."""
    rng = draft.rng
    count = round(math.exp(rng.uniform(0, math.log(45))))
    middle = 0.36 * math.sqrt(draft.width * draft.height / max(count, 3))
    sizes = [middle * math.exp(rng.gauss(0, 0.55)) for _ in range(count)]
    # Large ones mostly below small ones, so that both can be seen.
    for radius in sorted(sizes, key=lambda size: -size * rng.uniform(0.5, 2.0)):
        radius = min(radius, 0.42 * min(draft.width, draft.height))
        draft.add(*draft.inside(0.2 * radius), radius)
    return _any_ground(draft)


def _grid(draft: Draft) -> PaintGround:
    """One to three grids or rows of like things, turned together."""
    rng, unit = draft.rng, draft.unit
    for _ in range(rng.choice((1, 1, 2, 3))):
        radius = unit * math.exp(rng.uniform(math.log(7), math.log(34)))
        kinds = rng.sample(list(draft.style.kinds), min(len(draft.style.kinds), rng.choice((1, 1, 2, 4))))
        label = draft.random_label(rng.choice(kinds), radius)
        radius = max(radius, _least_radius(*label))
        same = rng.choice((0, 1, 2))  # nothing, the kind, the whole label
        seed = rng.getrandbits(32) if same == 2 and rng.random() < 0.5 else None  # and every detail
        pitch_x, pitch_y = radius * rng.uniform(2.1, 3.6), radius * rng.uniform(2.1, 3.6)
        columns = rng.randrange(2, max(3, min(11, int(draft.width / pitch_x) + 2)))
        rows = rng.choice((1, 1, 2, 3, 4, 6))
        turn = rng.choice((0.0, rng.uniform(-8, 8), rng.uniform(0, 360)))
        own_turn = turn + rng.choice((0, 0, 90, rng.uniform(0, 360)))
        x, y = draft.inside(0.25 * min(draft.width, draft.height))
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        gaps, jitter = rng.choice((0.0, 0.1, 0.35)), rng.choice((0.0, 0.05, 0.15)) * radius
        for i in range(columns):
            for j in range(rows):
                if rng.random() < gaps:
                    continue
                u, v = (i - (columns - 1) / 2) * pitch_x, (j - (rows - 1) / 2) * pitch_y
                px = x + u * cos - v * sin + rng.uniform(-jitter, jitter)
                py = y + u * sin + v * cos + rng.uniform(-jitter, jitter)
                if not (0 < px < draft.width and 0 < py < draft.height) or len(draft.items) >= 60:
                    continue
                this = label
                if same < 2:
                    this = draft.random_label(label[0] if same else rng.choice(kinds), radius)
                draft.add(px, py, radius, label=this, degrees=own_turn, seed=seed)
    return _any_ground(draft)


def _heaps(draft: Draft) -> PaintGround:
    """Things of similar size in heaps, each over others."""
    rng = draft.rng
    for _ in range(rng.choice((1, 2, 2, 3, 4))):
        radius = draft.unit * math.exp(rng.uniform(math.log(9), math.log(42)))
        kinds = rng.sample(list(draft.style.kinds), min(len(draft.style.kinds), rng.choice((1, 2, 3))))
        x, y = draft.inside(0.15 * draft.width)
        count = rng.randrange(3, 16)
        spread = radius * math.sqrt(count) * rng.uniform(0.7, 1.1)
        for _ in range(count):
            size = radius * math.exp(rng.gauss(0, 0.2))
            draft.add(x + rng.gauss(0, spread), y + rng.gauss(0, 0.8 * spread), size, kind=rng.choice(kinds))
    return _any_ground(draft)


def _microscope(draft: Draft) -> PaintGround:
    """A field of cells: many plain ones, some with a nucleus, granules and rods."""
    rng, unit = draft.rng, draft.unit
    light = rng.choice(((236, 236, 226), (222, 226, 214), (240, 232, 236), (230, 236, 244), (206, 208, 200)))
    plain, dark = rng.choice(
        (
            ("pink", "purple"),
            ("pink", "purple"),
            ("pink", "purple"),
            ("pink", "blue"),
            ("purple", "purple"),
            ("blue", "purple"),
            ("green", "brown"),
            ("orange", "red"),
            (rng.choice(("cyan", "yellow", "red", "brown")), rng.choice(("blue", "green", "purple"))),
        )
    )
    tone, state = random_colour(rng, plain, stained=True), rng.choice(STATES["plain_cell"])
    radius = unit * math.exp(rng.uniform(math.log(16), math.log(46)))
    room = draft.width * draft.height / (math.pi * radius * radius)
    count = min(46, round(room * rng.uniform(0.2, 1.2)))
    draft.style.see_through = rng.choice((0.0, 0.5))
    draft.style.lit = rng.choice((0.0, 0.3))
    draft.style.turned = True
    clumps = [draft.inside(-0.05 * draft.width) for _ in range(rng.randrange(2, 7))]
    clumped = rng.choice((0.0, 0.4, 0.8))
    for _ in range(count):
        x, y = draft.inside(-0.6 * radius)
        if rng.random() < clumped:
            cx, cy = rng.choice(clumps)
            x, y = cx + rng.gauss(0, 2.2 * radius), cy + rng.gauss(0, 2.2 * radius)
        own = state if rng.random() < 0.75 else rng.choice(STATES["plain_cell"])
        shaded = mix(tone, random_colour(rng, plain, stained=True), 0.3)
        draft.add(x, y, radius * rng.uniform(0.8, 1.15), label=("plain_cell", plain, own), colour=shaded)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        size = radius * rng.uniform(1.2, 2.2)
        label: Label = ("nucleate_cell", dark, rng.choice(STATES["nucleate_cell"]))
        at = rng.randrange(len(draft.items) + 1)
        draft.add(*draft.inside(0.0), size, label=label, colour=random_colour(rng, dark, stained=True))
        draft.items.insert(at, draft.items.pop())
    for _ in range(rng.choice((0, 0, 2, 4, 8, 14))):
        size = radius * rng.uniform(0.16, 0.42)
        colour = random_colour(rng, dark, stained=True)
        draft.add(*draft.inside(0.0), size, label=("granule", dark), colour=colour)
    if rng.random() < 0.2:
        for _ in range(rng.randrange(3, 16)):
            colour = random_colour(rng, dark, stained=True)
            draft.add(*draft.inside(0.0), radius * rng.uniform(0.3, 0.7), label=("rod", dark), colour=colour)
    return _ground(draft, grounds.transmitted, light, rng.choice((0.0, 0.2, 0.5)))


def _panel(draft: Draft) -> PaintGround:
    """A panel: fasteners at corners and edges, plates, rows of ports, tags, plugs."""
    rng, unit = draft.rng, draft.unit
    draft.style.turned, draft.style.see_through = rng.random() < 0.2, 0.0
    draft.style.shadow = rng.uniform(0.08, 0.22)
    for _ in range(rng.randrange(2, 9)):
        radius = unit * math.exp(rng.uniform(math.log(18), math.log(80)))
        draft.add(*draft.inside(0.6 * radius), radius, kind=rng.choice(_PANEL_KINDS))
    radius = unit * rng.uniform(9, 22)
    metal = rng.choice(("grey", "grey", "yellow", "black", "white", *COLOURS))
    kind = rng.choice(_FASTENERS)
    for _ in range(rng.randrange(3, 22)):
        if rng.random() < 0.3:
            kind = rng.choice(_FASTENERS)
        states = STATES[kind]
        label: Label = (kind, metal, rng.choice(states)) if states else (kind, metal)
        x, y = draft.inside(radius)
        size = radius * rng.uniform(0.85, 1.2)
        draft.add(x, y, size, label=label, degrees=rng.uniform(0, 360))
    paints = (grounds.brushed, grounds.brushed, grounds.plain, grounds.graded, grounds.out_of_focus)
    paint = rng.choice(paints)
    return _ground(draft, paint, random_ground_colour(rng), rng.random(), rng.choice((0, 0, 1, 2, 4)))


def _huge(draft: Draft) -> PaintGround:
    """One or two things that fill most of the picture, and small ones about them."""
    rng = draft.rng
    side = min(draft.width, draft.height)
    for _ in range(rng.choice((1, 1, 2))):
        radius = side * rng.uniform(0.28, 0.48)
        draft.add(*draft.inside(0.35 * side), radius)
    for _ in range(rng.choice((0, 0, 2, 5, 12))):
        draft.add(*draft.inside(), draft.unit * math.exp(rng.uniform(math.log(6), math.log(30))))
    return _any_ground(draft)


def _nothing(draft: Draft) -> PaintGround:
    """Clutter alone."""
    rng = draft.rng
    paint = rng.choice((*(g for g, _ in grounds.GROUNDS), grounds.transmitted))
    return _ground(draft, paint, random_ground_colour(rng), 1.0)


def _least_radius(kind: str, colour: str = "", state: str = "") -> float:
    """Half of the longest side at which what a label says can be told."""
    least = MIN_RADIUS_PX.get(kind, 15.0)
    if state in ("", "filled", "even"):
        return least
    if state in ("striped", "checked", "dotted", "graded"):
        return max(least, _TEXTURED_MIN_RADIUS_PX)
    return max(least, 10.0)
