"""The BBU room: cabinets, base-band units of three makers, screws, connectors, baffles, stickers and cables."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

from argusvl.synthetic.bbu_room.composition import compose
from argusvl.synthetic.bbu_room.plan import Plan, paint_plan
from argusvl.synthetic.bbu_room.stamp import apply_stamp
from argusvl.synthetic.bbu_room.terms import LABELS, describe
from argusvl.synthetic.effects import expose
from argusvl.synthetic.languages import Language, known_language
from argusvl.synthetic.writing import DrawnObject, PaintedPicture, PlannedPicture, SetRequest, write_set

NAME = "bbu-room"
VERSION = 3


def generate(
    out: str | Path,
    *,
    images: int,
    seed: int,
    width: int = 448,
    height: int = 336,
    language: str = "zh",
    progress: bool = False,
) -> None:
    """Draws a BBU-room set; see :func:`~argusvl.synthetic.writing.write_set`.

    Args:
        out: New or empty folder; a folder with this very set is left as it is.
        images: Number of pictures in train, val and test together (8 : 1 : 1).
        seed: The same seed gives the same bytes.
        width: Of every picture, in pixels.
        height: Of every picture, in pixels.
        language: Of the descriptions, ``"zh"`` or ``"en"``.
        progress: Show a progress bar.

    Raises:
        DataError: An argument makes no sense, or ``out`` holds something else.
    """
    words = known_language(language)
    request = SetRequest(NAME, VERSION, images, seed, width, height, language)
    plan = partial(_plan, width=width, height=height, language=words)
    write_set(out, request, plan, [describe(label, words) for label in LABELS], progress=progress)


def _plan(rng: Random, width: int, height: int, language: Language) -> PlannedPicture:
    plan = compose(rng, width, height)
    descriptions = tuple(describe(label, language) for label in plan.labels())
    return PlannedPicture(descriptions, partial(_paint, plan, language))


def _paint(plan: Plan, language: Language) -> PaintedPicture:
    canvas, painted = paint_plan(plan)
    objects = tuple(
        DrawnObject.at(found.box, describe(found.label, language))
        for found in sorted(painted, key=lambda p: (p.box.y0, p.box.x0))
    )
    image = expose(canvas.finished(), plan.exposure)
    if plan.stamp is not None:
        image = apply_stamp(image, plan.stamp)
    return PaintedPicture(image, objects, plan.exposure.quality)
