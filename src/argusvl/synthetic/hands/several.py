"""Several hands in a picture, small and large, or none: what a detector learns to find hands from.

Each is drawn before what is there already. Its box is that of the hand without its forearm, in the picture. Left and
right are one kind: a detector that was told did not learn them apart, and the model of joints tells them better.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from argusvl.synthetic.effects import expose, random_exposure
from argusvl.synthetic.hands.arrays import Generator
from argusvl.synthetic.hands.backgrounds import pictures_in, random_background
from argusvl.synthetic.hands.camera import project
from argusvl.synthetic.hands.rendering import render, silhouette
from argusvl.synthetic.hands.scene import Scene, box_of, random_scene
from argusvl.synthetic.writing import DrawnObject, Language, PaintedPicture, PlannedPicture, Scenes

WORDS: dict[Language, str] = {"en": "hand", "zh": "手"}
_HOW_MANY = (0.14, 0.4, 0.32, 0.14)
"""Shares of pictures with none, one, two and three hands."""
_SMALLEST_PX = 64.0  # of the window that a hand is placed in; the hand takes 0.4 of it or more
_SHOWN = 0.6  # of a hand's joints, inside the picture
_HIDDEN = 0.3  # at most, of a hand's joints, by hands and arms before it
_TRIES = 8


def generate(
    out: str | Path,
    *,
    images: int,
    seed: int,
    width: int = 384,
    height: int = 320,
    language: str = "en",
    backgrounds: str | Path | None = None,
    progress: bool = False,
) -> None:
    """Draws a set for detection, as :meth:`argusvl.synthetic.writing.Scenes.generate` has it.

    ``backgrounds`` is a folder with photographs that show no hands, for four of five pictures; none: all are drawn.

    Raises:
        DataError: An argument makes no sense, ``out`` holds something else, or ``backgrounds`` holds no pictures.
        ArgusError: The folder cannot be written.
    """
    pictures = () if backgrounds is None else pictures_in(Path(backgrounds))
    plan = partial(_plan, pictures=pictures)
    scenes = Scenes("hand-scenes", 1, plan, lambda language: [WORDS[language]])
    asked: dict[str, Any] = {"images": images, "seed": seed, "width": width, "height": height}
    asked |= {"language": language, "backgrounds": len(pictures) or None, "progress": progress}
    scenes.generate(out, **asked)


def _plan(
    rng: Random, width: int, height: int, language: Language, *, pictures: Sequence[Path]
) -> PlannedPicture:
    # Two sources: what there is stays, whatever is changed about how it looks.
    geometry, looks = (rng.getrandbits(128) for _ in range(2))
    hands = _hands(np.random.default_rng(geometry), (width, height))
    exposure = random_exposure(Random(rng.getrandbits(128)), max(width, height) / 448)
    word = WORDS[language]

    def paint() -> PaintedPicture:
        chance = np.random.default_rng(looks)
        image = random_background(chance, (width, height), pictures, chance.uniform(40, 230, 3))
        for hand in hands:
            image = render(hand, chance, behind=image)
        objects = tuple(DrawnObject(hand.box, word) for hand in hands)
        return PaintedPicture(expose(image, exposure), objects, exposure.quality)

    return PlannedPicture((word,) * len(hands), paint)


def _hands(generator: Generator, size: tuple[int, int]) -> list[Scene]:
    """From the farthest to the nearest."""
    found: list[Scene] = []
    for _ in range(int(generator.choice(len(_HOW_MANY), p=_HOW_MANY))):
        for _ in range(_TRIES):
            hand = _placed(generator, size)
            # The smaller a hand is seen, the farther it is taken to be.
            together = sorted([*found, hand], key=lambda one: -one.joints[:, 2].mean() / one.camera[0, 0])
            hidden = (_is_hidden(one, together[place + 1 :]) for place, one in enumerate(together))
            if _shows(hand) and not any(hidden):
                found = together
                break
    return found


def _placed(generator: Generator, size: tuple[int, int]) -> Scene:
    """A hand in a window of the picture, seen by a camera that sees all of it."""
    side = float(np.exp(generator.uniform(np.log(_SMALLEST_PX), np.log(1.1 * min(size)))))
    window = random_scene(generator, (round(side), round(side)))
    camera = window.camera.copy()
    camera[:2, 2] += generator.uniform(-0.15 * side, np.array(size) - 0.85 * side)
    return dataclasses.replace(window, size=size, camera=camera, box=box_of(window.vertices, camera, size))


def _shows(hand: Scene) -> bool:
    seen = project(hand.joints, hand.camera)
    return bool(((seen >= 0) & (seen <= np.array(hand.size))).all(1).mean() >= _SHOWN)


def _is_hidden(hand: Scene, nearer: Sequence[Scene]) -> bool:
    column, row = project(hand.joints, hand.camera).astype(int).T
    inside = (column >= 0) & (column < hand.size[0]) & (row >= 0) & (row < hand.size[1])
    covered = np.zeros(len(column), dtype=bool)
    for other in nearer:
        covered[inside] |= silhouette(other)[row[inside], column[inside]]
    return bool(covered[inside].mean() > _HIDDEN)
