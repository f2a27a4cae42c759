"""A tiny backbone, a folder of small pictures, and a disk that does not wait."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from samples import TinyBackbone, write_photos


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a power cut would show the difference."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def tiny() -> TinyBackbone:
    return TinyBackbone()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten small pictures, number 4 is cut off."""
    return write_photos(tmp_path / "photos", 10, corrupt=(4,))
