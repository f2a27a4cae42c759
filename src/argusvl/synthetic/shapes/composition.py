"""Composing pictures: what lies where.

Scattered things, rows and grids, heaps, a table seen obliquely, a microscope's field, a panel with fasteners, a
circuit board, one or two huge things with small ones about them, and nothing but clutter. In most pictures the
things are of a few kinds that look alike, so that only a detail tells them apart.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from random import Random

from argusvl.synthetic.canvas import Colour, mix
from argusvl.synthetic.effects import Exposure, random_exposure
from argusvl.synthetic.shapes import grounds
from argusvl.synthetic.shapes.cells import CELLS
from argusvl.synthetic.shapes.characters import SIGNS
from argusvl.synthetic.shapes.circuit import CIRCUIT
from argusvl.synthetic.shapes.devices import DEVICES
from argusvl.synthetic.shapes.draft import Draft, random_style
from argusvl.synthetic.shapes.fasteners import FASTENERS
from argusvl.synthetic.shapes.kinds import KINDS
from argusvl.synthetic.shapes.lens import random_lens
from argusvl.synthetic.shapes.paint import Plane
from argusvl.synthetic.shapes.palette import random_colour, random_ground_colour
from argusvl.synthetic.shapes.scene import Plan
from argusvl.synthetic.shapes.terms import COLOURS, Label
from argusvl.synthetic.shapes.turned import TURNED

_PLAIN = ("pale", "pale", "pale", "even", "even", "deep", "deep", "sickle", "spiky")
_NUCLEATE = tuple(name for name in CELLS if "nucleus" in name or "lobes" in name)
_PANEL_KINDS = (*DEVICES, *SIGNS, "filled disc", "ring")


def compose(rng: Random, width: int, height: int) -> Plan:
    """A random plan; every choice is drawn from ``rng``."""
    kind = rng.choices([kind for kind, _ in _KINDS], [share for _, share in _KINDS])[0]
    draft = Draft(rng, width, height, random_style(rng))
    ground = kind(draft)
    return Plan(
        width=width,
        height=height,
        ground=ground,
        items=tuple(draft.items),
        dust=rng.random() ** 2,
        seed=rng.getrandbits(32),
        exposure=_exposure(rng, draft.unit),
        lens=random_lens(rng, draft.unit),
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
) -> partial[Plane]:
    return partial(
        paint_ground,
        paint=paint,
        width=draft.width,
        height=draft.height,
        colour=colour,
        clutter=clutter,
        cables=cables,
        seed=draft.rng.getrandbits(32),
    )


def paint_ground(
    paint: grounds.Ground, width: int, height: int, colour: Colour, clutter: float, cables: int, seed: int
) -> Plane:
    """A ground with its clutter."""
    rng = Random(seed)
    planes = paint(rng, width, height, colour)
    grounds.add_clutter(planes, rng, clutter)
    grounds.add_cables(planes, rng, cables)
    return planes


def _any_ground(draft: Draft) -> partial[Plane]:
    rng = draft.rng
    paint = rng.choices([g for g, _ in grounds.GROUNDS], [w for _, w in grounds.GROUNDS])[0]
    return _ground(draft, paint, random_ground_colour(rng), rng.random())


def _scattered(draft: Draft) -> partial[Plane]:
    """Things of all sizes anywhere."""
    rng = draft.rng
    count = round(math.exp(rng.uniform(math.log(5) if draft.style.alike else 0, math.log(45))))
    middle = 0.36 * math.sqrt(draft.width * draft.height / max(count, 3))
    sizes = [middle * math.exp(rng.gauss(0, 0.55)) for _ in range(count)]
    # Large ones mostly below small ones, so that both can be seen.
    for radius in sorted(sizes, key=lambda size: -size * rng.uniform(0.5, 2.0)):
        radius = min(radius, 0.42 * min(draft.width, draft.height))
        draft.add(*draft.inside(0.2 * radius), radius)
    return _any_ground(draft)


def _grid(draft: Draft) -> partial[Plane]:
    """One to three grids or rows of like things, turned together."""
    rng, unit = draft.rng, draft.unit
    for _ in range(rng.choice((1, 1, 2, 3))):
        radius = unit * math.exp(rng.uniform(math.log(7), math.log(34)))
        kinds = rng.sample(
            list(draft.style.kinds),
            min(len(draft.style.kinds), rng.choice((2, 4, 6) if draft.style.alike else (1, 1, 2, 4))),
        )
        label = draft.random_label(rng.choice(kinds), radius)
        radius = max(radius, KINDS[label[0]].least)
        same = rng.choice(
            (0, 0, 0, 2) if draft.style.alike else (0, 1, 2)
        )  # nothing, the kind, the whole label
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
                this = (
                    label
                    if same == 2
                    else draft.random_label(label[0] if same else rng.choice(kinds), radius)
                )
                draft.add(px, py, radius, label=this, degrees=own_turn, seed=seed)
    return _any_ground(draft)


def _heaps(draft: Draft) -> partial[Plane]:
    """Things of similar size in heaps, each over others."""
    rng = draft.rng
    for _ in range(rng.choice((1, 2, 2, 3, 4))):
        radius = draft.unit * math.exp(rng.uniform(math.log(9), math.log(42)))
        kinds = rng.sample(list(draft.style.kinds), min(len(draft.style.kinds), rng.choice((2, 3, 4))))
        x, y = draft.inside(0.15 * draft.width)
        count = rng.randrange(3, 16)
        spread = radius * math.sqrt(count) * rng.uniform(0.7, 1.1)
        for _ in range(count):
            size = radius * math.exp(rng.gauss(0, 0.2))
            draft.add(x + rng.gauss(0, spread), y + rng.gauss(0, 0.8 * spread), size, name=rng.choice(kinds))
    return _any_ground(draft)


def _microscope(draft: Draft) -> partial[Plane]:
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
    tone, middle = random_colour(rng, plain, stained=True), rng.choice(_PLAIN)
    radius = unit * math.exp(rng.uniform(math.log(16), math.log(46)))
    room = draft.width * draft.height / (math.pi * radius * radius)
    count = min(46, round(room * rng.uniform(0.2, 1.2)))
    draft.style.stains, draft.style.shadow = True, 0.0
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
        own = middle if rng.random() < 0.75 else rng.choice(_PLAIN)
        shaded = mix(tone, random_colour(rng, plain, stained=True), 0.3)
        draft.add(x, y, radius * rng.uniform(0.8, 1.15), label=(f"{own} cell", plain), colour=shaded)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        size = radius * rng.uniform(1.2, 2.2)
        label: Label = (rng.choice(_NUCLEATE), dark)
        at = rng.randrange(len(draft.items) + 1)
        draft.add(*draft.inside(0.0), size, label=label, colour=random_colour(rng, dark, stained=True))
        draft.items.insert(at, draft.items.pop())
    for _ in range(rng.choice((0, 0, 2, 4, 8, 14))):
        size = radius * rng.uniform(0.16, 0.42)
        colour = random_colour(rng, dark, stained=True)
        draft.add(*draft.inside(0.0), size, label=("granule", dark), colour=colour)
    if rng.random() < 0.2:
        for _ in range(rng.randrange(3, 16)):
            germ = rng.choice(("rod", "pair coccus", "chain coccus"))
            colour = random_colour(rng, dark, stained=True)
            draft.add(*draft.inside(0.0), radius * rng.uniform(0.3, 0.7), label=(germ, dark), colour=colour)
    return _ground(draft, grounds.transmitted, light, rng.choice((0.0, 0.2, 0.5)))


def _panel(draft: Draft) -> partial[Plane]:
    """A panel: fasteners at corners and edges, plates, rows of ports, tags, plugs."""
    rng, unit = draft.rng, draft.unit
    draft.style.turned, draft.style.see_through = rng.random() < 0.2, 0.0
    draft.style.shadow = rng.uniform(0.08, 0.22)
    for _ in range(rng.randrange(2, 9)):
        radius = unit * math.exp(rng.uniform(math.log(18), math.log(80)))
        draft.add(*draft.inside(0.6 * radius), radius, name=rng.choice(_PANEL_KINDS))
    radius = unit * rng.uniform(9, 22)
    metal = rng.choice(("grey", "grey", "yellow", "black", "white", *COLOURS))
    few = rng.sample(list(FASTENERS), rng.choice((1, 2, 3, 4)))
    for _ in range(rng.randrange(3, 22)):
        label: Label = (rng.choice(few), metal)
        draft.add(
            *draft.inside(radius), radius * rng.uniform(0.85, 1.2), label=label, degrees=rng.uniform(0, 360)
        )
    paint = rng.choice(
        (grounds.brushed, grounds.brushed, grounds.plain, grounds.graded, grounds.out_of_focus)
    )
    return _ground(draft, paint, random_ground_colour(rng), rng.random(), rng.choice((0, 0, 1, 2, 4)))


def _huge(draft: Draft) -> partial[Plane]:
    """One or two things that fill most of the picture, and small ones about them."""
    rng = draft.rng
    side = min(draft.width, draft.height)
    for _ in range(rng.choice((1, 1, 2))):
        radius = side * rng.uniform(0.28, 0.48)
        draft.add(*draft.inside(0.35 * side), radius)
    for _ in range(rng.choice((0, 0, 2, 5, 12))):
        draft.add(*draft.inside(), draft.unit * math.exp(rng.uniform(math.log(6), math.log(30))))
    return _any_ground(draft)


def _nothing(draft: Draft) -> partial[Plane]:
    """Clutter alone."""
    rng = draft.rng
    paint = rng.choice((*(g for g, _ in grounds.GROUNDS), grounds.transmitted))
    return _ground(draft, paint, random_ground_colour(rng), 1.0)


def _board(draft: Draft) -> partial[Plane]:
    """A circuit board: parts in rows, upright or lying, on a dark ground with tracks."""
    rng, unit = draft.rng, draft.unit
    draft.style.turned, draft.style.see_through, draft.style.shadow = False, 0.0, rng.uniform(0.0, 0.15)
    draft.style.colours = ("black", "brown", "blue", "white", "yellow", "green", "grey", "red")
    kinds = rng.sample(list(CIRCUIT), rng.randrange(3, 12))
    size = unit * math.exp(rng.uniform(math.log(12), math.log(34)))
    for _ in range(rng.randrange(6, 34)):
        name, radius = rng.choice(kinds), size * math.exp(rng.gauss(0, 0.25))
        x, y = draft.inside(0.0)
        for i in range(rng.choice((1, 1, 1, 2, 4))):
            draft.add(x + 1.7 * i * radius, y, radius, name=name, degrees=rng.choice((0.0, 90.0, 180.0)))
    colour = rng.choice(
        ((24, 84, 52), (18, 60, 40), (24, 48, 104), (30, 30, 34), (120, 30, 34), (60, 110, 60))
    )
    return _ground(draft, grounds.board, colour, rng.choice((0.0, 0.2)))


def _table(draft: Draft) -> partial[Plane]:
    """A table seen obliquely: nearer things are larger and lower, what lies flat is foreshortened."""
    rng = draft.rng
    tilt = rng.uniform(0.4, 0.9)
    draft.style.see_through = 0.0
    draft.style.shadow = rng.uniform(0.1, 0.4)
    if rng.random() < 0.35:
        draft.style.kinds, draft.style.alike = rng.sample(list(TURNED), rng.randrange(2, 13)), True
        if rng.random() < 0.6:  # a set for two
            draft.style.uniform = True
            draft.style.colours = rng.choice(
                (("white", "black"), ("yellow", "brown"), ("white", "brown"), ("orange", "black"))
            )
    count = round(math.exp(rng.uniform(math.log(3), math.log(34))))
    near = draft.unit * min(90.0, 250 / math.sqrt(count)) * rng.uniform(0.6, 1.1)
    far = rng.uniform(0.35, 0.9)  # size at the upper edge over that at the lower one
    places = sorted((draft.inside(0.02 * draft.width) for _ in range(count)), key=lambda place: place[1])
    for x, y in places:
        depth = y / draft.height
        radius = near * (far + (1 - far) * depth) * math.exp(rng.gauss(0, 0.12))
        draft.add(x, y, radius, tilt=tilt)
    pitch = near * rng.uniform(1.2, 3.0)
    ground = partial(grounds.table_top, tilt=tilt, far=far, pitch=pitch) if rng.random() < 0.5 else None
    return (
        _ground(draft, ground, random_ground_colour(rng), 0.4 * rng.random())
        if ground
        else _any_ground(draft)
    )


_KINDS = (
    (_scattered, 0.28),
    (_grid, 0.15),
    (_heaps, 0.1),
    (_table, 0.16),
    (_microscope, 0.08),
    (_panel, 0.08),
    (_board, 0.045),
    (_huge, 0.07),
    (_nothing, 0.03),
)
"""Kinds of pictures with how often each is composed."""
