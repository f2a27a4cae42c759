"""Names of shipped models stand for their folders; any other path is itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from argusvl.assets import MODELS, model_folder


def test_a_name_stands_for_the_folder_in_the_package() -> None:
    assert model_folder("argus-tiny") == MODELS["argus-tiny"]
    assert model_folder(Path("argus-tiny")) == MODELS["argus-tiny"]


def test_any_other_path_is_itself() -> None:
    assert model_folder("models/argus-tiny") == Path("models/argus-tiny")


def test_a_folder_of_the_users_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "argus-tiny").mkdir()
    assert model_folder("argus-tiny") == Path("argus-tiny")
