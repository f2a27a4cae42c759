"""A log of given text, diagnosed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from argus_doctor.logs.diagnosis import Diagnosis, diagnose


@pytest.fixture
def diagnosed(tmp_path: Path) -> Callable[..., Diagnosis]:
    def write(content: str | bytes, name: str = "train.log") -> Diagnosis:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return diagnose(str(path))

    return write
