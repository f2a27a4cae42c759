"""Composing pictures of a BBU room.

Four kinds: a whole cabinet, a close look into one, a wall with ground bars, an empty corner.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from argusvl.synthetic.bbu_room import surroundings
from argusvl.synthetic.bbu_room.placing import cabinet_grounds, route_cables, stickers
from argusvl.synthetic.bbu_room.plan import Draft, Plan, random_view
from argusvl.synthetic.bbu_room.rows import fill_opening, ground_bar
from argusvl.synthetic.bbu_room.stamp import random_stamp
from argusvl.synthetic.canvas import Colour, Pen, Rect, shade, unit_of
from argusvl.synthetic.effects import random_exposure

_SHARED_PICTURES = 0.2
"""Share of pictures that a messenger has compressed once more."""


def compose(rng: Random, width: int, height: int) -> Plan:
    """A random plan; every choice is drawn from ``rng``."""
    kind = rng.choices((_cabinet, _close_look, _ground_wall, _empty_corner), (0.44, 0.32, 0.18, 0.06))[0]
    draft = Draft(
        rng=rng,
        width=width,
        height=height,
        view=random_view(rng, width, height, slant=0.045),
        unit=unit_of(width, height),
        room_for=rng.randrange(6, 13),
    )
    kind(draft)
    amount, seed = rng.randrange(0, 26), rng.getrandbits(32)
    draft.add_above(surroundings.paint_dirt, width=width, height=height, amount=amount, seed=seed)
    exposure = random_exposure(rng, draft.unit)
    if rng.random() < _SHARED_PICTURES:
        exposure = replace(exposure, quality=rng.randrange(45, 75))
    return draft.finish(exposure, random_stamp(rng, draft.unit))


def _cabinet(draft: Draft) -> None:
    """A whole cabinet in its room; its space is an object."""
    rng, w, h, u = draft.rng, draft.width, draft.height, draft.unit
    _room(draft)
    share = rng.uniform(0.62, 0.76)
    post = rng.uniform(20, 44) * u
    left = rng.uniform(0.035 * w + post, w - share * w - 0.035 * w - post)
    opening = Rect(left, rng.uniform(0.04, 0.08) * h, left + share * w, rng.uniform(0.92, 0.96) * h)
    outer = Rect(opening.x0 - post, opening.y0 - 0.12 * h, opening.x1 + post, opening.y1 + 0.12 * h)
    frame, inside = _frame_colours(rng)
    _cabinet_frame(draft, outer, opening, frame, inside, 0.06 * opening.width)
    kinds, plugs = fill_opening(draft, opening, frame, inside, 1.0)
    # The space's outline is the opening's. It is laid under the units again as a bare shape, only to be measured.
    draft.add(_outline, ("space", "vacant" if "opening" in kinds else "full"), area=opening)
    if post > 28 * u:
        for x in (opening.x0 - post / 2, opening.x1 + post / 2):
            if rng.random() < 0.75:
                cabinet_grounds(draft, x, 0.36 * post, rng.choice((1, 1, 2)))
    draft.surfaces += [Rect(outer.x0, 0, opening.x0, h), Rect(opening.x1, 0, outer.x1, h)]
    stickers(draft, rng.choice((0, 1, 1, 2)))
    route_cables(draft, plugs, opening)


def _close_look(draft: Draft) -> None:
    """Two or three units, nearly as wide as the picture."""
    rng, w, h = draft.rng, draft.width, draft.height
    frame, inside = _frame_colours(rng)
    left, right = rng.uniform(0.0, 0.05) * w, rng.uniform(0.95, 1.0) * w
    opening = Rect(left, -0.4 * h, right, 1.4 * h)
    outer = Rect(-0.4 * w, -0.6 * h, 1.4 * w, 1.6 * h)
    _cabinet_frame(draft, outer, opening, frame, inside, 0.06 * w)
    _, plugs = fill_opening(draft, opening, frame, inside, rng.uniform(1.3, 1.75))
    stickers(draft, rng.choice((0, 1, 1, 2)))
    route_cables(draft, plugs, opening)


def _ground_wall(draft: Draft) -> None:
    """Ground bars on a wall or a panel, with the cabinet's own ground terminals on a post at one side."""
    rng, w, h, u = draft.rng, draft.width, draft.height, draft.unit
    _room(draft)
    post_width = rng.uniform(56, 84) * u
    at_left = rng.random() < 0.5
    post = Rect(0.02 * w, -h, 0.02 * w + post_width, 2 * h)
    if not at_left:
        post = Rect(0.98 * w - post_width, -h, 0.98 * w, 2 * h)
    draft.add(_plate, area=post, face=rng.choice(surroundings.METALS))
    field = Rect(post.x1 + 14 * u, 0, 0.97 * w, h) if at_left else Rect(0.03 * w, 0, post.x0 - 14 * u, h)
    y = rng.uniform(0.06, 0.3) * h
    for _ in range(rng.choice((1, 1, 2))):
        height = rng.uniform(70, 96) * u
        ground_bar(draft, Rect(field.x0, y, field.x1, y + height), plate=None)
        y += height + rng.uniform(0.12, 0.24) * h
        if y + 0.2 * h > h:
            break
    cabinet_grounds(draft, post.centre[0], rng.uniform(0.2, 0.25) * post_width, rng.choice((1, 2, 2, 3)))
    draft.surfaces += [field, field, post]
    stickers(draft, rng.choice((0, 1, 2)))


def _empty_corner(draft: Draft) -> None:
    """A closed door, a bare wall: nothing to find, or a sticker."""
    rng, w, h = draft.rng, draft.width, draft.height
    _room(draft)
    if rng.random() < 0.7:
        left = rng.uniform(-0.2, 0.5) * w
        top = rng.uniform(-0.2, 0.1) * h
        area = Rect(left, top, left + rng.uniform(0.4, 0.7) * w, rng.uniform(0.9, 1.2) * h)
        face, seed = rng.choice(surroundings.METALS), rng.getrandbits(32)
        draft.add(surroundings.paint_door, area=area, face=face, seed=seed)
    for _ in range(rng.randrange(0, 5)):
        x, sway = rng.uniform(0, w), rng.uniform(-0.2, 0.2) * w
        path = surroundings.bend((x, -0.2 * h), (x + sway, 0.3 * h), (x - sway, 0.7 * h), (x, 1.2 * h))
        thickness, colour = rng.uniform(3, 7) * draft.unit, rng.choice(surroundings.CABLES)
        draft.add_above(surroundings.paint_cable, path=path, thickness=thickness, colour=colour)
    draft.surfaces.append(Rect(0, 0, w, h))
    stickers(draft, rng.choice((0, 0, 1)))


def _room(draft: Draft) -> None:
    wall, seed = draft.rng.choice(surroundings.WALLS), draft.rng.getrandbits(32)
    draft.add(surroundings.paint_room, width=draft.width, height=draft.height, wall=wall, seed=seed)


def _cabinet_frame(
    draft: Draft, outer: Rect, opening: Rect, frame: Colour, inside: Colour, rail: float
) -> None:
    colours, sides = {"frame": frame, "inside": inside}, {"outer": outer, "opening": opening}
    draft.add(surroundings.paint_cabinet, None, **colours, **sides, rail_width=rail)


def _frame_colours(rng: Random) -> tuple[Colour, Colour]:
    frame = shade(rng.choice(surroundings.METALS), rng.uniform(0.85, 1.1))
    return frame, shade((52, 54, 58), rng.uniform(0.6, 1.2))


def _outline(pen: Pen, area: Rect) -> None:
    """A bare, fully transparent shape: it only gives the extent."""
    pen.rect(*area, (0, 0, 0, 0))


def _plate(pen: Pen, area: Rect, face: Colour) -> None:
    pen.shaded(*area, face, 0.06, steps=6)
    pen.bevel(*area, face, 2.0)
