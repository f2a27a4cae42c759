"""The tiny checkpoint, loaded once: each test gets a copy of the model that it may change."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest

from argusvl.core import precision
from argusvl.detection.predict import Predictor


@pytest.fixture(scope="session")
def loaded(tiny_checkpoint: Path) -> Predictor:
    with pytest.MonkeyPatch.context() as patch:  # in float32 on every machine, like all tests
        patch.setattr(precision, "cpu_speed", lambda: 0.5)
        return Predictor.from_pretrained(tiny_checkpoint)


@pytest.fixture
def predictor(loaded: Predictor) -> Predictor:
    model = copy.deepcopy(loaded.model)
    return Predictor(model, loaded.processor, loaded.assets, loaded.teacher_pool, loaded.folder)


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
