"""Which images are meant, in an order that is the same everywhere: sorted by the bytes of their names.

What cannot be searched (an unreadable folder, a link that leads back) is named, what is no image by its name is
counted: nothing vanishes. An image that cannot be read stays in the list; the extraction names it with its reason.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from argusvl.core.errors import DataError
from argusvl.core.files import read_bytes
from argusvl.core.images import IMAGE_SUFFIXES
from argusvl.core.strict_json import decode_json

LIST_SUFFIXES = frozenset({".txt", ".jsonl"})

_Identity = tuple[int, int]
"""Device and inode: the same for a folder under all its names."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A place that could not be searched, relative to the root, with ``/``, and what is wrong with it."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The images that were found.

    Attributes:
        root: What the names are relative to.
        paths: Names with ``/``, sorted by their bytes, each once.
        problems: What could not be searched, sorted.
        other_files: How many files with another suffix were passed by: suffix → number.
        repeated: How many entries named an image that had been named before.
        folders: Names of the folders below the root that were searched, also of empty ones, sorted.
    """

    root: Path
    paths: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    other_files: Mapping[str, int] = field(default_factory=dict)
    repeated: int = 0
    folders: tuple[str, ...] = ()


def find_images(sources: Path | Sequence[Path], *, exclude: Path | None = None) -> Listing:
    """The images of a folder, of a list, or the files named.

    Names are relative to the folder where one folder is given, or to the folder of the list; otherwise they are as
    given. Links to folders are followed, unless they lead back to a folder that they are in. A file is an image by its
    suffix (:data:`~argusvl.core.images.IMAGE_SUFFIXES`); a file that is named one by one, or stands in a list, is meant
    whatever its suffix.

    Args:
        sources: A folder; a list of files (``.txt``: a path on each line; ``.jsonl``: a JSON string, or an object
            with ``path``, on each line, for names with a line break); or several files, folders and lists.
        exclude: A folder that is not searched: where the vectors are written.

    Raises:
        DataError: A source is missing or cannot be read, a list is damaged, or there is no image at all.
    """
    given = [sources] if isinstance(sources, Path) else list(sources)
    search = _Search(_identity(exclude) if exclude is not None else None)
    if len(given) == 1 and given[0].is_dir():
        root = given[0]
        search.folder(root, "")
    elif len(given) == 1 and _is_list(given[0]):
        root = given[0].parent
        search.listed(given[0], root)
    else:
        root = Path()
        for source in given:
            search.named(source)
    paths = tuple(sorted(set(search.found), key=os.fsencode))
    if not paths:
        raise DataError(
            f"no image is there{search.summary()}",
            where=", ".join(str(source) for source in given),
            remedy=f"name a folder with files {', '.join(sorted(IMAGE_SUFFIXES))}, or a list of files",
        )
    return Listing(
        root=root,
        paths=paths,
        problems=tuple(sorted(search.problems, key=lambda problem: os.fsencode(problem.path))),
        other_files=dict(sorted(search.others.items())),
        repeated=len(search.found) - len(paths),
        folders=tuple(sorted(search.folders, key=os.fsencode)),
    )


class _Search:
    """What was found so far."""

    def __init__(self, excluded: _Identity | None) -> None:
        self.found: list[str] = []
        self.folders: list[str] = []
        self.problems: list[Problem] = []
        self.others: Counter[str] = Counter()
        self._excluded = excluded

    def summary(self) -> str:
        """What there is instead of images."""
        parts = [f"{problem.path}: {problem.reason}" for problem in self.problems[:3]]
        parts += [
            f"{number} {suffix or 'files without suffix'}" for suffix, number in self.others.most_common(3)
        ]
        return f" ({'; '.join(parts)})" if parts else ""

    def named(self, source: Path) -> None:
        """A path of the command line: a folder, a list or a file."""
        if source.is_dir():
            self.folder(source, "" if source == Path() else source.as_posix())
        elif _is_list(source):
            self.listed(source, Path())
        elif source.exists() or source.is_symlink():
            self.found.append(source.as_posix())
        else:
            raise DataError("no such file or folder", where=source, remedy="check the path")

    def listed(self, file: Path, root: Path) -> None:
        """The entries of a list; they are relative to its folder."""
        before = len(self.found)
        for entry in _entries(file):
            self.found.append(PurePosixPath(os.path.relpath(file.parent, root), entry).as_posix())
        if len(self.found) == before:
            raise DataError("the list is empty", where=file, remedy="write the name of an image on each line")

    def folder(self, top: Path, prefix: str) -> None:
        """Everything below a folder; the names begin with ``prefix``."""
        try:
            pending = [(prefix, os.fspath(top), frozenset([_identity(top)]))]
            next(os.scandir(top), None)
        except OSError as error:
            raise DataError(
                f"the folder cannot be read: {error.strerror}", where=top, remedy="check its permissions"
            ) from None
        while pending:  # no recursion: folders may lie deeper than Python's stack
            name, path, within = pending.pop()
            try:
                with os.scandir(path) as entries:
                    for entry in entries:
                        below = f"{name}/{entry.name}" if name else entry.name
                        if (identity := self._look(entry, below, within)) is not None:
                            self.folders.append(below)
                            pending.append((below, entry.path, within | {identity}))
            except OSError as error:
                self.problems.append(Problem(name, f"the folder cannot be read: {error.strerror}"))

    def _look(self, entry: os.DirEntry[str], name: str, within: frozenset[_Identity]) -> _Identity | None:
        """Notes an entry of a folder; gives what identifies it where it is a folder to search."""
        try:
            if not entry.is_dir():
                self._file(name)
                return None
            identity = _identity(Path(entry.path))
        except OSError as error:
            if error.errno == errno.ELOOP and _is_image(name):
                self._file(name)  # a link to itself; reading it says so
            else:
                self.problems.append(Problem(name, f"cannot be looked at: {error.strerror}"))
            return None
        if identity == self._excluded:
            return None
        if identity in within:
            self.problems.append(
                Problem(name, "a link that leads back to a folder that it is in; it was not followed")
            )
            return None
        return identity

    def _file(self, name: str) -> None:
        if _is_image(name):
            self.found.append(name)
        else:
            self.others[PurePosixPath(name).suffix.lower()] += 1


def _entries(file: Path) -> Iterator[str]:
    """The names in a list."""
    try:
        data = read_bytes(file)
    except OSError as error:
        raise DataError(
            f"the list cannot be read: {error.strerror}", where=file, remedy="check it and its permissions"
        ) from None
    # Split at line feeds only: other characters that end lines for Python may be part of a name.
    for number, line in enumerate(data.split(b"\n"), start=1):
        text = os.fsdecode(line.removesuffix(b"\r"))
        if not text.strip():
            continue
        yield _json_name(text, file, number) if file.suffix.lower() == ".jsonl" else text


def _json_name(text: str, file: Path, number: int) -> str:
    try:
        value = decode_json(text)
    except ValueError as error:
        raise DataError(
            f"not JSON: {error}", where=f"{file}, line {number}", remedy="write a JSON string on each line"
        ) from None
    if isinstance(value, dict):
        value = value.get("path", value.get("image"))  # as data sets and as classify and search write them
    if not isinstance(value, str) or not value or "\0" in value:
        raise DataError(
            f"expected a file name, found {text[:60]}",
            where=f"{file}, line {number}",
            remedy='write a JSON string on each line, or an object with "path" or "image"',
        )
    return value


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in LIST_SUFFIXES and path.is_file()


def _identity(folder: Path) -> _Identity:
    """Raises ``OSError`` where it cannot be found out."""
    status = folder.stat()
    return status.st_dev, status.st_ino
