"""Scenes that Argus draws itself. A new scene is a ``generate`` function and one line of this table."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from argusvl.detection.data.manifest import Manifest
from argusvl.detection.data.synthetic import bbu_room, shapes


class SceneGenerator(Protocol):
    """Draws a set of pictures with records; see :func:`argusvl.detection.data.synthetic.bbu_room.generate`."""

    def __call__(
        self,
        out: str | Path,
        *,
        images: int,
        seed: int,
        width: int = ...,
        height: int = ...,
        language: str = ...,
        progress: bool = ...,
    ) -> Manifest:
        """Draws the set into ``out`` and returns its manifest."""
        ...


SCENES: dict[str, SceneGenerator] = {bbu_room.NAME: bbu_room.generate, shapes.NAME: shapes.generate}
