"""Which reader a configuration means: its name, and the options that this reader takes."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from argus_doctor.wording import did_you_mean
from argusvl.core.errors import ConfigError

if TYPE_CHECKING:
    from argusvl.manipulation.data.formats.base import HandData

Format = Literal["folder", "freihand", "dexycb", "coco"]

FORMATS: dict[Format, str] = {
    "folder": "argusvl.manipulation.data.formats.folder:HandFolder",
    "freihand": "argusvl.manipulation.data.formats.freihand:FreiHand",
    "dexycb": "argusvl.manipulation.data.formats.dexycb:DexYcb",
    "coco": "argusvl.manipulation.data.formats.coco:CocoHands",
}
"""Name → reader; each is called with a path and its own options by their names."""


def open_hands(path: Path, format_name: Format, options: Mapping[str, Any]) -> HandData:
    """A data set, opened by the reader of its format with its options by their names.

    Raises:
        ConfigError: The reader has no such option, or needs one that is not given.
        DataError: The data are not of that format, or not there.
    """
    reader = pkgutil.resolve_name(FORMATS[format_name])
    known = dict(list(inspect.signature(reader).parameters.items())[1:])
    for name in options:
        if name not in known:
            what = f"the reader {format_name} has no option {name!r}{did_you_mean(name, known)}"
            raise ConfigError(what, where=path, remedy=f"its options are: {', '.join(known) or 'none'}")
    missing = [n for n, one in known.items() if one.default is inspect.Parameter.empty and n not in options]
    if missing:
        remedy = f"give --option {missing[0]}=…; in a configuration, train_options and val_options hold them"
        raise ConfigError(f"the reader {format_name} needs {', '.join(missing)}", where=path, remedy=remedy)
    given = {}
    for name, value in options.items():
        # On the command line a list is names between commas.
        several = isinstance(known[name].default, tuple) and isinstance(value, str)
        values = value.split(",") if several else value
        given[name] = tuple(values) if isinstance(values, list) else values
    found: HandData = reader(path, **given)
    return found
