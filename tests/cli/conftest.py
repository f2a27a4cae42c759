"""The tiny checkpoint and its pictures, shared with the detection tests; logging as it was before each test."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

_place = Path(__file__).parents[1] / "detection" / "conftest.py"
_spec = importlib.util.spec_from_file_location("detection_fixtures", _place)
assert _spec is not None and _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

scenes = _fixtures.scenes
tiny_checkpoint = _fixtures.tiny_checkpoint


@pytest.fixture
def quiet_logging() -> Iterator[None]:
    """The command configures logging; the handlers of this process come back afterwards."""
    root = logging.getLogger("argusvl")
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
