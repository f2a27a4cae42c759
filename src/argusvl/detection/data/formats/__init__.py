"""Annotation formats. A new one is a file with a :class:`Format` and a line in the table below."""

from __future__ import annotations

from argusvl.core.errors import DataError
from argusvl.detection.data.formats.argus import ARGUS
from argusvl.detection.data.formats.base import (
    Annotation,
    Format,
    PlacedImage,
    PlacedRecord,
    PlacedScene,
    Reader,
    ReadOptions,
    Source,
    SourceImage,
    SourceObject,
    WriteOptions,
    Writer,
)
from argusvl.detection.data.formats.coco import COCO
from argusvl.detection.data.formats.labelme import LABELME
from argusvl.detection.data.formats.ms_swift import MS_SWIFT
from argusvl.detection.data.formats.qwen import QWEN
from argusvl.detection.data.formats.vendor import VENDOR
from argusvl.detection.data.formats.voc import VOC
from argusvl.detection.data.formats.yolo import YOLO

FORMATS: dict[str, Format] = {
    "voc": VOC,
    "coco": COCO,
    "yolo": YOLO,
    "labelme": LABELME,
    "vendor": VENDOR,
    "qwen": QWEN,
    "ms-swift": MS_SWIFT,
    "argus": ARGUS,
}
"""Name on the command line → the format, in and out."""

__all__ = [
    "FORMATS",
    "Annotation",
    "Format",
    "PlacedImage",
    "PlacedRecord",
    "PlacedScene",
    "ReadOptions",
    "Reader",
    "Source",
    "SourceImage",
    "SourceObject",
    "WriteOptions",
    "Writer",
    "format_of",
    "reader_of",
]


def format_of(name: str) -> Format:
    """A format by its name.

    Raises:
        DataError: There is no such format.
    """
    if name not in FORMATS:
        raise DataError(f"unknown format {name!r}", remedy=f"the formats are: {', '.join(FORMATS)}")
    return FORMATS[name]


def reader_of(name: str) -> Reader:
    """The reader of a format.

    Raises:
        DataError: There is no such format.
    """
    return format_of(name).read
