"""Numbers of nested records, by one name each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WORDS = {"nan": "nan", "inf": "inf", "infinity": "inf", "-inf": "-inf", "-infinity": "-inf"}


def flat_numbers(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, float]:
    """Name → number; those inside others are ``outer/inner``. Texts count where they are numbers, or ``nan``."""
    found: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            if depth < 4:
                found |= flat_numbers(value, f"{prefix}{name}/", depth + 1)
        elif (number := as_number(value)) is not None:
            found[f"{prefix}{name}"] = number
    return found


def as_number(value: Any) -> float | None:
    """A number, also where it is written as a text."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        return float(_WORDS.get(value.strip().lower(), value))
    except ValueError:
        return None
