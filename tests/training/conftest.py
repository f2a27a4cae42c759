"""Makes the toy task importable by its name, here and in processes that tests start."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of checkpoints: on a busy disk their fsync would take most of the time and show nothing."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a whole run of the toy task with these options, trained once for all who look at it.

    ``task``: options of the task itself, which is of a ``kind``.
    """
    from toy_task import ToyTask, train

    folders: dict[str, Path] = {}

    def folder_of(
        task: Mapping[str, Any] | None = None, kind: type[ToyTask] = ToyTask, **options: Any
    ) -> Path:
        key = repr((kind, task, sorted(options.items())))
        if key not in folders:
            folder = tmp_path_factory.mktemp("trained") / "run"
            train(kind(**task or {}), folder, **options)
            folders[key] = folder
        return folders[key]

    return folder_of


@pytest.fixture
def copied(trained: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """As ``trained``, a copy at ``tmp_path / "run"`` that may be changed and trained further."""
    return lambda *task, **options: Path(
        shutil.copytree(trained(*task, **options), tmp_path / "run", symlinks=True)
    )


@pytest.fixture(scope="session")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run of two processes."""
    from test_ranks import both_ranks

    folder = tmp_path_factory.mktemp("ranks")
    both_ranks(folder)
    return folder
