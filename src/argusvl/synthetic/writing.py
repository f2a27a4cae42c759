"""Writing a set of drawn pictures: images, records by split, a teacher pool, a manifest.

The files are those of any data folder, and a task reads them as such; what stands in them is written here as plain
JSON, so that drawing knows no task.

A renderer plans a picture from a seeded source of chance; everything else is the same for all scenes. Every
picture has a source of its own, named by scene, seed and number, so that picture 17 is the same in a set of 20 and
in one of 2,000, and sets drawn with different seeds have no picture in common. For the same reason a large set is
drawn by as many processes as there are cores, with the same bytes as by one.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

from PIL import Image

import argusvl
from argusvl.core.errors import DataError
from argusvl.core.files import atomic_folder, read_text, write_text_atomically
from argusvl.core.progress import track
from argusvl.core.strict_json import MalformedJsonError, decode_json
from argusvl.synthetic.processes import drawn_in_order

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

SPLITS = ("train", "val", "test")
POOL = "teacher_pool"
MANIFEST = "manifest.json"

_MIN_SIDE_PX = 112
_MAX_POOL_TRIES = 2000  # plans, not pictures; the bbu-room set needs some tens


class DrawnObject(NamedTuple):
    """What is to be found in a picture."""

    box_xyxy_px: Iterable[float]
    description: str
    """``/``-separated, the type first."""


@dataclass(frozen=True, slots=True)
class PaintedPicture:
    """A finished picture with its objects, boxes in its own pixels."""

    image: Image.Image
    objects: tuple[DrawnObject, ...]
    jpeg_quality: int


@dataclass(frozen=True, slots=True)
class PlannedPicture:
    """A picture that could be painted.

    Attributes:
        descriptions: Of the objects that it would show.
        paint: Paints it; twice gives the same.
    """

    descriptions: tuple[str, ...]
    paint: Callable[[], PaintedPicture]


def split_of(index: int) -> str:
    """The split of a picture: of every ten, eight train, one val, one test.

    By number, which is as good as by chance because every picture is an independent draw, and does not change
    with the size of the set.
    """
    return {4: "val", 9: "test"}.get(index % 10, "train")


@dataclass(frozen=True, slots=True)
class Scenes:
    """Scenes of one kind, of which sets can be drawn.

    Attributes:
        name: On the command line.
        version: Raised when its pictures change.
        plan: Their renderer, called with the source of all chance, width, height and language; can be pickled.
        pooled: What the teacher pool shows at least once: every description that there can be in a language, or what
            ``shows`` makes of them.
        shows: What an object counts for in the teacher pool, by its description.
    """

    name: str
    version: int
    plan: Callable[..., PlannedPicture]
    pooled: Callable[[Language], Iterable[str]]
    shows: Callable[[str], Iterable[str]] = lambda description: (description,)

    def generate(
        self,
        out: str | Path,
        *,
        images: int,
        seed: int,
        width: int = 448,
        height: int = 336,
        language: str = "zh",
        backgrounds: int | None = None,
        progress: bool = False,
    ) -> None:
        """Draws a set into a new folder, complete or not at all; a folder with this very set is left as it is.

        Writes ``images/*.jpg``, ``train.jsonl``, ``val.jsonl``, ``test.jsonl``, ``teacher_pool.jsonl`` and
        ``manifest.json``. ``images`` counts train, val and test together (8 : 1 : 1); the pool comes on top. The same
        seed gives the same bytes. ``backgrounds`` is the number of photographs that the plan draws on.

        Raises:
            DataError: An argument makes no sense, or ``out`` holds something else.
            ArgusError: The folder cannot be written.
        """
        if language not in LANGUAGES:
            remedy = f"use one of {', '.join(LANGUAGES)}"
            raise DataError(f"{language!r} is not known", where="language", remedy=remedy)
        check_size(images, width, height)
        asked = {"scene": self.name, "version": self.version, "images": images, "seed": seed}
        asked |= {"width": width, "height": height, "language": language}
        source = source_entry(self.name, asked, backgrounds)
        if is_there(Path(out), source):
            return
        plan = partial(self.plan, width=width, height=height, language=language)
        chance = partial(picture_source, self.name, self.version, seed)
        with atomic_folder(Path(out)) as work:
            (work / "images").mkdir()
            splits: dict[str, list[Line]] = {name: [] for name in (*SPLITS, POOL)}
            draw = partial(_draw_some, work, plan, partial(chance, "set"))
            drawn = track(drawn_in_order(draw, images), images, f"Drawing {self.name}", enabled=progress)
            for index, line in enumerate(drawn):
                splits[split_of(index)].append(line)
            splits[POOL] = _draw_pool(work, plan, partial(chance, "pool"), self.pooled(language), self.shows)
            _write_index(work, source, splits)


Line = dict[str, Any]
"""A picture in the set's folder, as a line of a records file."""


def _draw_some(
    folder: Path,
    plan: Callable[[Random], PlannedPicture],
    chance: Callable[[int], Random],
    indices: Iterable[int],
) -> list[Line]:
    return [_save(folder, f"images/{index:06d}.jpg", plan(chance(index)).paint()) for index in indices]


def _draw_pool(
    folder: Path,
    plan: Callable[[Random], PlannedPicture],
    chance: Callable[[int], Random],
    descriptions: Iterable[str],
    shows: Callable[[str], Iterable[str]],
) -> list[Line]:
    """Pictures of their own for the teachers: a new one is taken whenever it shows something not yet covered."""
    missing = set(descriptions)
    lines: list[Line] = []
    for index in range(_MAX_POOL_TRIES):
        if not missing:
            break
        planned = plan(chance(index))
        # Two new ones at least, while there are many: fewer pictures cover everything.
        promised = {shown for description in planned.descriptions for shown in shows(description)}
        if len(missing & promised) >= (2 if len(missing) > 4 else 1):
            picture = planned.paint()
            covered = {shown for o in picture.objects for shown in shows(o.description)}
            if not missing & covered:
                continue  # hidden by others, all of them
            missing -= covered
            lines.append(_save(folder, f"images/pool_{len(lines):03d}.jpg", picture))
    assert not missing, f"the renderer never draws {sorted(missing)}"
    return lines


def _save(folder: Path, name: str, picture: PaintedPicture) -> Line:
    picture.image.save(folder / name, format="JPEG", quality=picture.jpeg_quality)
    objects = []
    for box, description in picture.objects:
        # To a tenth of a pixel: finer than anybody can see, and short to read.
        corners = (float(round(value, 1)) for value in box)
        objects.append({"bbox_2d": [int(v) if v.is_integer() else v for v in corners], "desc": description})
    return {"images": [name], "objects": objects}


def _write_index(folder: Path, source: dict[str, Any], splits: dict[str, list[Line]]) -> None:
    counts = {}
    for name, lines in splits.items():
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        write_text_atomically(folder / f"{name}.jsonl", text)
        labels = Counter(drawn["desc"] for line in lines for drawn in line["objects"])
        by_label = dict(sorted(labels.items()))
        counts[name] = {"images": len(lines), "objects": labels.total(), "labels": by_label}
    more: dict[str, Any] = {
        "limits": None,  # drawn at the size asked for, on the grid or not
        "split_origin": {"made_by": "source", "val_fraction": None, "seed": None, "group_key": None},
        "splits": counts,
        "vision_tokens": None,
        "images": [],
        "refused": {"images": 0, "objects": 0},
        "findings": [],
    }
    write_manifest(folder, source, more)


def source_entry(scene: str, options: dict[str, Any], backgrounds: int | None) -> dict[str, Any]:
    """Where a set comes from, as its manifest says it; the same entry always gives the same files."""
    known = options if backgrounds is None else {**options, "backgrounds": backgrounds}
    return {"path": scene, "format": "synthetic", "options": known}


def write_manifest(folder: Path, source: dict[str, Any], more: dict[str, Any]) -> None:
    """Writes the manifest of a set."""
    manifest = {"manifest_version": 1, "argus_version": argusvl.__version__, "source": source, **more}
    write_text_atomically(folder / MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=2) + "\n")


def picture_source(scene: str, version: int, seed: int, stream: str, index: int) -> Random:
    """The source of chance of one picture; seeding by text is the same on every platform."""
    return Random(f"{scene}/{version}/{seed}/{stream}/{index}")


def check_size(images: int, width: int, height: int) -> None:
    """Refuses what cannot be drawn.

    Raises:
        DataError: No pictures are asked for, or such as are too small.
    """
    if images < 1:
        raise DataError(f"{images} images asked for", where="images", remedy="ask for one or more")
    for name, value in (("width", width), ("height", height)):
        if value < _MIN_SIDE_PX:
            remedy = f"ask for at least {_MIN_SIDE_PX}: less shows nothing"
            raise DataError(f"{value} pixels asked for", where=name, remedy=remedy)


def is_there(folder: Path, source: dict[str, Any]) -> bool:
    """Whether a folder holds the very set that is asked for, by its :func:`source_entry`; a new or empty one does not.

    Raises:
        DataError: It is a file, or holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError("is a file", where=folder, remedy="name a folder that is new or empty")
    if not folder.exists() or not any(folder.iterdir()):
        return False
    with contextlib.suppress(OSError, UnicodeDecodeError, MalformedJsonError):  # not one of ours then
        manifest = decode_json(read_text(folder / MANIFEST))
        if isinstance(manifest, dict) and manifest.get("source") == source:
            return True
    what = "the folder is not empty, and does not hold the set that is asked for"
    raise DataError(what, where=folder, remedy="name another folder, or remove this one first")
