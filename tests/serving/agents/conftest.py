from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def place() -> Path:
    """A folder with a script, a log that gives orders, and a run."""
    return Path(__file__).parent / "place"
