"""JSON files that others wrote: each thing that is not as agreed is an error with its place and a remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from pydantic import BaseModel, ValidationError

from argusvl.core import files
from argusvl.core.errors import DataError
from argusvl.core.files import cannot_read
from argusvl.core.strict_json import shown

_Schema = TypeVar("_Schema", bound=BaseModel)


def read_text(file: Path) -> str:
    """The file's text; empty if it is not there.

    Raises:
        DataError: It cannot be read, or is not UTF-8.
    """
    return _read(file, files.read_text, "")


def read_json(file: Path) -> Any:
    """The decoded file; ``None`` if it is not there.

    Raises:
        DataError: It cannot be read, or is not JSON.
    """
    return _read(file, files.read_json, None)


def _read(file: Path, read: Callable[[Path], Any], missing: Any) -> Any:
    try:
        return read(file)
    except FileNotFoundError:
        return missing
    except OSError as error:
        raise cannot_read(file, error, DataError) from None
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: {error}", where=file, remedy="save the file as UTF-8") from None
    except ValueError as error:
        remedy = "write the file again, or remove it to report without it"
        raise DataError(f"not valid JSON: {error}", where=file, remedy=remedy) from None


def read_object(file: Path) -> dict[str, Any]:
    """The object that a file holds; empty if the file is not there.

    Raises:
        DataError: It is not JSON, or no object.
    """
    value = read_json(file)
    if value is not None and not isinstance(value, dict):
        raise bad_value(file, "the file", value, "write one JSON object")
    return value or {}


def bad_value(file: Path, what: str, found: Any, remedy: str) -> DataError:
    """An error about a value in a file."""
    return DataError(f"{what}: found {shown(found, 120)}", where=file, remedy=remedy)


def validated(file: Path, schema: type[_Schema], value: Any) -> _Schema:
    """The value by its schema.

    Raises:
        DataError: A field is missing, of another type, or beyond its bounds; the message names the first such field.
    """
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        steps = (
            f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"] if step != "[key]"
        )
        place = "".join(steps).removeprefix(".")
        reason = first["msg"].removeprefix("Value error, ")
        raise DataError(
            f"{f'field {place!r}' if place else 'the file'}: {reason}, found {shown(first['input'], 120)}",
            where=file,
            remedy="evaluate again, or remove the file to report without it",
        ) from None


def is_count(value: Any) -> TypeGuard[int]:
    """Whether it is a number of things."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
