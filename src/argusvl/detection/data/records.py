"""Records: what one line of annotated JSONL says, validated when it is read.

A line is ``{"teachers": [scene, …], "student": scene}`` or a bare scene, where a scene is
``{"images": [path, …], "objects": [{"bbox_2d": [x1, y1, x2, y2], "desc": "…", "image": 0}]}``.
Boxes are absolute pixels of the stored image. A bad line is an error that names the file, the line,
the field and the value found: nothing is skipped, swapped, clamped or replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from argusvl.config.messages import did_you_mean
from argusvl.core.errors import DataError
from argusvl.core.files import cannot_read, open_file, write_text_atomically
from argusvl.core.strict_json import MalformedJsonError, decode_json, printable, shown
from argusvl.detection.data.findings import box_problem, crowd_problem, description_problem
from argusvl.doctor.findings import catalogue

SCENE_KEYS = {"images", "objects"}
RECORD_KEYS = {"teachers", "student"}
OBJECT_KEYS = {"bbox_2d", "desc", "image"}


@dataclass(frozen=True, slots=True)
class ObjectAnnotation:
    """One object: its box, its description, and which of the scene's images shows it.

    Attributes:
        bbox_2d: ``(x1, y1, x2, y2)``, absolute pixels of the stored image.
        desc: Natural language, or a ``/``-separated hierarchy such as ``螺丝连接点/BBU安装螺丝/连接正确``.
        image: Index into the scene's images.
    """

    bbox_2d: tuple[float, float, float, float]
    desc: str
    image: int = 0

    @property
    def first_segment(self) -> str:
        """The object type: what stands before the first ``/``."""
        return self.desc.split("/", 1)[0]


@dataclass(frozen=True, slots=True)
class Scene:
    """One or more images and the objects in them. Image paths are as written in the file."""

    images: tuple[str, ...]
    objects: tuple[ObjectAnnotation, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """A student scene to learn from, and teacher scenes that are shown before it.

    Attributes:
        student: The scene whose objects are to be found and described.
        teachers: Demonstrations; may be empty.
        source: ``file:line``, for messages.
    """

    student: Scene
    teachers: tuple[Scene, ...] = ()
    source: str = ""

    def with_teachers(self, teachers: Sequence[Scene]) -> Record:
        """The same student after other demonstrations."""
        return replace(self, teachers=tuple(teachers))


def decode_line(line: bytes) -> Any:
    """The JSON value of one line of a records file.

    Raises:
        MalformedJsonError: It is not UTF-8, or not JSON; see :func:`~argusvl.core.strict_json.decode_json`.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedJsonError(f"the line is not UTF-8: {error.reason} at byte {error.start}", "") from None
    return decode_json(text.rstrip("\r\n"))


def parse_record(value: Any, source: str) -> Record:
    """Validates one decoded JSON line.

    Args:
        value: The decoded line.
        source: ``file:line``, named in errors.

    Raises:
        DataError: A field is missing, unknown, of the wrong type, or a box is not a box.
    """
    if not isinstance(value, dict):
        raise _bad(source, "the line", value, "write one JSON object a line")
    if "student" not in value and SCENE_KEYS & value.keys():
        return Record(student=_parse_scene(value, source, ""), source=source)
    _refuse_unknown(value, RECORD_KEYS, source, "")
    if "student" not in value:
        raise _bad(source, "field 'student'", "missing", 'add "student": {"images": […], "objects": […]}')
    teachers = value.get("teachers", [])
    if not isinstance(teachers, list):
        raise _bad(source, "field 'teachers'", teachers, "write a list of scenes, or leave it out")
    return Record(
        student=_parse_scene(value["student"], source, "student."),
        teachers=tuple(_parse_scene(t, source, f"teachers[{i}].") for i, t in enumerate(teachers)),
        source=source,
    )


def is_path(value: Any) -> bool:
    """Whether a value can be an image's path: text that ends in a name."""
    if not isinstance(value, str) or printable(value) != value:
        return False
    return value.replace("\\", "/").rpartition("/")[2] not in ("", ".", "..")


def scene_to_json(scene: Scene) -> dict[str, Any]:
    """Inverse of the scene parser: a JSON-ready dictionary."""
    objects: list[dict[str, Any]] = []
    for annotation in scene.objects:
        entry: dict[str, Any] = {
            "bbox_2d": [plain_number(v) for v in annotation.bbox_2d],
            "desc": annotation.desc,
        }
        if len(scene.images) > 1:
            entry["image"] = annotation.image
        objects.append(entry)
    return {"images": list(scene.images), "objects": objects}


def record_to_json(record: Record) -> dict[str, Any]:
    """Inverse of :func:`parse_record`; a record without teachers is written as a bare scene."""
    if not record.teachers:
        return scene_to_json(record.student)
    return {"teachers": [scene_to_json(t) for t in record.teachers], "student": scene_to_json(record.student)}


class RecordFile(Sequence[Record]):
    """A JSONL file of records, indexed by byte offset and parsed on access.

    Memory holds twelve bytes a record; a million records are indexed in a second. Blank lines are ignored.

    Args:
        path: The JSONL file.
        root: Folder that image paths are relative to; the file's own folder when ``None``.
        max_examples: Use only the first so many records; ``None`` for all.

    Raises:
        DataError: The file cannot be opened; on access, the line is not a valid record.
    """

    def __init__(
        self, path: str | Path, root: str | Path | None = None, max_examples: int | None = None
    ) -> None:
        self.path = Path(path)
        self.root = Path(root) if root is not None else self.path.parent
        with self._open() as stream:
            self._offsets, self._line_numbers, self._content = _index(stream, max_examples)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        (line,) = self.lines([index])
        return self.parse(index, line)

    def __iter__(self) -> Iterator[Record]:
        return (self.parse(i, line) for i, line in enumerate(self.lines(range(len(self)))))

    def lines(self, indices: Iterable[int]) -> Iterator[bytes]:
        """The lines of records as they stand in the file, which is opened once."""
        with self._open() as stream:
            for index in indices:
                stream.seek(int(self._offsets[index]))
                yield stream.readline()

    def parse(self, index: int, line: bytes) -> Record:
        """The record that a line of :meth:`lines` says.

        Raises:
            DataError: It is not a valid record.
        """
        source = self.source(index)
        try:
            value = decode_line(line)
        except MalformedJsonError as error:
            remedy = "write one complete JSON object a line, as UTF-8"
            raise DataError(str(error), where=source, remedy=remedy, slug="malformed-json") from None
        return parse_record(value, source)

    def fingerprint(self) -> str:
        """A digest of the file's content as it is now: all of it, however many records are used."""
        with self._open() as stream:
            return hashlib.file_digest(stream, "blake2b").hexdigest()[:32]

    @property
    def content(self) -> str:
        """The same digest, as the content was when the file was opened."""
        self._content = self._content or self.fingerprint()
        return self._content

    def _open(self) -> BufferedReader:
        try:
            return open_file(self.path)
        except FileNotFoundError:
            raise DataError(
                "no such records file",
                where=self.path,
                remedy="check the path of the JSONL file",
                slug="missing-records",
            ) from None
        except OSError as error:
            raise cannot_read(self.path, error, DataError) from None

    def source(self, index: int) -> str:
        """``file:line`` of a record."""
        return f"{self.path}:{int(self._line_numbers[index])}"

    def resolve(self, image: str) -> Path:
        """The file that an image path of a record stands for."""
        return self.root / image


_CHUNK = 1 << 24
_SPACES = np.frombuffer(b" \t\n\r\x0b\x0c", np.uint8)


def _index(stream: BufferedReader, most: int | None) -> tuple[np.ndarray, np.ndarray, str | None]:
    """Where the lines begin that are not blank, their numbers from 1, and the digest of a file that was read whole."""
    digest = hashlib.blake2b()
    offsets, numbers = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    passed = lines = found = 0
    begins = np.zeros(1, np.int64)  # in the next chunk
    while most is None or found < most:
        chunk = stream.read(_CHUNK)
        if not chunk:
            return np.concatenate(offsets), np.concatenate(numbers), digest.hexdigest()[:32]
        digest.update(chunk)
        data = np.frombuffer(chunk, np.uint8)
        begins = np.append(begins, np.flatnonzero(data == ord("\n")) + 1)
        here, begins = begins[begins < len(data)], begins[begins == len(data)] - len(data)
        # Only a line that begins with a space can be blank, and hardly any does.
        used = np.ones(len(here), bool)
        for k in np.flatnonzero(np.isin(data[here], _SPACES)).tolist():
            stream.seek(passed + int(here[k]))
            used[k] = bool(stream.readline().strip())
        passed += len(data)
        stream.seek(passed)
        offsets.append((passed - len(data) + here)[used])
        numbers.append((lines + 1 + np.flatnonzero(used)).astype(np.int32))
        lines, found = lines + len(here), found + int(used.sum())
    return np.concatenate(offsets)[:most], np.concatenate(numbers)[:most], None


def write_records(path: str | Path, records: Sequence[Record]) -> None:
    """Writes records as UTF-8 JSONL, atomically (an interrupted write leaves what was there)."""
    text = "".join(json.dumps(record_to_json(r), ensure_ascii=False) + "\n" for r in records)
    write_text_atomically(path, text)


def _parse_scene(value: Any, source: str, prefix: str) -> Scene:
    if not isinstance(value, dict):
        raise _bad(source, f"field '{prefix.rstrip('.')}'", value, 'write {"images": […], "objects": […]}')
    _refuse_unknown(value, SCENE_KEYS, source, prefix)
    images = value.get("images")
    if not isinstance(images, list) or not all(map(is_path, images)):
        raise _bad(source, f"field '{prefix}images'", images, "write a list of image paths")
    objects = value.get("objects")
    if not isinstance(objects, list):
        raise _bad(
            source, f"field '{prefix}objects'", objects, "write a list, empty when the image shows none"
        )
    if (problem := crowd_problem(len(objects))) is not None:
        raise _bad(source, f"field '{prefix}objects'", objects, catalogue()[problem[0]].remedies[0], problem)
    return Scene(
        images=tuple(images),
        objects=tuple(
            _parse_object(o, len(images), source, f"{prefix}objects[{i}]") for i, o in enumerate(objects)
        ),
    )


def _parse_object(value: Any, num_images: int, source: str, field: str) -> ObjectAnnotation:
    if not isinstance(value, dict):
        raise _bad(source, f"field '{field}'", value, 'write {"bbox_2d": [x1, y1, x2, y2], "desc": "…"}')
    _refuse_unknown(value, OBJECT_KEYS, source, f"{field}.")
    box = value.get("bbox_2d")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(v) for v in box):
        raise _bad(source, f"field '{field}.bbox_2d'", box, "write four numbers [x1, y1, x2, y2] in pixels")
    if (problem := box_problem(box, None)) is not None:
        raise _bad(source, f"field '{field}.bbox_2d'", box, catalogue()[problem[0]].remedies[0], problem)
    desc = value.get("desc")
    if not isinstance(desc, str):
        raise _bad(source, f"field '{field}.desc'", desc, "write a description that is not empty")
    if (problem := description_problem(desc)) is not None:
        raise _bad(source, f"field '{field}.desc'", desc, catalogue()[problem[0]].remedies[0], problem)
    image = value.get("image", 0)
    if num_images == 0:
        raise _bad(
            source,
            f"field '{field}'",
            value,
            "name the image that shows it, or remove it",
            ("malformed-record", "it has no image"),
        )
    if not isinstance(image, int) or isinstance(image, bool) or not 0 <= image < num_images:
        raise _bad(source, f"field '{field}.image'", image, f"write an index from 0 to {num_images - 1}")
    x1, y1, x2, y2 = (float(v) for v in box)
    return ObjectAnnotation(bbox_2d=(x1, y1, x2, y2), desc=desc, image=image)


_OTHER_NAMES = {
    "image": "images",
    "label": "desc",
    "caption": "desc",
    "description": "desc",
    "category": "desc",
    "bbox": "bbox_2d",
    "box": "bbox_2d",
}
"""What other tools call our fields."""

_LONGEST_KEY = 100
"""Characters of an unknown field that are told."""


def _refuse_unknown(value: dict[str, Any], known: set[str], source: str, prefix: str) -> None:
    for key in value:
        if key not in known:
            name = printable(key[:_LONGEST_KEY])
            ours = _OTHER_NAMES.get(name)
            hint = f"; did you mean {ours!r}?" if ours in known else did_you_mean(name, known)
            raise DataError(
                f"unknown field '{prefix}{name}'{hint}",
                where=source,
                remedy=f"the fields here are {', '.join(sorted(known))}",
                slug="malformed-record",
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def plain_number(value: float) -> int | float:
    """A whole number without a needless ``.0``."""
    return int(value) if float(value).is_integer() else value


def _bad(
    source: str, what: str, found: Any, remedy: str, problem: tuple[str, str] = ("malformed-record", "")
) -> DataError:
    slug, text = problem
    because = f"; {text}" if text else ""
    return DataError(f"{what}: found {shown(found, 120)}{because}", where=source, remedy=remedy, slug=slug)
