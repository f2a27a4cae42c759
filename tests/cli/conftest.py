"""The tiny checkpoint and its pictures, shared with the detection tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_place = Path(__file__).parents[1] / "detection" / "conftest.py"
_spec = importlib.util.spec_from_file_location("detection_fixtures", _place)
assert _spec is not None and _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

scenes = _fixtures.scenes
tiny_checkpoint = _fixtures.tiny_checkpoint
