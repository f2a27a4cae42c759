"""Shapes: thousands of drawn things in clutter, on which the embedded base model is pre-trained.

Geometric forms, things made of parts and cells, filled, hollow or textured, from five pixels to most of the
picture, over and under each other. Words and looks have nothing in common with the other scenes.

A box is the full extent of an object, clipped to the picture: what others hide of it counts, its shadow does not.
An object is annotated when at least ``scene.SEEN`` of its area can be seen.
"""

from __future__ import annotations

from functools import partial
from random import Random

from argusvl.synthetic.effects import expose
from argusvl.synthetic.writing import DrawnObject, Language, PaintedPicture, PlannedPicture, Scenes
from shapes.composition import compose
from shapes.scene import Plan, paint_plan
from shapes.terms import COLOURS, STATES, TERMS, describe


def _plan(rng: Random, width: int, height: int, language: Language) -> PlannedPicture:
    plan = compose(rng, width, height)
    descriptions = tuple(describe(item.label, language) for item in plan.items)
    return PlannedPicture(descriptions, partial(_paint, plan, language))


def _paint(plan: Plan, language: Language) -> PaintedPicture:
    image, shown = paint_plan(plan)
    objects = tuple(
        DrawnObject(thing.box, describe(thing.item.label, language))
        for thing in sorted(shown, key=lambda thing: (thing.box.y0, thing.box.x0))
    )
    return PaintedPicture(expose(image, plan.exposure), objects, plan.exposure.quality)


def _words(language: Language) -> list[str]:
    """Of all descriptions, of which there are about a thousand."""
    keys = (*STATES, *COLOURS, *(state for states in STATES.values() for state in states))
    return [TERMS[key][language] for key in dict.fromkeys(keys)]


_SCENES = Scenes("shapes", 2, _plan, _words, lambda description: description.split("/"))
generate = _SCENES.generate
