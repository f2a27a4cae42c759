"""Annotation formats. A new one is a file with a :class:`Reader` and a line in the table below."""

from __future__ import annotations

from argusvl.core.errors import DataError
from argusvl.detection.data.formats.base import (
    Annotation,
    Reader,
    ReadOptions,
    Source,
    SourceImage,
    SourceObject,
)
from argusvl.detection.data.formats.voc import list_voc

FORMATS: dict[str, Reader] = {
    "voc": list_voc,
}
"""Name on the command line → reader."""

__all__ = [
    "FORMATS",
    "Annotation",
    "ReadOptions",
    "Reader",
    "Source",
    "SourceImage",
    "SourceObject",
    "reader_of",
]


def reader_of(name: str) -> Reader:
    """The reader of a format.

    Raises:
        DataError: There is no such format.
    """
    if name not in FORMATS:
        raise DataError(f"unknown format {name!r}", remedy=f"the formats are: {', '.join(FORMATS)}")
    return FORMATS[name]
