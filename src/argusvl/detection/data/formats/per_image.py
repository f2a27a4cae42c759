"""Formats with one annotation file an image: which image belongs to which file."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from functools import partial
from pathlib import Path

from argus_doctor.findings import Finding
from argusvl.core.errors import DataError
from argusvl.core.files import require_folder
from argusvl.detection.data.findings import finding
from argusvl.detection.data.formats.base import Annotation, Source, SourceImage
from argusvl.detection.data.formats.text import JsonText, parse_json, read_content
from argusvl.detection.data.formats.tree import ImageFinder, list_files, list_images, split_of_path, stem_of

Parser = Callable[[bytes, str], Annotation]
"""Bytes of an annotation file and its name for findings → what they say."""


def json_parser(parse: Callable[[JsonText], Annotation]) -> Parser:
    """Of a format whose files are JSON."""

    def parse_bytes(content: bytes, where: str) -> Annotation:
        document = parse_json(content, where)
        return Annotation.unusable(where, document) if isinstance(document, Finding) else parse(document)

    return parse_bytes


def list_per_image(
    folder: Path,
    parse: Parser,
    remedy: str,
    *,
    suffix: str = ".json",
    image_folder: str = "",
    annotation_folder: str = "",
) -> Source:
    """Lists a folder of images with a file each: beside them, or anywhere else under the same name.

    Folders called ``train``, ``val`` (``valid``) and ``test`` are splits. Names of images begin below ``image_folder``;
    ``remedy`` says what to do where the folder holds nothing of the kind.

    Raises:
        DataError: There is no such folder, or it holds neither images nor such files.
    """
    require_folder(folder, remedy=remedy)
    source = Source()
    finder = ImageFinder(list_images(folder / image_folder, source))
    files = list_files(folder / annotation_folder, {suffix}, source)
    named = {name: finder.of_stem(stem_of(name)) for name in files}
    # Copied files state the image of another one: those that share its name come first.
    for name, candidates in sorted(named.items(), key=lambda item: len(item[1]) != 1):
        file, where = files[name], posixpath.join(annotation_folder, name)
        image = (
            candidates[0] if len(candidates) == 1 else _stated_image(file, name, parse, finder, candidates)
        )
        if image is None:
            text = "no image of this name belongs to it"
            source.refuse(finding("annotation-without-image", where, text))
        elif image in finder.used:
            text = f"belongs to {image!r}, which another file annotates"
            source.refuse(finding("listed-twice", where, text, image=image))
        else:
            read = partial(read_annotation, file, where, parse)
            source.images.append(SourceImage(finder.use(image), image, split_of_path(image), read))
    for image in finder.images:
        if image not in finder.used:
            text = f"no {suffix} file belongs to it"
            where = posixpath.join(image_folder, image)
            source.refuse(finding("image-without-annotation", where, text, image=image))
    if not source.images and not source.findings:
        raise DataError(f"holds neither images nor {suffix} files", where=folder, remedy=remedy)
    source.images.sort(key=lambda image: image.name)
    return source


def _stated_image(
    file: Path, name: str, parse: Parser, finder: ImageFinder, candidates: list[str]
) -> str | None:
    """The image that the document names; else, of ``a.jpg`` and ``a.png`` beside ``a.json``, the first."""
    stated = read_annotation(file, name, parse).file_name
    found = finder.find(stated, [posixpath.dirname(name)]) if stated else None
    if found is not None:
        return found
    return next((c for c in candidates if posixpath.dirname(c) == posixpath.dirname(name)), None)


def read_annotation(file: Path, where: str, parse: Parser) -> Annotation:
    """What a file says of its image, or why it cannot be read."""
    content = read_content(file, where)
    return Annotation.unusable(where, content) if isinstance(content, Finding) else parse(content, where)


def unusable(document: JsonText, text: str, *path: str | int) -> Annotation:
    """An annotation that cannot be used, with its one finding."""
    problem = finding("malformed-annotation", document.place(*path), text)
    return Annotation.unusable(document.where, *document.warnings, problem)
