"""Shipped models are small; their names stand for their folders, and any other path is itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from argusvl.assets import MODELS, model_folder
from argusvl.tasks import task_at


@pytest.mark.parametrize(
    ("name", "mebibytes", "task"),
    [
        ("argus-tiny", 12, "detection"),
        ("argus-hand", 12, "manipulation"),
        ("argus-hand-finder", 14, "detection"),
    ],
)
def test_a_shipped_model_is_small_and_says_its_task(name: str, mebibytes: int, task: str) -> None:
    sizes = [file.stat().st_size for file in MODELS[name].rglob("*") if file.is_file()]
    assert sum(sizes) <= mebibytes * 2**20 and task_at(name) == task


def test_a_name_stands_for_the_folder_in_the_package_and_any_other_path_for_itself() -> None:
    assert model_folder("argus-tiny") == MODELS["argus-tiny"]
    assert model_folder(Path("argus-tiny")) == MODELS["argus-tiny"]
    assert model_folder("models/argus-tiny") == Path("models/argus-tiny")


def test_a_folder_of_the_users_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "argus-tiny").mkdir()
    assert model_folder("argus-tiny") == Path("argus-tiny")
