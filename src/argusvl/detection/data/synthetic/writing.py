"""Writing a set of drawn pictures: images, records by split, a teacher pool, a manifest.

A renderer plans a picture from a seeded source of chance; everything else is the same for all scenes. Every
picture has a source of its own, named by scene, seed and number, so that picture 17 is the same in a set of 20 and
in one of 2,000, and sets drawn with different seeds have no picture in common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from argusvl.core.errors import DataError
from argusvl.core.files import atomic_folder
from argusvl.detection.data.manifest import (
    Manifest,
    ManifestSource,
    SplitOrigin,
    build_manifest,
    read_manifest,
    write_manifest,
)
from argusvl.detection.data.records import ObjectAnnotation, Record, Scene, write_records

SPLITS = ("train", "val", "test")
POOL = "teacher_pool"
FORMAT = "synthetic"

_MIN_SIDE_PX = 112
_MAX_POOL_TRIES = 2000  # plans, not pictures; the bbu-room set needs some tens


@dataclass(frozen=True, slots=True)
class PaintedPicture:
    """A finished picture with its objects, boxes in its own pixels."""

    image: Image.Image
    objects: tuple[ObjectAnnotation, ...]
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


@dataclass(frozen=True, slots=True)
class SetRequest:
    """What is to be drawn. It is kept in the manifest; the same request always gives the same files.

    Attributes:
        scene: Name of the renderer.
        version: Of the renderer: raised when its pictures change.
        images: Number of pictures in train, val and test together; the teacher pool comes on top.
        seed: Of all chance.
        width: Of every picture, in pixels.
        height: Of every picture, in pixels.
        language: Of the descriptions.
    """

    scene: str
    version: int
    images: int
    seed: int
    width: int
    height: int
    language: str


def split_of(index: int) -> str:
    """The split of a picture: of every ten, eight train, one val, one test.

    By number, which is as good as by chance because every picture is an independent draw, and does not change
    with the size of the set.
    """
    return {4: "val", 9: "test"}.get(index % 10, "train")


def write_set(
    out: str | Path,
    request: SetRequest,
    plan: Callable[[Random], PlannedPicture],
    descriptions: Sequence[str],
    *,
    progress: bool,
) -> Manifest:
    """Draws a set into a new folder, complete or not at all.

    Writes ``images/*.jpg``, ``train.jsonl``, ``val.jsonl``, ``test.jsonl``, ``teacher_pool.jsonl`` and
    ``manifest.json``. A folder that holds the very set asked for is left as it is.

    Args:
        out: The folder.
        request: What to draw.
        plan: The renderer.
        descriptions: Every description that the renderer can give; the teacher pool shows each at least once.
        progress: Show a progress bar.

    Returns:
        The manifest.

    Raises:
        DataError: The request makes no sense, or ``out`` holds something else.
        ArgusError: The folder cannot be written.
    """
    _check(request)
    folder = Path(out)
    present = _present(folder, request)
    if present is not None:
        return present
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        atomic_folder(folder) as work,
        Progress(*columns, console=Console(stderr=True), disable=not progress, transient=True) as bar,
    ):
        task = bar.add_task(f"Drawing {request.scene}", total=request.images)
        manifest = _draw(work, request, plan, descriptions, bar, task)
    return manifest


def _draw(
    folder: Path,
    request: SetRequest,
    plan: Callable[[Random], PlannedPicture],
    descriptions: Sequence[str],
    bar: Progress,
    task: TaskID,
) -> Manifest:
    (folder / "images").mkdir()
    records: dict[str, list[Record]] = {name: [] for name in (*SPLITS, POOL)}
    for index in range(request.images):
        picture = plan(_source(request, "set", index)).paint()
        records[split_of(index)].append(_save(folder, f"images/{index:06d}.jpg", picture))
        bar.advance(task)
    records[POOL] = _draw_pool(folder, request, plan, descriptions)
    for name, of_split in records.items():
        write_records(folder / f"{name}.jsonl", of_split)
    manifest = build_manifest(
        source=ManifestSource(path=request.scene, format=FORMAT, options=asdict(request)),
        limits=None,  # drawn at the size asked for, on the grid or not
        split_origin=SplitOrigin(made_by="source"),
        splits=records,
        images=(),
    )
    write_manifest(folder, manifest)
    return manifest


def _draw_pool(
    folder: Path, request: SetRequest, plan: Callable[[Random], PlannedPicture], descriptions: Sequence[str]
) -> list[Record]:
    """Pictures of their own for the teachers: a new one is taken whenever it shows something not yet covered."""
    missing = set(descriptions)
    records: list[Record] = []
    for index in range(_MAX_POOL_TRIES):
        if not missing:
            break
        planned = plan(_source(request, "pool", index))
        # Two new ones at least, while there are many: fewer pictures cover everything.
        if len(missing & set(planned.descriptions)) >= (2 if len(missing) > 4 else 1):
            picture = planned.paint()
            missing -= {o.desc for o in picture.objects}
            records.append(_save(folder, f"images/pool_{len(records):03d}.jpg", picture))
    assert not missing, f"the renderer never draws {sorted(missing)}"
    return records


def _save(folder: Path, name: str, picture: PaintedPicture) -> Record:
    picture.image.save(folder / name, format="JPEG", quality=picture.jpeg_quality)
    return Record(student=Scene(images=(name,), objects=picture.objects))


def _source(request: SetRequest, stream: str, index: int) -> Random:
    """The source of chance of one picture; seeding by text is the same on every platform."""
    return Random(f"{request.scene}/{request.version}/{request.seed}/{stream}/{index}")


def _check(request: SetRequest) -> None:
    if request.images < 1:
        raise DataError(f"{request.images} images asked for", where="images", remedy="ask for one or more")
    for name, value in (("width", request.width), ("height", request.height)):
        if value < _MIN_SIDE_PX:
            raise DataError(
                f"{value} pixels asked for",
                where=name,
                remedy=f"ask for at least {_MIN_SIDE_PX}: less shows nothing",
            )


def _present(folder: Path, request: SetRequest) -> Manifest | None:
    """The manifest, if the folder holds what is asked for; ``None`` if it is new or empty."""
    if folder.exists() and not folder.is_dir():
        raise DataError("is a file", where=folder, remedy="name a folder that is new or empty")
    if not folder.exists() or not any(folder.iterdir()):
        return None
    try:
        manifest = read_manifest(folder)
        if manifest.source.format == FORMAT and manifest.source.options == asdict(request):
            return manifest
    except DataError:
        pass  # not one of ours, which is what the error says
    raise DataError(
        "the folder is not empty, and does not hold the set that is asked for",
        where=folder,
        remedy="name another folder, or remove this one first",
    )
