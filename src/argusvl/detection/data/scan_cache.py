"""What was measured of a record file, cached beside it: the next start with the same records parses none of them.

``train.jsonl.facts/`` holds a file for each measurement: a digest of the rest, of the content of ``train.jsonl`` and of
all else that the results rest on; then arrays, as ``numpy.savez`` writes them. What another file, another version or
damage has left does not fit its digest and is measured anew. Results that rest on images, too, hold while each image
has as many bytes and the time of its last change, to the nanosecond, that it had: a new or edited image is noticed, but
not one that was put in place with as many bytes and the old time. (Training reads each image itself, and refuses what
does not fit its record.)

Nothing in there is needed. Where it cannot be written, everything is measured anew each time.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatch
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

import argusvl
from argusvl.core.errors import ArgusError
from argusvl.core.files import read_bytes, write_bytes_atomically
from argusvl.core.logging import get_logger
from argusvl.detection.data.records import RecordFile

Arrays = Mapping[str, np.ndarray]
FileStamps = dict[str, tuple[int, int]]
"""By what images are known again: name → bytes, nanoseconds of the last change; (-1, -1) for a missing one."""

CACHE_VERSION = 2
"""Raised when what is cached, or how it is measured, changes its meaning."""

CACHED_FROM = 1000
"""Records. Fewer are read in a moment, and their folder stays as it was."""

_FOLDER = ".facts"
_DIGEST_BYTES = 32
_log = get_logger(__name__)
_saves = ContextVar("_saves", default=True)


@contextmanager
def without_saving() -> Iterator[None]:
    """In the body nothing is written beside the records: for those who may only read there."""
    token = _saves.set(False)
    try:
        yield
    finally:
        _saves.reset(token)


def load_measured(file: RecordFile, name: str, key: str) -> Arrays | None:
    """What is cached of records under a measurement's name; ``None`` where that is nothing, or rests on something else.

    ``key`` says what it rests on besides records and images.
    """
    path = _path(file, name)
    if len(file) < CACHED_FROM or not path.exists():
        return None
    try:
        data = read_bytes(path)
    except OSError as error:
        _log.info("%s cannot be read: %s", path, error)
        return None
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if digest != _digest(content, file, name, key):
        _log.info("%s is damaged, or not of these records: they are read again", path)
        return None
    arrays = dict(np.load(io.BytesIO(content), allow_pickle=False))
    if "stamps" in arrays:
        names = from_bytes(arrays["names"])
        if arrays["stamps"].tolist() != [list(stamp) for stamp in stamps_of(file.root, names).values()]:
            _log.info("images of %s have changed: they are read again", file.path)
            return None
    return arrays


def save_measured(
    file: RecordFile, name: str, key: str, arrays: Arrays, images: FileStamps | None = None
) -> None:
    """Caches what was measured of records, see :func:`load_measured`.

    ``images`` are those that it rests on, as they were before they were measured.
    """
    if len(file) < CACHED_FROM or not _saves.get():
        return
    if images is not None:
        arrays = {
            **arrays,
            "names": as_bytes(list(images)),
            "stamps": np.array(list(images.values()), np.int64),
        }
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    content = stream.getvalue()
    try:
        write_bytes_atomically(_path(file, name), _digest(content, file, name, key) + content)
    except ArgusError as error:
        _log.info("what was measured of %s is not kept: %s", file.path, error)


def stamps_of(root: Path, names: Iterable[str]) -> FileStamps:
    """Asks the file system, which takes a fraction of reading a header."""
    return {name: _stamp(os.path.join(root, name)) for name in names}  # noqa: PTH118 - a third of the time of Path


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return -1, -1
    return found.st_size, found.st_mtime_ns


def as_bytes(value: Any) -> np.ndarray:
    """A JSON value as an array of bytes."""
    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode(), np.uint8)


def from_bytes(array: np.ndarray) -> Any:
    """Inverse of :func:`as_bytes`."""
    return json.loads(array.tobytes())


def digest_of(*values: object) -> str:
    """A key that differs as soon as the text of one of these differs."""
    return blake2b(json.dumps([str(value) for value in values]).encode(), digest_size=16).hexdigest()


def is_cached(name: str) -> bool:
    """Whether a path below a data folder, with ``/``, is that of such a file."""
    return fnmatch(name, f"*.jsonl{_FOLDER}/*.bin")


def _path(file: RecordFile, name: str) -> Path:
    return file.path.with_name(f"{file.path.name}{_FOLDER}") / f"{name}.bin"


def _digest(content: bytes, file: RecordFile, name: str, key: str) -> bytes:
    rests_on = digest_of(CACHE_VERSION, argusvl.__version__, file.content, len(file), name, key)
    return blake2b(content, digest_size=_DIGEST_BYTES, key=rests_on.encode()).digest()
