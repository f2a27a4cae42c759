"""Hands in rooms, empty or with a simple solid in them: pictures with camera, joints, pose of the solid and contact.

Geometry, light and lens are drawn by chance; what is written beside the pictures is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from argusvl.core.files import atomic_folder
from argusvl.core.progress import track
from argusvl.synthetic.effects import Exposure, expose, random_exposure
from argusvl.synthetic.hands.backgrounds import pictures_in
from argusvl.synthetic.hands.folder import hand_entry, write_hands
from argusvl.synthetic.hands.rendering import render
from argusvl.synthetic.hands.scene import Scene, random_scene
from argusvl.synthetic.processes import drawn_in_order
from argusvl.synthetic.writing import check_size, is_there, picture_source, source_entry, write_manifest

NAME = "hands"
VERSION = 2


def generate(
    out: str | Path,
    *,
    images: int,
    seed: int,
    width: int = 224,
    height: int = 224,
    backgrounds: str | Path | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> None:
    """Draws a set of hands: ``images/*.jpg``, ``hands.json`` and ``manifest.json``, complete or not at all.

    Picture 17 is the same in a set of 20 and in one of 2,000; sets of different seeds have none in common, so another
    seed gives the validation set. The same seed gives the same bytes; a folder with this very set is left as it is.
    ``backgrounds`` is a folder with photographs that show no hands, for four of five pictures; none: all are drawn.

    Raises:
        DataError: An argument makes no sense, ``out`` holds something else, or ``backgrounds`` holds no pictures.
        ArgusError: The folder cannot be written.
    """
    check_size(images, width, height)
    options = {"version": VERSION, "images": images, "seed": seed, "width": width, "height": height}
    pictures = () if backgrounds is None else pictures_in(Path(backgrounds))
    source = source_entry(NAME, options, len(pictures) or None)
    if is_there(Path(out), source):
        return
    with atomic_folder(Path(out)) as work:
        (work / "images").mkdir()
        some = partial(_draw_some, work, seed, (width, height), pictures)
        drawn = drawn_in_order(some, images, workers)
        write_hands(work, list(track(drawn, images, f"Drawing {NAME}", enabled=progress)))
        write_manifest(work, source, {})


def draw(
    seed: int, index: int, size: tuple[int, int], pictures: Sequence[Path] = ()
) -> tuple[Image.Image, Scene, Exposure]:
    """Picture ``index`` of a set, from 0, before the JPEG; what it shows, and how it was taken."""
    rng = picture_source(NAME, VERSION, seed, "set", index)
    # Two sources: what there is stays, whatever is changed about how it looks.
    geometry, looks = (np.random.default_rng(rng.getrandbits(128)) for _ in range(2))
    scene = random_scene(geometry, size)
    exposure = random_exposure(Random(rng.getrandbits(128)), max(size) / 448)
    return expose(render(scene, looks, pictures), exposure), scene, exposure


def _draw_some(
    folder: Path, seed: int, size: tuple[int, int], pictures: Sequence[Path], indices: Iterable[int]
) -> list[dict[str, Any]]:
    entries = []
    for index in indices:
        image, scene, exposure = draw(seed, index, size, pictures)
        name = f"images/{index:06d}.jpg"
        image.save(folder / name, format="JPEG", quality=exposure.quality)
        held = None if scene.solid is None or scene.pose is None else (scene.solid.kind, scene.pose)
        known = scene.size, scene.camera, scene.side, scene.box, scene.joints
        entries.append(hand_entry(name, *known, contact=scene.contact, held=held, shape=scene.solid))
    return entries
