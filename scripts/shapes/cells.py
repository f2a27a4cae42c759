"""Cells as a microscope shows them: round and irregular, with or without a nucleus; granules and rods.

A cell is drawn in tints and shades of one colour, and is laid on its ground as a stain that lets light through, so
that cells that overlap are darker where they do.
"""

from __future__ import annotations

import itertools
import math

from argusvl.synthetic.canvas import mix, shade
from shapes import outlines
from shapes.look import WHITE, Draw, Look
from shapes.outlines import Outline
from shapes.paint import Paint, mottle
from shapes.sheet import Sheet


def draw_plain_cell(sheet: Sheet, look: Look) -> None:
    """A cell without a nucleus: evenly coloured, or its middle paler or darker."""
    r, rng = look.radius, look.rng
    squeeze = 1.0 if rng.random() < 0.4 else rng.uniform(0.66, 0.98)
    rough = rng.choice((0.02, 0.05, 0.09))
    outer = outlines.blob(rng, 0.93 * r, 0.93 * r * squeeze, rough)
    soft = rng.uniform(0.2, 0.9) if r > 10 else 0.2
    sheet.lay(look.paint(other=shade(look.colour, 0.88), weave=mottle(rng, 0.6 * r, 0.8)), outer, soft=soft)
    rim = shade(look.colour, rng.uniform(0.72, 0.95))
    sheet.trace(look.paint(rim), rng.uniform(0.06, 0.2) * r, outer, atop=True, soft=0.03 * r)
    if look.state != "even":
        size = rng.uniform(0.34, 0.72 if look.state == "pale_centre" else 0.6)
        x, y = rng.uniform(-0.12, 0.12) * r, rng.uniform(-0.12, 0.12) * r * squeeze
        inner = outlines.moved(outlines.blob(rng, size * r, size * r * squeeze, 0.1), x, y)
        blur = rng.uniform(0.04, 0.16) * r
        if look.state == "pale_centre":
            sheet.lay(Paint(mix(look.colour, WHITE, rng.uniform(0.5, 0.92))), inner, atop=True, soft=blur)
            if rng.random() < 0.4:
                edge = look.paint(shade(look.colour, 0.8))
                sheet.trace(edge, 0.07 * r, inner, atop=True, soft=0.03 * r, opacity=0.7)
        else:
            sheet.lay(Paint(shade(look.colour, rng.uniform(0.4, 0.6))), inner, atop=True, soft=blur)
    if rng.random() < 0.25 and r > 12:
        _glint(sheet, look)


def _glint(sheet: Sheet, look: Look) -> None:
    """A bright speck with a dark edge: what a drop of stain or air does."""
    r, rng = look.radius, look.rng
    x, y = rng.uniform(-0.4, 0.4) * r, rng.uniform(-0.35, 0.35) * r
    size = rng.uniform(0.06, 0.17) * r
    spot = outlines.ellipse(x, y, size, size * rng.uniform(0.6, 1.0))
    sheet.trace(Paint(shade(look.colour, 0.5)), 0.06 * r, spot, atop=True, opacity=0.7)
    sheet.lay(Paint(WHITE), spot, atop=True, opacity=0.8, soft=0.3)


def draw_nucleate_cell(sheet: Sheet, look: Look) -> None:
    """A large cell with a dark nucleus in pale plasma: round, in lobes, or bent."""
    r, rng = look.radius, look.rng
    outer = outlines.blob(rng, 0.94 * r, 0.94 * r * rng.uniform(0.82, 1.0), rng.choice((0.02, 0.05, 0.08)))
    plasma = mix(look.colour, rng.choice((WHITE, WHITE, (250, 190, 205))), rng.uniform(0.45, 0.75))
    fine, strength = max(1.0, rng.uniform(0.03, 0.09) * r), rng.uniform(0.2, 0.8)
    grain = mottle(rng, fine, strength, crisp=rng.random() < 0.6)
    sheet.lay(Paint(plasma, mix(look.colour, plasma, 0.3), grain), outer, soft=0.5)
    if rng.random() < 0.6:
        sheet.trace(Paint(mix(look.colour, plasma, 0.4)), 0.05 * r, outer, atop=True, soft=0.4)
    chromatin = Paint(look.colour, shade(look.colour, 0.62), mottle(rng, max(1.5, 0.12 * r), 0.9))
    sheet.lay(chromatin, *_nucleus(look), atop=True, soft=0.3 + 0.015 * r)
    if rng.random() < 0.4:
        grains = []
        for _ in range(rng.randrange(8, 30)):
            angle, at = rng.uniform(0, 2 * math.pi), r * math.sqrt(rng.random())
            size = rng.uniform(0.02, 0.045) * r
            grains.append(outlines.ellipse(at * math.cos(angle), at * math.sin(angle), size, size, 6))
        sheet.lay(look.shade(0.8), *grains, atop=True, opacity=0.8)


def _nucleus(look: Look) -> list[Outline]:
    r, rng = look.radius, look.rng
    x, y = rng.uniform(-0.1, 0.1) * r, rng.uniform(-0.1, 0.1) * r
    if look.state == "round_nucleus":
        size = rng.uniform(0.48, 0.74) * r
        return [outlines.moved(outlines.blob(rng, size, size * rng.uniform(0.85, 1.0), 0.07), x, y)]
    turn = rng.uniform(0, 360)
    if look.state == "bent_nucleus":
        path = outlines.arc(0, 0, rng.uniform(0.34, 0.44) * r, 0, rng.uniform(190, 270), 26)
        return [outlines.moved(outlines.ribbon(path, rng.uniform(0.3, 0.42) * r), x, y, turn)]
    lobes = rng.randrange(2, 6)
    distance = rng.uniform(0.34, 0.46) * r
    step = rng.uniform(300, 340) / lobes if lobes > 2 else 170
    shapes, centres = [], []
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


def draw_granule(sheet: Sheet, look: Look) -> None:
    """A small irregular body, darker inside."""
    r, rng = look.radius, look.rng
    outer = outlines.blob(rng, 0.9 * r, 0.9 * r * rng.uniform(0.65, 1.0), 0.14, waves=4)
    grain = mottle(rng, max(1.2, 0.35 * r), 0.9)
    sheet.lay(look.paint(other=shade(look.colour, 0.7), weave=grain), outer, soft=0.25)
    if r > 5:
        inner = outlines.blob(rng, 0.45 * r, 0.4 * r, 0.2)
        sheet.lay(look.shade(0.7), inner, atop=True, soft=0.12 * r, opacity=0.8)


def draw_rod(sheet: Sheet, look: Look) -> None:
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


CELLS: dict[str, Draw] = {
    "plain_cell": draw_plain_cell,
    "nucleate_cell": draw_nucleate_cell,
    "granule": draw_granule,
    "rod": draw_rod,
}
