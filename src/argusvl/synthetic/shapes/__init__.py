"""Shapes: thousands of drawn things in clutter, on which the embedded base model is pre-trained.

Geometric forms, things made of parts and cells, filled, hollow or textured, from five pixels to most of the
picture, over and under each other. Words and looks have nothing in common with the other scenes.

A box is the full extent of an object, clipped to the picture: what others hide of it counts, its shadow does not.
An object is annotated when at least ``scene.SEEN`` of its area can be seen.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

from argusvl.synthetic.effects import expose
from argusvl.synthetic.languages import Language, known_language
from argusvl.synthetic.shapes.composition import compose
from argusvl.synthetic.shapes.scene import Plan, paint_plan
from argusvl.synthetic.shapes.terms import COLOURS, STATES, TERMS, describe
from argusvl.synthetic.writing import DrawnObject, PaintedPicture, PlannedPicture, SetRequest, write_set

NAME = "shapes"
VERSION = 2


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
    """Draws a set of shapes; see :func:`~argusvl.synthetic.writing.write_set`.

    There are about a thousand descriptions; the teacher pool shows each of their words.

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
    keys = (*STATES, *COLOURS, *(state for states in STATES.values() for state in states))
    pooled = [TERMS[key][words] for key in dict.fromkeys(keys)]
    write_set(out, request, plan, pooled, shows=_terms, progress=progress)


def _terms(description: str) -> list[str]:
    """What the teacher pool counts as shown: kind, colour and state, each by itself."""
    return description.split("/")


def _plan(rng: Random, width: int, height: int, language: Language) -> PlannedPicture:
    plan = compose(rng, width, height)
    descriptions = tuple(describe(item.label, language) for item in plan.items)
    return PlannedPicture(descriptions, partial(_paint, plan, language))


def _paint(plan: Plan, language: Language) -> PaintedPicture:
    image, shown = paint_plan(plan)
    objects = tuple(
        DrawnObject.at(thing.box, describe(thing.item.label, language))
        for thing in sorted(shown, key=lambda thing: (thing.box.y0, thing.box.x0))
    )
    return PaintedPicture(expose(image, plan.exposure), objects, plan.exposure.quality)
