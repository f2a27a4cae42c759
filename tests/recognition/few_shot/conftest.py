"""Data folders whose classes differ in colour, so that a tiny backbone tells them apart; also for tests elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from samples import TinyNetwork, make_category, opened, picture, write


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One category of three classes with four shots and six queries each."""
    return make_category(tmp_path / "data")


@pytest.fixture
def tiny_backbone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[TinyNetwork]:
    """The commands find the tiny network as ``tiny`` and ``tiny:b``, and a cache of their own; what they loaded."""
    loaded: list[TinyNetwork] = []

    def load(spec: str, *, device: Any = "cpu") -> TinyNetwork:
        if not spec.startswith("tiny"):
            return real(spec, device=device)  # type: ignore[no-any-return]
        loaded.append(TinyNetwork(side=14, weights=(spec.partition(":")[2] or "a") * 64))
        return loaded[-1]

    import argusvl.recognition.backbones.views as views

    real: Any = views.load_backbone
    monkeypatch.setattr(views, "load_backbone", load)
    monkeypatch.setenv("ARGUS_CACHE", str(tmp_path / "cache"))
    return loaded


@pytest.fixture(scope="session")
def few_shot() -> SimpleNamespace:
    """What makes data folders, for tests that cannot import it."""
    makers = {"make_category": make_category, "picture": picture, "opened": opened, "write": write}
    return SimpleNamespace(**makers, TinyNetwork=TinyNetwork)
