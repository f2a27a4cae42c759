"""A folder to write sources into."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from argusvl.detection.data.formats import format_of
from argusvl.detection.data.formats.base import Annotation, ReadOptions, Source


@dataclass(frozen=True)
class SourceFolder:
    """Writes images and annotation files below a folder, and reads them."""

    root: Path

    def image(self, name: str, size: tuple[int, int] = (64, 48)) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (90, 120, 60)).save(path)
        return path

    def text(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    def json(self, name: str, value: Any, **keywords: Any) -> Path:
        return self.text(name, json.dumps(value, ensure_ascii=False, **keywords))

    def lines(self, name: str, *values: Any) -> Path:
        return self.text(name, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))

    def read(self, format_name: str, path: str = "", **options: Any) -> Source:
        return format_of(format_name).read(self.root / path, ReadOptions(**options))

    @staticmethod
    def found(listed: Source) -> list[tuple[str, str]]:
        """``(kind, where)`` of the findings of a listed source and of all its annotations."""
        findings = [*listed.findings, *(f for image in listed.images for f in image.annotate().findings)]
        return [(one.slug, one.where) for one in findings]

    @staticmethod
    def splits(listed: Source) -> dict[str, str | None]:
        return {image.name: image.split for image in listed.images}

    @staticmethod
    def objects(read: Annotation) -> list[tuple[str, tuple[float, ...]]]:
        return [(one.label, one.box_xyxy_px) for one in read.objects]


@pytest.fixture
def source(tmp_path: Path) -> SourceFolder:
    (tmp_path / "source").mkdir()
    return SourceFolder(tmp_path / "source")
