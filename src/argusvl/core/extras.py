"""Packages that come with an extra of ours: there, or an error that names the extra."""

from __future__ import annotations

import importlib
from typing import Any

from argusvl.core.errors import ArgusError


def import_extra(extra: str, *modules: str) -> Any:
    """The package of an extra, which is called as the extra is.

    Args:
        extra: Its name.
        modules: What of it is needed and not imported with it.

    Raises:
        ArgusError: It is not installed.
    """
    try:
        package = importlib.import_module(extra)
        for name in modules:
            importlib.import_module(f"{extra}.{name}")
    except ImportError as error:
        raise ArgusError(
            f"{extra} cannot be imported: {error}",
            remedy=f"install the extra that brings it: pip install 'argusvl[{extra}]'",
        ) from error
    return package


def require_extra(extra: str, *packages: str) -> None:
    """Refuses to go on without the packages of an extra that is called as none of them.

    Raises:
        ArgusError: One is not installed.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ArgusError(
                f"{package} cannot be imported: {error}",
                remedy=f"install the extra that brings it: pip install 'argusvl[{extra}]'",
            ) from error
