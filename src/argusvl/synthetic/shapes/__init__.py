"""Shapes: drawn things of hundreds of kinds in clutter, on which the embedded base model is pre-trained.

Forms, characters, cards, emblems, figures, fasteners, parts of circuits, cells and more, from five pixels to most of
the picture, over and under each other; mostly a few kinds at a time that differ in a detail, because telling kinds
apart is what is to be learnt. Words and looks have nothing in common with the other scenes.

A box is the full extent of an object, clipped to the picture: what others hide of it counts, its shadow does not.
An object is annotated when as much of its area can be seen as its kind asks for.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

from PIL import Image

from argusvl.core.images import open_image
from argusvl.synthetic.effects import expose
from argusvl.synthetic.languages import Language, known_language
from argusvl.synthetic.shapes.composition import compose
from argusvl.synthetic.shapes.kinds import FAMILIES, KINDS
from argusvl.synthetic.shapes.lens import add_noise, look_through
from argusvl.synthetic.shapes.scene import Plan, paint_plan
from argusvl.synthetic.shapes.terms import COLOURS, describe, translate
from argusvl.synthetic.writing import (
    DrawnObject,
    PaintedPicture,
    PlannedPicture,
    SetRequest,
    encoded,
    picture_source,
    write_set,
)

NAME = "shapes"
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
    """Draws a set of shapes; see :func:`~argusvl.synthetic.writing.write_set`.

    There are thousands of descriptions; the teacher pool shows every family of kinds, colour and state.

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
    families = _families(words)
    states = (state for kind in KINDS.values() for state in kind.states)
    pooled = [*FAMILIES, *(translate(name, words) for name in dict.fromkeys((*COLOURS, *states)))]
    shows = partial(_shown, families=families)
    write_set(out, request, plan, pooled, shows=shows, progress=progress)


def draw(
    seed: int, index: int, *, width: int = 448, height: int = 336, language: str = "zh"
) -> tuple[Image.Image, tuple[DrawnObject, ...]]:
    """One picture without any file: the very pixels and objects that :func:`generate` writes under this number.

    Args:
        seed: As of a set.
        index: Number of the picture, from 0; it depends on no other.
        width: In pixels.
        height: In pixels.
        language: Of the descriptions, ``"zh"`` or ``"en"``.

    Returns:
        The picture (RGB) and its objects.

    Raises:
        DataError: The language is not known.
    """
    rng = picture_source(NAME, VERSION, seed, "set", index)
    picture = _plan(rng, width, height, known_language(language)).paint()
    image = open_image("a drawn picture", exif="refuse", data=encoded(picture))
    return image, picture.objects


def labels(language: str) -> tuple[str, ...]:
    """Every kind's name: the first segments of all descriptions.

    Raises:
        DataError: The language is not known.
    """
    words = known_language(language)
    return tuple(translate(name, words) for name in KINDS)


def _families(language: Language) -> dict[str, str]:
    """The family of every kind by the kind's name."""
    return {translate(name, language): family for family, (kinds, _) in FAMILIES.items() for name in kinds}


def _shown(description: str, families: dict[str, str]) -> list[str]:
    """What the teacher pool counts as shown: the kind's family, colour and state, each by itself."""
    name, *others = description.split("/")
    return [families[name], *others]


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
    taken = add_noise(expose(look_through(image, plan.lens), plan.exposure), plan.lens)
    return PaintedPicture(taken, objects, plan.exposure.quality)
