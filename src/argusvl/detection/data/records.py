"""Records: what one line of annotated JSONL says, validated when it is read.

A line is ``{"teachers": [scene, …], "student": scene}`` or a bare scene, where a scene is
``{"images": [path, …], "objects": [{"bbox_2d": [x1, y1, x2, y2], "desc": "…", "image": 0}]}``.
Boxes are absolute pixels of the stored image. A bad line is an error that names the file, the line,
the field and the value found: nothing is skipped, swapped, clamped or replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from argus_doctor.findings import catalogue
from argus_doctor.wording import did_you_mean, printable
from argusvl.core.errors import DataError
from argusvl.core.files import cannot_read, open_file, real_path, write_text_atomically
from argusvl.core.strict_json import MalformedJsonError, decode_json, shown
from argusvl.detection.data.findings import box_problem, crowd_problem, description_problem

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


@dataclass(frozen=True, slots=True)
class Scene:
    """One or more images and the objects in them. Image paths are as written in the file."""

    images: tuple[str, ...]
    objects: tuple[ObjectAnnotation, ...]

    def files(self, root: Path) -> set[Path]:
        """The files of its images, by which the same picture is known in whichever words a record names it.

        A demonstration is asked about later, or held out, where it shares one with a student: its answer is given away.
        """
        return {real_path(root / name) for name in self.images}


@dataclass(frozen=True, slots=True)
class Record:
    """A student scene, whose objects are to be found and described, and teacher scenes that are shown before it.

    ``source`` is ``file:line``, for messages.
    """

    student: Scene
    teachers: tuple[Scene, ...] = ()
    source: str = ""

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """The student's, then those of its teachers."""
        return self.student, *self.teachers

    @property
    def images(self) -> list[str]:
        """The images of its scenes, in their order."""
        return [image for scene in self.scenes for image in scene.images]


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


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a decoded line: the field, the value found, and why it cannot be used.

    ``about`` are the arguments of :func:`~argusvl.detection.data.findings.finding` on the object concerned.
    """

    slug: str
    what: str
    remedy: str
    about: dict[str, Any]


Report = Callable[[Problem], None]
"""Takes a problem; reading stops there if it raises, else the rest of the line is read."""


@dataclass(slots=True)
class ReadScene:
    """What could be read of a scene: image paths, and objects by their position in the line."""

    images: tuple[str, ...] = ()
    objects: dict[int, ObjectAnnotation] = field(default_factory=dict)


def parse_record(value: Any, source: str) -> Record:
    """Validates one decoded JSON line, which errors name ``source``.

    Raises:
        DataError: A field is missing, unknown, of the wrong type, or a box is not a box.
    """

    def refuse(problem: Problem) -> None:
        raise DataError(problem.what, where=source, remedy=problem.remedy, slug=problem.slug)

    student, *teachers = (
        Scene(one.images, tuple(one.objects.values())) for one in read_scenes(value, refuse)
    )
    return Record(student, tuple(teachers), source)


def read_scenes(value: Any, report: Report) -> list[ReadScene]:
    """Reads one decoded JSON line: the student's scene, then those of its teachers.

    ``report`` takes what is wrong with it. A line in which nothing is can be trained on, but for its images.
    """
    if not isinstance(value, dict):
        report(_bad("the line", value, "write one JSON object a line"))
        return []
    if "student" not in value and SCENE_KEYS & value.keys():
        return [_read_scene(value, "", report)]
    _report_unknown(value, RECORD_KEYS, "", report)
    scenes = []
    if "student" in value:
        scenes.append(_read_scene(value["student"], "student.", report))
    else:
        report(_bad("field 'student'", _MISSING, 'add "student": {"images": […], "objects": […]}'))
    teachers = value.get("teachers", [])
    if not isinstance(teachers, list):
        report(_bad("field 'teachers'", teachers, "write a list of scenes, or leave it out"))
        return scenes
    return scenes + [_read_scene(one, f"teachers[{i}].", report) for i, one in enumerate(teachers)]


def is_path(value: Any) -> bool:
    """Whether a value can be an image's path: text that ends in a name."""
    if not isinstance(value, str) or printable(value) != value:
        return False
    return value.replace("\\", "/").rpartition("/")[2] not in ("", ".", "..")


def scene_to_json(scene: Scene) -> dict[str, Any]:
    """Inverse of the scene parser: a JSON-ready dictionary."""
    objects: list[dict[str, Any]] = []
    for annotation in scene.objects:
        entry: dict[str, Any] = {"bbox_2d": plain_box(annotation.bbox_2d), "desc": annotation.desc}
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
            remedy = "check the path of the JSONL file"
            raise DataError(
                "no such records file", where=self.path, remedy=remedy, slug="missing-records"
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


def _read_scene(value: Any, prefix: str, report: Report) -> ReadScene:
    scene = ReadScene()
    if not isinstance(value, dict):
        report(_bad(f"field '{prefix.rstrip('.')}'", value, 'write {"images": […], "objects": […]}'))
        return scene
    _report_unknown(value, SCENE_KEYS, prefix, report)
    images = value.get("images", _MISSING)
    if are_images := isinstance(images, list) and all(map(is_path, images)):
        scene.images = tuple(images)
    else:
        report(_bad(f"field '{prefix}images'", images, "write a list of image paths"))
    objects = value.get("objects", _MISSING)
    if not isinstance(objects, list):
        remedy = "write a list, empty when the image shows none"
        report(_bad(f"field '{prefix}objects'", objects, remedy))
        return scene
    if (problem := crowd_problem(len(objects))) is not None:
        report(_bad(f"field '{prefix}objects'", objects, problem=problem))
        return scene
    for index, entry in enumerate(objects):
        place = f"{prefix}objects[{index}]"
        found = _read_object(entry, index, scene.images if are_images else None, place, report)
        if found is not None:
            scene.objects[index] = found
    return scene


def _read_object(
    value: Any, index: int, images: tuple[str, ...] | None, place: str, report: Report
) -> ObjectAnnotation | None:
    """An object; ``None`` where it, or the scene's images (``None``), cannot be used."""
    if not isinstance(value, dict):
        remedy = 'write {"bbox_2d": [x1, y1, x2, y2], "desc": "…"}'
        report(_bad(f"field '{place}'", value, remedy, about={"object_index": index}))
        return None
    box, desc, image = value.get("bbox_2d", _MISSING), value.get("desc", _MISSING), value.get("image", 0)
    is_box = isinstance(box, list) and len(box) == 4 and all(type(v) in (int, float) for v in box)
    box_is_bad = box_problem(box, None) if is_box else ("box-not-a-number", "")
    desc_is_bad = description_problem(desc) if isinstance(desc, str) else ("malformed-record", "")
    image_is_bad = not isinstance(image, int) or isinstance(image, bool) or image < 0
    image_is_bad = image_is_bad or (images is not None and image >= len(images))
    found = None
    if box_is_bad is desc_is_bad is None and images and not image_is_bad:
        x1, y1, x2, y2 = map(float, box)
        found = ObjectAnnotation(bbox_2d=(x1, y1, x2, y2), desc=desc, image=image)
        if value.keys() <= OBJECT_KEYS:
            return found
    about = {
        "object_index": index,
        "label": desc if isinstance(desc, str) else None,
        "box": box if isinstance(box, list) and len(box) == 4 else None,
        "image": images[image] if images and not image_is_bad else None,
    }
    _report_unknown(value, OBJECT_KEYS, f"{place}.", report, about)
    if box_is_bad is not None:
        how = None if is_box else "write four numbers [x1, y1, x2, y2] in pixels"
        report(_bad(f"field '{place}.bbox_2d'", box, how, box_is_bad, about))
    if desc_is_bad is not None:
        how = None if isinstance(desc, str) else "write a description that is not empty"
        report(_bad(f"field '{place}.desc'", desc, how, desc_is_bad, about))
    if images == ():
        problem = ("malformed-record", "it has no image")
        report(_bad(f"field '{place}'", value, "name the image that shows it, or remove it", problem, about))
    elif image_is_bad:
        most = f"from 0 to {len(images) - 1}" if images else "of one of the scene's images, from 0"
        report(_bad(f"field '{place}.image'", image, f"write an index {most}", about=about))
    return found


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


def _report_unknown(
    value: dict[str, Any], known: set[str], prefix: str, report: Report, about: dict[str, Any] | None = None
) -> None:
    for key in (key for key in value if key not in known):
        name = printable(key[:_LONGEST_KEY])
        ours = _OTHER_NAMES.get(name)
        hint = f"; did you mean {ours!r}?" if ours in known else did_you_mean(name, known)
        what = f"unknown field '{prefix}{name}'{hint}"
        remedy = f"the fields here are {', '.join(sorted(known))}"
        report(Problem("malformed-record", what, remedy, about or {}))


def plain_number(value: float) -> int | float:
    """A whole number without a needless ``.0``."""
    return int(value) if float(value).is_integer() else value


_MISSING: Any = object()


def plain_box(box: Sequence[float]) -> list[int | float]:
    """A box for JSON."""
    return [plain_number(v) for v in box]


def _bad(
    what: str,
    found: Any,
    remedy: str | None = None,
    problem: tuple[str, str] = ("malformed-record", ""),
    about: dict[str, Any] | None = None,
) -> Problem:
    """A problem: which field, the value found, and why that cannot be used; by default with the catalogue's remedy."""
    slug, text = problem
    because = f"; {text}" if text else ""
    stated = "missing" if found is _MISSING else f"found {shown(found, 120)}"
    return Problem(slug, f"{what}: {stated}{because}", remedy or catalogue()[slug].remedies[0], about or {})
