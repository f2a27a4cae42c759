"""Makes the pose task importable by the name that its entry has, and the engine's toy task beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "training")]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
