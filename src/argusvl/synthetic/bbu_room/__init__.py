"""The BBU room: cabinets, base-band units of three makers, screws, connectors, baffles, stickers and cables."""

from __future__ import annotations

from functools import partial
from random import Random

from argusvl.synthetic.bbu_room.composition import compose
from argusvl.synthetic.bbu_room.plan import Plan, paint_plan
from argusvl.synthetic.bbu_room.stamp import apply_stamp
from argusvl.synthetic.bbu_room.terms import LABELS, describe
from argusvl.synthetic.effects import expose
from argusvl.synthetic.writing import DrawnObject, Language, PaintedPicture, PlannedPicture, Scenes


def _plan(rng: Random, width: int, height: int, language: Language) -> PlannedPicture:
    plan = compose(rng, width, height)
    descriptions = tuple(describe(label, language) for label in plan.labels())
    return PlannedPicture(descriptions, partial(_paint, plan, language))


def _paint(plan: Plan, language: Language) -> PaintedPicture:
    canvas, painted = paint_plan(plan)
    objects = tuple(
        DrawnObject(found.box, describe(found.label, language))
        for found in sorted(painted, key=lambda p: (p.box.y0, p.box.x0))
    )
    image = expose(canvas.finished(), plan.exposure)
    if plan.stamp is not None:
        image = apply_stamp(image, plan.stamp)
    return PaintedPicture(image, objects, plan.exposure.quality)


_SCENES = Scenes("bbu-room", 3, _plan, lambda language: (describe(label, language) for label in LABELS))
generate = _SCENES.generate
