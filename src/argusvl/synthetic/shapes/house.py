"""Things from a house: tools, keys, bottles and what one drinks from."""

from __future__ import annotations

import numpy as np

from argusvl.synthetic.shapes import outlines
from argusvl.synthetic.shapes.fasteners import STEEL
from argusvl.synthetic.shapes.look import BLACK, WHITE, Draw, Kind, Look
from argusvl.synthetic.shapes.outlines import Outline
from argusvl.synthetic.shapes.paint import Paint, stripes
from argusvl.synthetic.shapes.sheet import Sheet


def _key(form: str) -> Draw:
    """A key: a bow with a hole, a shaft, a bit with teeth."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        bow = 0.42 * r
        shaft = 0.09 * r
        teeth = [
            outlines.rect(x * r, 0, (x + 0.1) * r, rng.uniform(0.2, 0.36) * r)
            for x in (0.86, 0.66, 0.46)[: rng.choice((2, 3))]
        ]
        head = {
            "round": outlines.ellipse(0, 0, bow, bow),
            "hexagon": outlines.regular(6, bow),
            "square": outlines.regular(4, 1.15 * bow, 45),
        }[form]
        parts = [
            outlines.moved(head, -r + bow, 0),
            outlines.rect(-r + 1.6 * bow, -shaft, 0.98 * r, shaft),
            *teeth,
        ]
        sheet.lay(look.paint(), *parts)
        hole = rng.uniform(0.35, 0.55) * bow
        sheet.cut(outlines.ellipse(-r + bow, 0, hole, hole))

    return draw


def _bottle(build: str, top_is: str) -> Draw:
    """A bottle with a label on it, capped or open."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        w = rng.uniform(0.27, 0.32) * r if build == "slim" else rng.uniform(0.46, 0.54) * r
        neck = rng.uniform(0.34, 0.45) * w
        top = -r if top_is == "open" else -0.8 * r
        shape = outlines.joined(
            [
                outlines.points((-neck, top), (neck, top), (neck, -0.45 * r)),
                outlines.arc(w - 0.3 * w, -0.1 * r, 0.3 * w, -80, 0, 6),
                outlines.points((w, 0.95 * r), (0.85 * w, r), (-0.85 * w, r), (-w, 0.95 * r)),
                outlines.arc(-w + 0.3 * w, -0.1 * r, 0.3 * w, 180, 260, 6),
                outlines.points((-neck, -0.45 * r)),
            ]
        )
        sheet.lay(look.paint(), shape)
        if top_is == "capped":
            cap = rng.choice((BLACK, WHITE, STEEL))
            sheet.lay(look.paint(cap), outlines.rect(-1.25 * neck, -r, 1.25 * neck, -0.72 * r))
        else:
            sheet.lay(
                look.paint(look.contrary), outlines.rect(-0.8 * neck, -r, 0.8 * neck, -0.93 * r), atop=True
            )
        sheet.lay(
            look.tint(0.5), outlines.rect(-0.75 * w, -0.05 * r, -0.55 * w, 0.9 * r), atop=True, opacity=0.6
        )
        if rng.random() < 0.6:
            band = outlines.rect(-w, 0.2 * r, w, rng.uniform(0.5, 0.75) * r)
            lines = stripes(max(3.0, 0.14 * r), 90, 0.4)
            sheet.lay(Paint(WHITE, (120, 120, 124), lines), band, atop=True)

    return draw


def _vessel(profile: tuple[tuple[float, float], ...], *, handle: bool = False, clear: bool = False) -> Draw:
    """What one drinks from, seen a little from above: walls by their profile, a rim, perhaps a handle.

    Args:
        profile: Height (-1: foot, 1: rim) and half width, shares of the radius, upwards.
        handle: Whether it has one.
        clear: Whether one sees through its walls.
    """

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        above = rng.uniform(0.15, 0.35)
        ys = -np.array([t for t, _ in profile]) * (0.94 - 0.5 * above) * r
        half = np.array([w for _, w in profile]) * r
        sides = np.concatenate([np.stack((half, ys), 1), np.stack((-half, ys), 1)[::-1]])
        foot = outlines.ellipse(0, float(ys[0]), float(half[0]), above * float(half[0]))
        rim = outlines.ellipse(0, float(ys[-1]), float(half[-1]), above * float(half[-1]))
        if handle:
            way = rng.choice((-1, 1))
            loop = outlines.arc(0, 0, 0.34 * r, -80, 80, 20) * (way, 1.15) + (way * 0.5 * r, 0)
            sheet.trace(look.shade(0.8), 0.15 * r, loop, closed=False)
        sheet.lay(look.paint(), sides, foot, rim, opacity=0.6 if clear else 1.0)
        strip = outlines.rect(-0.6 * float(half.min()), float(ys[-1]), -0.3 * float(half.min()), float(ys[0]))
        sheet.lay(Paint(WHITE), strip, atop=True, opacity=rng.uniform(0.2, 0.7), soft=0.03 * r)
        sheet.lay(look.tint(0.45) if look.dark else look.shade(0.6), rim, atop=True)
        sheet.trace(look.tint(0.6), 0.04 * r, 0.98 * rim, atop=True)
        if clear:
            sheet.trace(look.shade(0.55), 0.03 * r, sides, atop=True)

    return draw


def _tool(*parts: tuple[str, Outline]) -> Draw:
    """A tool of steel parts and of parts in its colour; the last are on top."""

    def draw(sheet: Sheet, look: Look) -> None:
        r = look.radius
        for what, part in parts:
            if what == "hole":
                sheet.cut(part * r)
            elif what == "steel":
                sheet.lay(look.paint(STEEL), part * r)
                sheet.trace(look.paint((110, 112, 118)), 0.03 * r, part * r, atop=True)
            else:
                sheet.lay(look.paint(), part * r)
                sheet.trace(look.paint(look.contrary), 0.03 * r, part * r, atop=True)

    return draw


def _mirrored(outline: Outline) -> Outline:
    return outline * (1, -1)


_P = outlines.points
_BLADE = _P((-1.0, 0.1), (-0.9, 0.16), (0.1, 0.1), (0.14, -0.04), (0.0, -0.08))
_JAW = _P((0.1, -0.02), (0.5, -0.26), (0.98, -0.08), (1.0, 0.0), (0.5, 0.0))
_GRIP = outlines.ribbon(_P((0.2, 0.1), (-0.1, 0.2), (-0.5, 0.36), (-0.9, 0.34)), 0.18)
_LOOP = outlines.moved(outlines.ellipse(0, 0, 0.32, 0.22), 0.66, -0.26, -20)
_EYE = outlines.moved(outlines.ellipse(0, 0, 0.19, 0.11), 0.66, -0.26, -20)
_TEETH = _P((-0.98, 0.05), *((-0.95 + 0.05 * i, 0.22 if i % 2 else 0.15) for i in range(27)), (0.4, -0.25))

TOOLS: dict[str, Kind] = {
    "hammer": Kind(
        _tool(
            ("own", outlines.rounded(-1.0, -0.09, 0.7, 0.09, 0.06)),
            ("steel", _P((0.6, -0.45), (0.9, -0.45), (0.88, -0.1), (0.92, 0.5), (0.72, 0.5), (0.62, -0.1))),
        ),
        15.0,
        0.6,
    ),
    "wrench": Kind(
        _tool(
            (
                "own",
                outlines.joined(
                    [
                        _P((-0.6, -0.12), (0.55, -0.12)),
                        outlines.arc(0.72, 0, 0.28, 215, 330, 8),
                        _P((0.62, -0.08), (0.62, 0.1)),
                        outlines.arc(0.72, 0, 0.28, 30, 145, 8),
                        _P((0.55, 0.12), (-0.6, 0.12)),
                    ]
                ),
            ),
            ("own", outlines.ellipse(-0.72, 0, 0.27, 0.27)),
            ("hole", outlines.moved(outlines.regular(6, 0.15), -0.72, 0)),
        ),
        14.0,
        0.6,
    ),
    "driver": Kind(
        _tool(
            ("steel", _P((0, -0.06), (0.85, -0.06), (1.0, -0.09), (1.0, 0.09), (0.85, 0.06), (0, 0.06))),
            ("own", outlines.rounded(-1.0, -0.2, 0.0, 0.2, 0.16)),
            ("own", outlines.rounded(-0.85, -0.06, -0.15, 0.06, 0.05)),
        ),
        14.0,
        0.6,
    ),
    "pliers": Kind(
        _tool(
            ("own", _GRIP),
            ("own", _mirrored(_GRIP)),
            ("steel", _JAW),
            ("steel", _mirrored(_JAW)),
            ("steel", outlines.ellipse(0.2, 0, 0.17, 0.17)),
        ),
        15.0,
        0.6,
    ),
    "scissors": Kind(
        _tool(
            ("steel", _BLADE),
            ("steel", _mirrored(_BLADE)),
            ("own", outlines.ribbon(_P((0.0, 0.05), (0.25, -0.08), (0.5, -0.2)), 0.12)),
            ("own", outlines.ribbon(_P((0.0, -0.05), (0.25, 0.08), (0.5, 0.2)), 0.12)),
            ("own", _LOOP),
            ("own", _mirrored(_LOOP)),
            ("hole", _EYE),
            ("hole", _mirrored(_EYE)),
        ),
        16.0,
        0.6,
    ),
    "saw": Kind(
        _tool(
            ("steel", _TEETH),
            ("own", outlines.rounded(0.35, -0.36, 1.0, 0.3, 0.15)),
            ("hole", outlines.rounded(0.52, -0.14, 0.84, 0.1, 0.1)),
        ),
        15.0,
        0.6,
    ),
}

HOUSE: dict[str, Kind] = {
    **{f"{form} key": Kind(_key(form), 13.0, 0.6) for form in ("round", "hexagon", "square")},
    **{
        f"{build} bottle {top}": Kind(_bottle(build, top), 15.0, 0.75, stands=True)
        for build in ("slim", "stout")
        for top in ("capped", "open")
    },
    "mug": Kind(_vessel(((-0.9, 0.5), (1, 0.52)), handle=True), 13.0, sway=8.0, stands=True),
    "glass": Kind(_vessel(((-1, 0.42), (1, 0.56)), clear=True), 13.0, sway=8.0, stands=True),
    "goblet": Kind(
        _vessel(((-1, 0.42), (-0.92, 0.1), (-0.3, 0.07), (-0.1, 0.3), (0.3, 0.5), (1, 0.44))),
        14.0,
        sway=8.0,
        stands=True,
    ),
    "bowl": Kind(_vessel(((-0.55, 0.4), (-0.2, 0.78), (0.45, 0.96))), 13.0, sway=8.0, stands=True),
}
