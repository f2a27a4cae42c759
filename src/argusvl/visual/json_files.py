"""Files that a report is made of: one that is not there is as if it were empty, a damaged one is an error."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from argusvl.core import files
from argusvl.core.errors import DataError
from argusvl.core.files import cannot_read, read_json_object
from argusvl.core.strict_json import shown


def read_text(file: Path) -> str:
    """The file's text; empty if it is not there.

    Raises:
        DataError: It cannot be read, or is not UTF-8.
    """
    try:
        return files.read_text(file)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise cannot_read(file, error, DataError) from None
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: {error}", where=file, remedy="save the file as UTF-8") from None


def read_object(file: Path) -> dict[str, Any]:
    """The object that a JSON file holds; empty if the file is not there.

    Raises:
        DataError: It cannot be read, is not JSON, or no object.
    """
    with contextlib.suppress(OSError, ValueError):  # whose reason the reading tells
        try:
            file.stat()
        except FileNotFoundError:
            return {}
    remedy = "write the file again, or remove it to report without it"
    return read_json_object(file, remedy=remedy, error=DataError)


def bad_value(file: Path, what: str, found: Any, remedy: str) -> DataError:
    """An error about a value in a file."""
    return DataError(f"{what}: found {shown(found, 120)}", where=file, remedy=remedy)
