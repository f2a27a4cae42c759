"""Makes ``made_hands`` and ``made_models`` importable by their names, and a data set that many tests read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def hand_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 hands to train on and 10 held out."""
    from made_hands import write_hands

    root = tmp_path_factory.mktemp("hands")
    write_hands(root / "train", 24, seed=1)
    write_hands(root / "val", 10, seed=2)
    return root
