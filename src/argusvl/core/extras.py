"""Packages that come with an extra of ours: there, or an error that names the extra."""

from __future__ import annotations

import importlib
from typing import Any

from argusvl.core.errors import ArgusError


def import_extra(extra: str, *modules: str) -> Any:
    """The package of an extra, which is called as the extra is, with modules of it that it does not import itself.

    Raises:
        ArgusError: It is not installed.
    """
    require_extra(extra, extra, *(f"{extra}.{name}" for name in modules))
    return importlib.import_module(extra)


def require_extra(extra: str, *packages: str) -> None:
    """Refuses to go on without the packages of an extra.

    Raises:
        ArgusError: One is not installed.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ArgusError(
                f"{package.partition('.')[0]} cannot be imported: {error}",
                remedy=f"install the extra that brings it: pip install 'argusvl[{extra}]'",
            ) from error
