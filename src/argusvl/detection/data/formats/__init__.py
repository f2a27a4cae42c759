"""Annotation formats. A new one is a file with a :class:`.base.Format` and a line in the table below."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING

from argusvl.core.errors import DataError

if TYPE_CHECKING:
    from argusvl.detection.data.formats.base import Format

FORMATS: dict[str, str] = {
    "voc": "argusvl.detection.data.formats.voc:VOC",
    "coco": "argusvl.detection.data.formats.coco:COCO",
    "yolo": "argusvl.detection.data.formats.yolo:YOLO",
    "labelme": "argusvl.detection.data.formats.labelme:LABELME",
    "label-studio": "argusvl.detection.data.formats.label_studio:LABEL_STUDIO",
    "cvat": "argusvl.detection.data.formats.cvat:CVAT",
    "vendor": "argusvl.detection.data.formats.vendor:VENDOR",
    "qwen": "argusvl.detection.data.formats.qwen:QWEN",
    "ms-swift": "argusvl.detection.data.formats.ms_swift:MS_SWIFT",
    "argus": "argusvl.detection.data.formats.argus:ARGUS",
}
"""Name on the command line → where the format is, in and out; imported only when asked for."""


def format_of(name: str) -> Format:
    """A format by its name.

    Raises:
        DataError: There is no such format.
    """
    if name not in FORMATS:
        raise DataError(f"unknown format {name!r}", remedy=f"the formats are: {', '.join(FORMATS)}")
    found: Format = pkgutil.resolve_name(FORMATS[name])
    return found
