"""Scenes that Argus draws itself. A new scene is a ``generate`` function and one line of this table."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from argusvl.core.errors import DataError

SCENES: dict[str, str] = {
    "bbu-room": "argusvl.synthetic.bbu_room:generate",
    "hand-scenes": "argusvl.synthetic.hands.several:generate",
    "hands": "argusvl.synthetic.hands:generate",
}
"""Name on the command line → where the generator is; imported only when asked for."""


def generator_of(name: str) -> Callable[..., None]:
    """What draws the scenes of a name into a folder, called as :meth:`argusvl.synthetic.writing.Scenes.generate` is.

    Raises:
        DataError: There are no such scenes.
    """
    if name not in SCENES:
        raise DataError(f"there are no scenes called {name!r}", remedy=f"the scenes are: {', '.join(SCENES)}")
    found: Callable[..., None] = pkgutil.resolve_name(SCENES[name])
    return found


def draw_set(name: str, out: str | Path, **options: Any) -> None:
    """Draws the scenes of a name into a folder; an option that is ``None`` is left to their generator.

    Raises:
        DataError: There are no such scenes, or they have no such option.
        ArgusError: See the generator.
    """
    generate = generator_of(name)
    given = {option: value for option, value in options.items() if value is not None}
    known = inspect.signature(generate).parameters
    for option in given:
        if option not in known:
            what = f"the scenes {name!r} have no {option}"
            raise DataError(what, where=option, remedy="leave the option out")
    generate(out, **given)
