"""What every reader of hands gives and uses: a sequence of records, and errors that name file, field and value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from argus_doctor.findings import Finding, finding_of
from argus_doctor.wording import did_you_mean
from argusvl.core.errors import DataError, ImageError
from argusvl.core.files import cannot_read, read_json
from argusvl.core.images import UPRIGHT, exif_orientation, image_size
from argusvl.core.strict_json import shown
from argusvl.core.wording import listed
from argusvl.manipulation.data.checking import (
    Bools,
    Floats,
    camera_problem,
    placeholder_problem,
)
from argusvl.manipulation.data.joints import NUM_JOINTS, to_our_order
from argusvl.manipulation.data.records import HandRecord, record_error
from argusvl.synthetic.hands.camera import HALF_PIXEL, camera_from_pixel_centres, camera_matrix, project

Unit = Literal["m", "cm", "mm"]
METRES: dict[str, float] = {"m": 1.0, "cm": 0.01, "mm": 0.001}

PixelOrigin = Literal["corner", "centre"]
"""Where a file's pixel (0, 0) lies: at the picture's corner, or in the centre of its first pixel (OpenCV)."""


class HandData(Sequence[HandRecord], ABC):
    """Hands of a data set, read and checked one by one when they are asked for."""

    @abstractmethod
    def _record(self, index: int) -> HandRecord:
        """The record at an index from 0.

        Raises:
            DataError: It is not what it should be, or its picture is missing.
        """

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if isinstance(index, slice):
            return [self._record(k) for k in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"hand {index} of {len(self)}")
        return self._record(index % len(self))

    def read(self, most: int | None = None) -> tuple[list[HandRecord], list[Finding]]:
        """The first records, and what is wrong with those among them that are not as they should be.

        A bad one does not hide the next; whoever takes the records answers for the findings.
        """
        records, findings = [], []
        for index in range(len(self) if most is None else min(len(self), most)):
            try:
                records.append(self._record(index))
            except DataError as error:
                findings.append(finding_of(error))
        return records, findings


# --- folders and files -----------------------------------------------------------------------------------------------


def find_root(root: str | Path, is_root: Callable[[Path], bool], expected: str) -> Path:
    """The folder of a data set, if it is one; ``expected`` is what such a folder holds, for the error.

    Raises:
        DataError: It is not, or not at this level; the error names the folder below or above that is.
    """
    folder = Path(root)
    if is_root(folder):
        return folder
    if not folder.is_dir():
        what = "a file, not a folder" if folder.is_file() else "no such folder"
    else:
        children = sorted(folder.iterdir(), reverse=True)
        inside = {child.resolve(): child for child in children if is_root(child)}
        near = list(inside.values())[::-1] or [p for p in folder.resolve().parents[:3] if is_root(p)][:1]
        what = f"not the data set's folder, which holds {expected}"
        if near:
            names = listed([str(one) for one in near], 6)
            remedy = f"name {names}" if len(near) == 1 else f"name one of {names}"
            raise DataError(what, where=folder, remedy=remedy, slug="hand-data-wrong-folder")
        what += f"; it holds {listed(sorted(child.name for child in folder.iterdir()), 6) or 'nothing'}"
    remedy = f"name the folder that holds {expected}"
    raise DataError(what, where=folder, remedy=remedy, slug="hand-data-wrong-folder")


def load_json(path: Path) -> Any:
    """The value of a JSON file that a data set needs.

    Raises:
        DataError: It is missing, cannot be read, or is no JSON.
    """
    with needed_file(path, "take the data set's annotations, all of them"):
        try:
            return read_json(path)
        except ValueError as error:
            remedy = "take the file from its source again: it may have been cut off"
            raise DataError(str(error), where=path, remedy=remedy, slug="malformed-json") from None


@contextmanager
def needed_file(path: Path, where_from: str, slug: str = "hand-data-wrong-folder") -> Iterator[None]:
    """In the body a file that a data set needs is read.

    Raises:
        DataError: It is missing, and ``where_from`` says where it comes from; or it cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise DataError("no such file", where=path, remedy=where_from, slug=slug) from None
    except OSError as error:
        raise cannot_read(path, error, DataError) from None


def picture_size(path: Path) -> tuple[int, int]:
    """``(width, height)`` of a picture whose pixels are stored upright.

    Raises:
        ImageError: It is missing or no picture, or its EXIF tag turns it: K and labels may be of either.
    """
    size, orientation = image_size(path), exif_orientation(path)
    if orientation != UPRIGHT:
        raise ImageError(
            f"EXIF orientation is {orientation}: K, box and joints may be those of the pixels as they are stored, or "
            "as viewers show them",
            where=path,
            remedy="store the pixels upright without the tag, and give K, box and joints of these pixels",
            slug="exif-orientation",
        )
    return size


# --- fields ----------------------------------------------------------------------------------------------------------


def bad_field(source: object, field: str, found: Any, expected: str) -> DataError:
    """A field that is missing, or not what it should be."""
    what = f"field '{field}': {'missing' if found is None else f'found {shown(found, 120)}'}"
    return DataError(what, where=source, remedy=f"write {expected}", slug="malformed-hand-record")


def one_of(value: Any, allowed: Iterable[str], field: str, source: object) -> Any:
    """A word of a list.

    Raises:
        DataError: It is another.
    """
    allowed = list(allowed)
    if value not in allowed:
        raise bad_field(source, field, value, f"one of {', '.join(allowed)}")
    return value


_LARGEST = 1e12
"""Of what a hand or a picture has: what is far beyond it would overflow in the checks."""


def numbers(value: Any, shape: tuple[int, ...], field: str, source: object) -> Floats:
    """An array of a shape; ``-1`` of the shape takes any length. ``null`` becomes ``nan``, as do rows of it.

    Raises:
        DataError: It has another shape, or holds something that is no number.
    """
    expected = f"numbers of shape {list(shape)}, none beyond {_LARGEST:g}"
    if len(shape) == 2 and isinstance(value, list):
        value = [[None] * shape[1] if row is None else row for row in value]
    try:
        raw = np.array(value, dtype=object)
        if any(isinstance(v, str | bool) for v in raw.ravel()):
            raise ValueError
        array = raw.astype(np.float64)
        if (np.abs(array[np.isfinite(array)]) > _LARGEST).any():
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise bad_field(source, field, value, expected) from None
    if array.ndim != len(shape) or any(
        want not in (-1, got) for want, got in zip(shape, array.shape, strict=True)
    ):
        what = f"field '{field}': expected shape {list(shape)}, got {list(array.shape)}"
        raise DataError(what, where=source, remedy=f"write {expected}", slug="malformed-hand-record")
    return array


class Fields:
    """An object of an annotation file; a field that is missing or not as it should be is an error with its place.

    What is no object has no fields; ``known`` are all that there may be, any where ``None``.

    Raises:
        DataError: There is a field that is not known.
    """

    def __init__(self, value: Any, source: object, known: Collection[str] | None = None) -> None:
        self.value: dict[str, Any] = value if isinstance(value, dict) else {}
        self.source = source
        unknown = [] if known is None else [key for key in self.value if key not in known]
        if known is not None and unknown:
            raise DataError(
                f"unknown field '{unknown[0]}'{did_you_mean(unknown[0], known)}",
                where=source,
                remedy=f"the fields here are {', '.join(sorted(known))}",
                slug="malformed-hand-record",
            )

    def get(self, field: str) -> Any:
        """Its value; ``None`` where it is missing."""
        return self.value.get(field)

    def needed(self, field: str, expected: str, kind: Any = object) -> Any:
        """Its value, which is there and of a kind."""
        found = self.get(field)
        if found is None or not isinstance(found, kind):
            raise bad_field(self.source, field, found, expected)
        return found

    def one_of(self, field: str, allowed: Iterable[str]) -> Any:
        """As :func:`one_of`."""
        return one_of(self.get(field), allowed, field, self.source)

    def numbers(self, field: str, shape: tuple[int, ...], expected: str = "") -> Floats:
        """As :func:`numbers`; ``expected`` says what is meant, where it is missing."""
        found = self.needed(field, expected or f"numbers of shape {list(shape)}")
        return numbers(found, shape, field, self.source)

    def joints(self, field: str, expected: str) -> tuple[Floats, Bools]:
        """Joints in JSON: ``[21, 3]``, and which are not ``null``.

        ``null`` says that a joint is not known; a ``NaN`` says nothing, and stays one to be found.
        """
        rows = self.numbers(field, (NUM_JOINTS, 3), expected)
        return rows, np.array([row is not None for row in self.get(field)])


# --- geometry --------------------------------------------------------------------------------------------------------


def parse_joints(raw: Floats, valid: Bools, source: object, *, unit: str, order: str) -> tuple[Floats, Bools]:
    """Joints ``[21, 3]`` as written, and which are known, → metres, and the same, in our order.

    Raises:
        DataError: A joint that is known is -1, -1, -1.
    """
    joints, known = to_our_order(raw, order), to_our_order(valid, order)
    if (problem := placeholder_problem(joints, known)) is not None:
        raise record_error(problem, source)
    return np.where(known[:, None], joints * METRES[unit], np.nan), known


def parse_camera(value: Any, source: object, origin: str, field: str = "K") -> Floats:
    """K as a 3 × 3 list, or as ``{"focal": [fx, fy], "princpt": [cx, cy]}`` → K in our pixels.

    Raises:
        DataError: It is missing or of another shape; that it is a camera's is checked in the record.
    """
    if value is None:
        raise record_error(("camera-missing", f"field '{field}': there is no K"), source)
    if isinstance(value, dict):
        given = Fields(value, f"{source}, {field}")
        focal, centre = given.numbers("focal", (2,), "[fx, fy]"), given.numbers("princpt", (2,), "[cx, cy]")
        camera = camera_matrix(*focal, *centre)
    else:
        camera = numbers(value, (3, 3), field, source)
    return camera_from_pixel_centres(camera) if origin == "centre" else camera


def parse_marks(points: Floats, *, origin: str, order: str) -> Floats:
    """Where joints are marked, ``[21, 2]`` in a file's pixels and order → in ours."""
    return to_our_order(points + HALF_PIXEL if origin == "centre" else points, order)


def require_size(stated: tuple[float, float], found: tuple[int, int], source: object) -> None:
    """Refuses a K that is for pictures of another size.

    Raises:
        DataError: It is.
    """
    if stated != found:
        ours, theirs = (f"{width:g}×{height:g}" for width, height in (stated, found))
        what = f"K is for pictures of {ours}, but the image has {theirs}"
        raise record_error(("camera-other-resolution", what), source)


def box_of_joints(joints_m: Floats, valid: Bools, camera: Floats, size: tuple[int, int]) -> Floats | None:
    """The box around the joints that are known, as far as it lies in the picture; ``None`` where nothing does."""
    if camera_problem(camera) is not None or not valid.any() or not (joints_m[valid, 2] > 0).all():
        return None  # what is wrong is told where the record is built
    seen = project(joints_m[valid], camera)
    if not np.isfinite(seen).all():
        return None
    box = np.concatenate([np.maximum(seen.min(0), 0), np.minimum(seen.max(0), size)])
    return box if (box[2:] > box[:2]).all() else None


ALL_KNOWN = np.ones(NUM_JOINTS, dtype=bool)
