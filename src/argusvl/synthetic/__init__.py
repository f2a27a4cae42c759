"""Scenes that Argus draws itself. A new scene is a ``generate`` function and one line of this table."""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Protocol

from argusvl.core.errors import DataError


class SceneGenerator(Protocol):
    """Draws a set of pictures with records; see :func:`argusvl.synthetic.bbu_room.generate`."""

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
    ) -> None:
        """Draws the set into ``out``."""
        ...


SCENES: dict[str, str] = {
    "bbu-room": "argusvl.synthetic.bbu_room:generate",
    "shapes": "argusvl.synthetic.shapes:generate",
}
"""Name on the command line → where the generator is; imported only when asked for."""


def generator_of(name: str) -> SceneGenerator:
    """What draws the scenes of a name.

    Raises:
        DataError: There are no such scenes.
    """
    if name not in SCENES:
        raise DataError(f"there are no scenes called {name!r}", remedy=f"the scenes are: {', '.join(SCENES)}")
    found: SceneGenerator = pkgutil.resolve_name(SCENES[name])
    return found
