"""Cells as a microscope shows them: by the tone of their middle, their outline or their nucleus; granules and germs.

A cell is drawn in tints and shades of one colour, and is laid on its ground as a stain that lets light through, so
that cells that overlap are darker where they do.
"""

from __future__ import annotations

import itertools
import math

from argusvl.synthetic.canvas import mix, shade
from argusvl.synthetic.shapes import outlines
from argusvl.synthetic.shapes.look import WHITE, Draw, Kind, Look
from argusvl.synthetic.shapes.outlines import Outline
from argusvl.synthetic.shapes.paint import Paint, mottle
from argusvl.synthetic.shapes.sheet import Sheet
from argusvl.synthetic.shapes.terms import CHROMATIC


def _plain_cell(middle: str) -> Draw:
    """A cell without a nucleus: evenly coloured, or its middle paler or darker."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        squeeze = 1.0 if rng.random() < 0.4 else rng.uniform(0.66, 0.98)
        rough = rng.choice((0.02, 0.05, 0.09))
        outer = outlines.blob(rng, 0.93 * r, 0.93 * r * squeeze, rough)
        soft = rng.uniform(0.2, 0.9) if r > 10 else 0.2
        sheet.lay(
            look.paint(other=shade(look.colour, 0.88), weave=mottle(rng, 0.6 * r, 0.8)), outer, soft=soft
        )
        rim = shade(look.colour, rng.uniform(0.72, 0.95))
        sheet.trace(look.paint(rim), rng.uniform(0.06, 0.2) * r, outer, atop=True, soft=0.03 * r)
        if middle != "even":
            size = rng.uniform(0.34, 0.72 if middle == "pale" else 0.6)
            x, y = rng.uniform(-0.12, 0.12) * r, rng.uniform(-0.12, 0.12) * r * squeeze
            inner = outlines.moved(outlines.blob(rng, size * r, size * r * squeeze, 0.1), x, y)
            blur = rng.uniform(0.04, 0.16) * r
            if middle == "pale":
                sheet.lay(Paint(mix(look.colour, WHITE, rng.uniform(0.6, 0.92))), inner, atop=True, soft=blur)
                if rng.random() < 0.4:
                    edge = look.paint(shade(look.colour, 0.8))
                    sheet.trace(edge, 0.07 * r, inner, atop=True, soft=0.03 * r, opacity=0.7)
            else:
                sheet.lay(Paint(shade(look.colour, rng.uniform(0.4, 0.6))), inner, atop=True, soft=blur)
        if rng.random() < 0.25 and r > 12:
            _glint(sheet, look)

    return draw


def _glint(sheet: Sheet, look: Look) -> None:
    """A bright speck with a dark edge: what a drop of stain or air does."""
    r, rng = look.radius, look.rng
    x, y = rng.uniform(-0.4, 0.4) * r, rng.uniform(-0.35, 0.35) * r
    size = rng.uniform(0.06, 0.17) * r
    spot = outlines.ellipse(x, y, size, size * rng.uniform(0.6, 1.0))
    sheet.trace(Paint(shade(look.colour, 0.5)), 0.06 * r, spot, atop=True, opacity=0.7)
    sheet.lay(Paint(WHITE), spot, atop=True, opacity=0.8, soft=0.3)


def _nucleate_cell(nucleus: str) -> Draw:
    """A large cell with a dark nucleus in pale plasma: round, in lobes, or bent."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        outer = outlines.blob(
            rng, 0.94 * r, 0.94 * r * rng.uniform(0.82, 1.0), rng.choice((0.02, 0.05, 0.08))
        )
        plasma = mix(look.colour, rng.choice((WHITE, WHITE, (250, 190, 205))), rng.uniform(0.45, 0.75))
        grain = mottle(
            rng, max(1.0, rng.uniform(0.03, 0.09) * r), rng.uniform(0.2, 0.8), crisp=rng.random() < 0.6
        )
        sheet.lay(Paint(plasma, mix(look.colour, plasma, 0.3), grain), outer, soft=0.5)
        if rng.random() < 0.6:
            sheet.trace(Paint(mix(look.colour, plasma, 0.4)), 0.05 * r, outer, atop=True, soft=0.4)
        chromatin = Paint(look.colour, shade(look.colour, 0.62), mottle(rng, max(1.5, 0.12 * r), 0.9))
        sheet.lay(chromatin, *_nucleus(look, nucleus), atop=True, soft=0.3 + 0.015 * r)
        if rng.random() < 0.4:
            count = rng.randrange(8, 30)
            grains = []
            for _ in range(count):
                angle, at, size = (
                    rng.uniform(0, 2 * math.pi),
                    r * math.sqrt(rng.random()),
                    rng.uniform(0.02, 0.045) * r,
                )
                grains.append(outlines.ellipse(at * math.cos(angle), at * math.sin(angle), size, size, 6))
            sheet.lay(look.shade(0.8), *grains, atop=True, opacity=0.8)

    return draw


def _nucleus(look: Look, form: str) -> list[Outline]:
    r, rng = look.radius, look.rng
    x, y = rng.uniform(-0.1, 0.1) * r, rng.uniform(-0.1, 0.1) * r
    if form == "round":
        size = rng.uniform(0.48, 0.74) * r
        return [outlines.moved(outlines.blob(rng, size, size * rng.uniform(0.85, 1.0), 0.07), x, y)]
    turn = rng.uniform(0, 360)
    if form == "bent":
        path = outlines.arc(0, 0, rng.uniform(0.34, 0.44) * r, 0, rng.uniform(190, 270), 26)
        return [outlines.moved(outlines.ribbon(path, rng.uniform(0.3, 0.42) * r), x, y, turn)]
    lobes = int(form)
    distance = rng.uniform(0.34, 0.46) * r
    step = rng.uniform(300, 340) / lobes if lobes > 2 else 170
    shapes = []
    centres = []
    for i in range(lobes):
        angle = math.radians(turn + i * step + rng.uniform(-12, 12))
        centre = (x + distance * math.cos(angle), y + distance * math.sin(angle))
        size = min(rng.uniform(0.24, 0.36), 0.34 if lobes < 4 else 0.27) * r
        lobe = outlines.blob(rng, size, size * rng.uniform(0.65, 0.9), 0.1)
        shapes.append(outlines.moved(lobe, *centre, math.degrees(angle) + 90))
        centres.append(centre)
    for first, second in itertools.pairwise(centres):
        middle = ((first[0] + second[0]) / 2 * 0.96, (first[1] + second[1]) / 2 * 0.96)
        shapes.append(outlines.ribbon(outlines.points(first, middle, second), 0.1 * r))
    return shapes


def _draw_granule(sheet: Sheet, look: Look) -> None:
    """A small irregular body, darker inside."""
    r, rng = look.radius, look.rng
    outer = outlines.blob(rng, 0.9 * r, 0.9 * r * rng.uniform(0.65, 1.0), 0.14, waves=4)
    grain = mottle(rng, max(1.2, 0.35 * r), 0.9)
    sheet.lay(look.paint(other=shade(look.colour, 0.7), weave=grain), outer, soft=0.25)
    if r > 5:
        inner = outlines.blob(rng, 0.45 * r, 0.4 * r, 0.2)
        sheet.lay(look.shade(0.7), inner, atop=True, soft=0.12 * r, opacity=0.8)


def _draw_rod(sheet: Sheet, look: Look) -> None:
    """A rod with round ends, straight or slightly bent; sometimes with cross-walls."""
    r, rng = look.radius, look.rng
    width = rng.uniform(0.42, 0.58) * r
    path = outlines.wave(rng, r - width / 2, rng.uniform(0.0, 0.1) * r)
    sheet.lay(look.shade(0.66), outlines.ribbon(path, width))
    sheet.lay(look.paint(), outlines.ribbon(path, 0.72 * width), atop=True, soft=0.03 * r)
    if rng.random() < 0.3:
        walls = [
            outlines.rect(x * r - 0.03 * r, -0.6 * width - r / 4, x * r + 0.03 * r, 0.6 * width + r / 4)
            for x in rng.choice(((0.0,), (-0.35, 0.35)))
        ]
        sheet.lay(look.shade(0.6), *walls, atop=True)
    elif rng.random() < 0.5:
        sheet.trace(look.tint(0.5), 0.14 * width, path, closed=False, atop=True, soft=0.3)


def _draw_sickle(sheet: Sheet, look: Look) -> None:
    """A cell without a nucleus, bent to a sickle."""
    r, rng = look.radius, look.rng
    shape = outlines.crescent(0.96 * r, rng.uniform(0.62, 0.78))
    sheet.lay(look.paint(other=shade(look.colour, 0.88), weave=mottle(rng, 0.6 * r, 0.8)), shape, soft=0.3)
    sheet.trace(look.shade(0.75), 0.1 * r, shape, atop=True, soft=0.03 * r)


def _draw_spiky(sheet: Sheet, look: Look) -> None:
    """A cell without a nucleus whose edge has short spikes."""
    r, rng = look.radius, look.rng
    shape = outlines.star(rng.choice((9, 10, 11, 12)), 0.96 * r, rng.uniform(0.7, 0.8))
    sheet.lay(look.paint(other=shade(look.colour, 0.85), weave=mottle(rng, 0.6 * r, 0.8)), shape, soft=0.2)
    middle = outlines.ellipse(0, 0, 0.4 * r, 0.4 * r)
    sheet.lay(look.shade(0.75), middle, atop=True, soft=0.14 * r, opacity=0.6)


def _cocci(*places: tuple[float, float], size: float) -> Draw:
    """Round germs that hang together."""

    def draw(sheet: Sheet, look: Look) -> None:
        r = look.radius
        for x, y in places:
            sheet.lay(look.shade(0.66), outlines.ellipse(x * r, y * r, size * r, size * r))
            sheet.lay(
                look.paint(), outlines.ellipse(x * r, y * r, 0.75 * size * r, 0.75 * size * r), atop=True
            )

    return draw


CELLS: dict[str, Kind] = {
    **{
        f"{middle} cell": Kind(_plain_cell(middle), 8.0 if middle == "even" else 10.0, 0.25, CHROMATIC)
        for middle in ("pale", "even", "deep")
    },
    "sickle cell": Kind(_draw_sickle, 10.0, 0.5, CHROMATIC),
    "spiky cell": Kind(_draw_spiky, 12.0, 0.5, CHROMATIC),
    "round nucleus cell": Kind(_nucleate_cell("round"), 14.0, 0.5, CHROMATIC),
    "bent nucleus cell": Kind(_nucleate_cell("bent"), 14.0, 0.6, CHROMATIC),
    **{
        f"lobes {count} cell": Kind(_nucleate_cell(str(count)), 16.0, 0.6, CHROMATIC)
        for count in (2, 3, 4, 5)
    },
    "granule": Kind(_draw_granule, 3.0),
    "rod": Kind(_draw_rod, 7.0),
    "pair coccus": Kind(_cocci((-0.47, 0), (0.47, 0), size=0.5), 5.0, 0.7, CHROMATIC),
    "chain coccus": Kind(
        _cocci((-0.75, 0.06), (-0.26, -0.08), (0.24, 0.02), (0.74, -0.06), size=0.26),
        9.0,
        0.7,
        CHROMATIC,
    ),
}
