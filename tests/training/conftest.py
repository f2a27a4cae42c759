"""Makes the toy task importable by its name, here and in processes that tests start."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _imports_are_no_garbage() -> None:
    """Each run begins with a garbage collection; half a million objects of imported modules need not be walked."""
    import toy_task  # noqa: F401 - imports all that a run needs

    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of checkpoints: on a busy disk their fsync would take most of the time and show nothing."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
