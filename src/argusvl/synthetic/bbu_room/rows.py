"""Filling a cabinet: rows of equipment from top to bottom, each with its screws and plugs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argusvl.synthetic.bbu_room import equipment, fasteners, surroundings
from argusvl.synthetic.bbu_room.placing import (
    Plug,
    plug_bounds,
    plug_tail,
    random_hang,
    random_tilt,
    screw_bounds,
    small,
)
from argusvl.synthetic.bbu_room.plan import Draft
from argusvl.synthetic.bbu_room.terms import MAKERS, Label
from argusvl.synthetic.canvas import Colour, Pen, Rect, shade

VISIBLE = 0.6  # a unit of which less is in the picture is not annotated, and no unit is planned there

# Kinds of rows with their heights at 448 × 336, and how often each is drawn.
_ROWS: dict[str, tuple[float, float, float]] = {
    "bbu": (58, 74, 0.34),
    "baffle": (32, 52, 0.16),
    "opening": (34, 62, 0.13),
    "odf": (54, 64, 0.13),
    "ground": (52, 60, 0.09),
    "other": (30, 46, 0.13),
}


def fill_opening(
    draft: Draft, opening: Rect, frame: Colour, inside: Colour, scale: float
) -> tuple[set[str], list[Plug]]:
    """Fills an opening with rows of equipment from top to bottom; returns the kinds of rows and the plugs."""
    rng, u = draft.rng, draft.unit * scale
    kinds: set[str] = set()
    plugs: list[Plug] = []
    # Close looks begin above the picture, at a height that leaves to chance where the rows fall.
    y = opening.y0 + rng.uniform(0, 3) * u if scale == 1 else -rng.uniform(0, 0.25) * draft.height
    if scale > 1:
        _row(draft, "other", Rect(opening.x0, y - 60 * u, opening.x1, y - 2), frame, inside)
    names, weights = list(_ROWS), [row[2] for row in _ROWS.values()]
    while opening.y1 - y > 26 * u and y < draft.height:
        kind = rng.choices(names, weights)[0]
        height = rng.uniform(*_ROWS[kind][:2]) * u
        left_over = opening.y1 - y - height
        if left_over < 0:  # the last row takes what is left
            kind = rng.choice(("other", "baffle", "opening"))
            height = opening.y1 - y - 1
        elif left_over < 26 * u and kind in ("baffle", "opening", "other"):
            height += left_over - 1
        area = Rect(opening.x0, y, opening.x1, y + height)
        if draft.share_in_view(area) < VISIBLE:
            kind = "other"
        kinds.add(kind)
        if kind not in ("opening", "ground"):
            edge = 0.1 * area.width
            draft.surfaces.append(Rect(area.x0 + edge, area.y0, area.x1 - edge, area.y1))
        plugs += _row(draft, kind, area, frame, inside)
        y += height + rng.uniform(1.5, 4) * u
    # A bare gap would look like a place that lacks its baffle.
    if opening.y1 - y > 4 * u and y < draft.height:
        rest = Rect(opening.x0, y, opening.x1, opening.y1)
        _large(draft, rest, None, equipment.paint_filler, face=shade(frame, 0.9))
    return kinds, plugs


def _row(draft: Draft, kind: str, area: Rect, frame: Colour, inside: Colour) -> list[Plug]:
    rng = draft.rng
    seed = rng.getrandbits(32)
    face = shade(rng.choice(surroundings.METALS), rng.uniform(0.85, 1.12))
    if kind == "bbu":
        return _bbu(draft, area, seed)
    if kind == "odf":
        return _odf(draft, area, face, seed)
    if kind == "ground":
        ground_bar(draft, area, plate=face)
        return []
    if kind == "baffle":
        _large(draft, area, ("baffle", "installed"), equipment.paint_baffle, face=face, seed=seed)
    elif kind == "opening":
        look: dict[str, Any] = {"inside": inside, "rail": shade(frame, 0.8), "seed": seed}
        _large(draft, area, ("baffle", "missing"), equipment.paint_opening, **look)
    else:
        _large(draft, area, None, rng.choice(equipment.OTHER_EQUIPMENT), face=face, seed=seed)
    return []


def _large(draft: Draft, area: Rect, label: Label | None, paint: Callable[..., None], **options: Any) -> None:
    """Fills an area with what ``paint(pen, width, height, **options)`` paints around its corner."""

    def paint_there(pen: Pen) -> None:
        paint(pen.at(area.x0, area.y0), area.width, area.height, **options)

    draft.add(paint_there, label)


def _bbu(draft: Draft, area: Rect, seed: int) -> list[Plug]:
    rng, w, h = draft.rng, area.width, area.height
    maker = rng.choice(MAKERS)
    tone = rng.uniform(0.86, 1.12)
    _large(draft, area, ("bbu", maker), equipment.paint_bbu, maker=maker, tone=tone, seed=seed)
    ear = equipment.ear_width(w, h)
    radius = min(0.45 * ear, 0.24 * h)
    metal = shade(rng.choice((fasteners.STEEL, (206, 206, 204), (150, 150, 152))), rng.uniform(0.9, 1.1))
    collar = rng.choice(((46, 46, 50), (120, 122, 126), (80, 82, 88)))
    heights = (0.5,) if h < 4.6 * radius or rng.random() < 0.6 else (0.26, 0.74)
    for x in (area.x0 + ear / 2, area.x1 - ear / 2):
        for share in heights:
            if rng.random() < 0.9:
                tilt = random_tilt(rng)
                label: Label = ("connection", "bbu_screw", "correct" if tilt is None else "loose")
                at, bounds = (x, area.y0 + share * h), screw_bounds(radius, tilt)
                screw: dict[str, Any] = {"radius": radius, "tilt": tilt, "metal": metal, "collar": collar}
                small(draft, at, bounds, label, fasteners.paint_screw, **screw)
    size, ports = equipment.ports_of_bbu(maker, w, h)
    latch = rng.choice(((34, 74, 168), (40, 42, 48), (60, 140, 190)))
    cable = rng.choice(((36, 36, 40), (44, 150, 170), (232, 130, 36)))
    plugs = []
    for x, y in rng.sample(ports, rng.choice((0, 1, 1, 2, 2, 3))):
        hang = random_hang(rng)
        label = ("connection", "cpri", "correct" if hang is None else "unseated")
        at, bounds = (area.x0 + x, area.y0 + y), plug_bounds(size, hang, 1.12)
        if small(draft, at, bounds, label, fasteners.paint_cpri_plug, size=size, tilt=hang, latch=latch):
            plugs.append(Plug(plug_tail(at, size, hang, 1.08), 0.2 * size, cable, draft.taken[-1]))
    return plugs


def _odf(draft: Draft, area: Rect, face: Colour, seed: int) -> list[Plug]:
    rng, w, h = draft.rng, area.width, area.height
    adapter = rng.choice(((40, 142, 84), (38, 92, 176)))
    _large(draft, area, None, equipment.paint_odf, face=face, adapter=adapter, seed=seed)
    size, centres = equipment.adapters_of_odf(w, h)
    plugs = []
    for x, y in rng.sample(centres, rng.choice((1, 2, 2, 3))):
        hang = random_hang(rng)
        label: Label = ("connection", "odf", "correct" if hang is None else "unseated")
        at, bounds = (area.x0 + x, area.y0 + y), plug_bounds(size, hang, 1.1)
        if small(draft, at, bounds, label, fasteners.paint_odf_plug, size=size, tilt=hang, body=adapter):
            plugs.append(Plug(plug_tail(at, size, hang, 1.06), 0.15 * size, (232, 200, 48), draft.taken[-1]))
    return plugs


def ground_bar(draft: Draft, area: Rect, plate: Colour | None) -> None:
    """A copper bar with its bolts and wires; on a wall (``plate`` is ``None``) the wires run down out of view."""
    rng, w, h, u = draft.rng, area.width, area.height, draft.unit
    copper = shade(rng.choice(((196, 118, 66), (184, 128, 74), (208, 142, 88))), rng.uniform(0.9, 1.1))
    seed = rng.getrandbits(32)
    _large(draft, area, None, equipment.paint_ground_bar, plate=plate, copper=copper, seed=seed)
    radius = min(0.215 * h, 19 * u)
    count = rng.choice((2, 3, 4)) if plate is not None else rng.choice((3, 4, 5))
    metal = rng.choice((fasteners.STEEL, fasteners.BRASS, (160, 162, 166)))
    for i in range(count):
        x = area.x0 + w * (0.15 + 0.7 * (i + rng.uniform(-0.2, 0.2)) / max(1, count - 1))
        y = area.y0 + 0.5 * h
        tilt = random_tilt(rng)
        label: Label = ("connection", "ground_bar_screw", "correct" if tilt is None else "loose")
        bounds = screw_bounds(radius, tilt)
        bolt: dict[str, Any] = {"radius": radius, "tilt": tilt, "metal": metal}
        if not small(draft, (x, y), bounds, label, fasteners.paint_ground_bolt, **bolt):
            continue
        end = area.y1 + (1.5 * draft.height if plate is None else 0.0)
        sway = rng.uniform(-0.05, 0.05) * w
        lower, goal = (x + sway, end - 2 * radius), (x + sway, end)
        path = surroundings.bend((x, y + radius), (x, y + 3 * radius), lower, goal)
        if plate is None and draft.is_free(Rect(x - radius, area.y1, x + radius, end), 0):
            draft.add_above(surroundings.paint_ground_wire, path=path, thickness=0.5 * radius)
        draft.add_above(_paint_lug, x=x, y=y, radius=radius)


def _paint_lug(pen: Pen, x: float, y: float, radius: float) -> None:
    """The tongue and sleeve of a wire's lug below a bolt."""
    pen.ellipse(x, y, 1.15 * radius, 1.15 * radius, (178, 180, 182))
    pen.rect(x - 0.45 * radius, y + 0.8 * radius, x + 0.45 * radius, y + 1.9 * radius, (164, 166, 170))
    pen.rect(x - 0.52 * radius, y + 1.5 * radius, x + 0.52 * radius, y + 2.3 * radius, (44, 44, 46))
