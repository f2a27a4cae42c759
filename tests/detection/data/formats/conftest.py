"""A folder to write sources into."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


@dataclass(frozen=True)
class SourceFolder:
    """Writes images and annotation files below a folder."""

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


@pytest.fixture
def source(tmp_path: Path) -> SourceFolder:
    (tmp_path / "source").mkdir()
    return SourceFolder(tmp_path / "source")


@pytest.fixture
def found() -> Callable[..., list[tuple[str, str]]]:
    """``(kind, where)`` of the findings of a listed source and of all its annotations."""

    def collect(listed: Any) -> list[tuple[str, str]]:
        findings = [*listed.findings, *(f for image in listed.images for f in image.annotate().findings)]
        return [(one.slug, one.where) for one in findings]

    return collect
