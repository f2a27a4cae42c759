"""The files below a source's folder: listed once, found by the names that annotations give them."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from argus_doctor.findings import Finding
from argus_doctor.wording import printable, show_name
from argusvl.core.errors import DataError
from argusvl.core.files import is_inside
from argusvl.core.images import IMAGE_SUFFIXES
from argusvl.core.wording import counted
from argusvl.detection.data.findings import finding
from argusvl.detection.data.formats.base import Annotation, Source, SourceImage
from argusvl.detection.data.formats.text import read_content

_SPLIT_NAME = re.compile(
    r"(train|training|val|valid|validation|test|testing)(?:[-_]?(?:19|20)\d\d)?", re.IGNORECASE
)
_SPLITS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}


def split_named(name: str) -> str | None:
    """The split that a folder's or file's name stands for: ``valid`` → ``val``, ``train2017`` → ``train``."""
    match = _SPLIT_NAME.fullmatch(name)
    if match is None:
        return None
    found = match.group(1).lower()
    return _SPLITS.get(found, found)


def split_of_path(name: str) -> str | None:
    """The split of the first folder of a path that names one."""
    return next((split for part in name.split("/")[:-1] if (split := split_named(part))), None)


def list_files(root: Path, suffixes: Collection[str], source: Source) -> dict[str, Path]:
    """Path below ``root``, with ``/`` → file with such an ending (lower case), in a fixed order, without hidden ones.

    ``source`` takes the findings of names that are not UTF-8, and of links that lead outside. A link to nothing is
    listed: whoever opens it says so.
    """
    found: dict[str, Path] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = os.path.relpath(folder, root)
        for name in sorted(names):
            if name.startswith(".") or posixpath.splitext(name)[1].lower() not in suffixes:
                continue
            relative = name if here == os.curdir else posixpath.join(*Path(here).parts, name)
            if printable(relative) != relative:
                source.refuse(finding("file-name-not-utf8", ascii(relative), "the file's name is not UTF-8"))
                continue
            file = Path(folder) / name
            if file.is_symlink() and file.exists() and not is_inside(root, file):
                source.refuse(outside_problem(relative, root, relative))
                continue
            found[relative] = file
    return dict(sorted(found.items()))


def outside_problem(stated: str, root: Path, where: str) -> Finding:
    """Of a file that a data set names, or links to, outside of its own folder: it is not read.

    A data set may come from anyone, and what it names becomes a picture of ours.
    """
    text = f"{printable(stated)!r:.200} leads out of {root}"
    remedy = f"name a folder that holds the pictures too, or put them into {root}"
    return finding("malformed-annotation", where, text, remedy=remedy)


def missing_image(stated: str, where: str) -> Finding:
    """Of an image that an annotation names and no file has."""
    return finding("missing-image", where, f"there is no image {show_name(printable(stated))}", image=stated)


def list_images(root: Path, source: Source) -> dict[str, Path]:
    """The images below a folder; see :func:`list_files`."""
    return list_files(root, IMAGE_SUFFIXES, source)


class ImageFinder:
    """Finds images by the names that annotations give them.

    Args:
        images: Path below the source's folder → file.

    Attributes:
        used: Those that an annotation was found for.
    """

    def __init__(self, images: dict[str, Path]) -> None:
        self.images = images
        self.used: set[str] = set()
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        self._by_bare_stem: dict[str, list[str]] = {}
        for name in images:
            self._by_name.setdefault(posixpath.basename(name), []).append(name)

    def find(self, stated: str, folders: Iterable[str]) -> str | None:
        """The image's path below the source's folder, or ``None``.

        Looked for in ``folders`` (below the source's, which is ``""``) one after the other, then by the bare name where
        just one image has it: annotation files are moved, and the folders that they state stay behind.
        """
        wanted = stated.replace("\\", "/")
        for folder in folders:
            candidate = posixpath.normpath(posixpath.join(folder, wanted))
            if candidate in self.images:
                return candidate
        named = self._by_name.get(posixpath.basename(wanted), [])
        return named[0] if len(named) == 1 else None

    def of_stem(self, stem: str) -> list[str]:
        """The images of a path without its ending; else those with this bare name, in whatever folder."""
        if not self._by_stem:
            for name in self.images:
                self._by_stem.setdefault(stem_of(name), []).append(name)
                self._by_bare_stem.setdefault(posixpath.basename(stem_of(name)), []).append(name)
        return self._by_stem.get(stem) or self._by_bare_stem.get(posixpath.basename(stem), [])

    def use(self, name: str) -> Path:
        """The file of an image, which is used from now on."""
        self.used.add(name)
        return self.images[name]


Listed = tuple[str | None, Annotation, str]
"""One entry of an image: the split that is stated for it, what it says, and its place for a finding."""


def add_listed(source: Source, finder: ImageFinder, entries: Mapping[str, Sequence[Listed]]) -> None:
    """Adds images by all that annotation files say of each: exports that were joined have several entries of one.

    The objects of its entries are joined, those that stand in several of them once. What contradicts the entries
    before it about the image's split or size is not used, and is an error.
    """
    for name, ((split, annotation, _), *others) in entries.items():
        counts, where = [len(annotation.entries)], ""
        for other_split, other, place in others:
            splits, sizes = {split, other_split} - {None}, {annotation.size, other.size} - {None}
            if len(splits) > 1 or len(sizes) > 1:
                before, now = (
                    (split, other_split) if len(splits) > 1 else map(_shown, (annotation.size, other.size))
                )
                text = f"{name!r} is listed before as {before}, and here as {now}: of this entry, "
                lost = counted(len(other.entries), "object")
                source.findings.append(
                    finding("listings-differ", place, f"{text}{lost} cannot be used", image=name)
                )
                source.refused_objects += len(other.entries)
                continue
            split, annotation, where = split or other_split, _joined(annotation, other), place
            counts.append(len(other.entries))
        if len(counts) > 1:
            total = len(annotation.entries)
            text = f"{name!r} is listed {len(counts)} times; its {counted(total, 'object')} were joined"
            text += (
                f", and {sum(counts) - total} that stood twice are used once" if total < sum(counts) else ""
            )
            source.findings.append(finding("listed-twice", where, text, image=name))
        source.images.append(SourceImage(finder.use(name), name, split, known(annotation)))


def _joined(first: Annotation, second: Annotation) -> Annotation:
    """What two entries say of one image; objects that both have are taken once, and counted through."""
    there = {(one.label, one.box_xyxy_px) for one in first.objects}
    entries = list(first.entries)
    for one in second.entries:
        if isinstance(one, Finding):
            entries.append(one)
        elif (one.label, one.box_xyxy_px) not in there:
            entries.append(replace(one, index=len(entries)))
    return replace(
        first,
        entries=entries,
        remarks=(*first.remarks, *second.remarks),
        size=first.size or second.size,
        usable=first.usable or second.usable,
        relative=first.relative or second.relative,
    )


def _shown(size: tuple[int, int] | None) -> str:
    return "" if size is None else f"{size[0]}×{size[1]}"


Parsed = tuple[list[tuple[str | None, Annotation]], list[Finding]]
"""The images' annotations, each with the split that a file states for it, and what concerns no image."""


def list_documents(folder: Path, suffix: str, parse: Callable[[bytes, str], Parsed], remedy: str) -> Source:
    """Lists images by files that annotate many of them each: those of a folder, or one beside its images.

    ``parse`` reads the bytes of a file, which findings name by the text; ``remedy`` says what to do without any.

    Raises:
        DataError: There is no such folder or file, or no such file in the folder.
    """
    if not folder.exists():
        raise DataError("no such file or folder", where=folder, remedy=remedy)
    source = Source()
    root = folder if folder.is_dir() else folder.parent
    files = list_files(root, {suffix}, source) if folder.is_dir() else {folder.name: folder}
    if not files:
        raise DataError(f"holds no {suffix[1:].upper()} file", where=folder, remedy=remedy)
    finder = ImageFinder(list_images(root, source))
    entries: dict[str, list[Listed]] = {}
    for name, file in files.items():
        content = read_content(file, name)
        annotations, findings = ([], [content]) if isinstance(content, Finding) else parse(content, name)
        source.findings += findings
        for split, annotation in annotations:
            stated, where = annotation.file_name, annotation.where
            found = None if stated is None else finder.find(stated, ["", "images"])
            if stated is None:  # refused by its own findings
                source.findings += annotation.findings
                source.refused_images += 1
            elif found is None:
                source.refuse(missing_image(stated, where))
            else:
                entries.setdefault(found, []).append((split or split_of_path(found), annotation, where))
    add_listed(source, finder, entries)
    return source


def known(annotation: Annotation) -> Callable[[], Annotation]:
    """Of an image whose annotation was read when the source was listed."""
    return lambda: annotation


def name_of_path(stated: str) -> str:
    """A record's image path as a name below an image folder: no drive, no ``..``, and no ``images/`` before it."""
    path = PurePosixPath(stated.replace("\\", "/"))
    parts = [part for part in path.parts if part not in ("/", "..", ".")]
    if len(parts) > 1 and parts[0].endswith(":"):
        del parts[0]
    return "/".join(parts[1:] if len(parts) > 1 and parts[0] == "images" else parts)


def stem_of(name: str) -> str:
    """A path without its ending."""
    return posixpath.splitext(name)[0]


def unique_stem(stem: str, taken: dict[str, int]) -> str:
    """A path without its ending that no other has, whatever the case: some file systems do not tell it.

    A number is added where it is ``taken``: by those so far, with the number to go on from; the new one is added.
    """
    candidate, wanted = stem, stem.casefold()
    while candidate.casefold() in taken:
        taken[wanted] += 1
        candidate = f"{stem}~{taken[wanted]}"
    taken[candidate.casefold()] = 1
    return candidate
