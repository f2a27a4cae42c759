"""JSON that others wrote: what would be misread in silence is an error, and nothing makes reading fall over.

Python's own reader takes the last of two equal keys without a word, takes a byte order mark for a mistake, and gives
up with errors of its own at numbers of five thousand digits and at a thousand brackets inside each other.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from argus_doctor.wording import printable

MOST_LEVELS = 100
"""Lists and objects inside each other: annotations need a tenth, and whoever walks through a value may recurse."""

_SPACES = re.compile(r"[ \t\n\r]*")


class MalformedJsonError(ValueError):
    """A text is not JSON, or not JSON that says one thing.

    Attributes:
        line: Where, from 1; the message names the column, and the line where there are several.
    """

    def __init__(self, reason: str, text: str, position: int | None = None) -> None:
        before = text[: position or 0]
        self.line = before.count("\n") + 1
        column = len(before) - before.rfind("\n")
        place = f"line {self.line}, column {column}" if "\n" in text.rstrip() else f"column {column}"
        # Some of Python's reasons end in "at" themselves.
        super().__init__(reason if position is None else f"{reason.removesuffix(' at')} at {place}")


class _RepeatedKeyError(ValueError):
    pass


def decode_json(text: str) -> Any:
    """The value of a JSON text; a byte order mark before it is passed over.

    Numbers may come out infinite, or be none (``1e999``, and the ``NaN`` that Python writes): :func:`finite_number`
    tells where they are used, and the field can be named there.

    Raises:
        MalformedJsonError: It is no JSON, an object has a key twice, or it is nested deeper than
            :data:`MOST_LEVELS`.
    """
    text = text.removeprefix("\ufeff")
    try:
        value = _decode(text)
    except json.JSONDecodeError as error:
        raise MalformedJsonError(f"malformed JSON: {error.msg}", text, error.pos) from None
    except _RepeatedKeyError:
        key, position = _repeated_key(text)
        raise MalformedJsonError(
            f"the key {shown(key)} stands twice in one object, again", text, position
        ) from None
    except RecursionError:
        pass
    else:
        if text.count("[") + text.count("{") <= MOST_LEVELS or not _is_deep(value):
            return value
    raise MalformedJsonError(f"malformed JSON: nested more than {MOST_LEVELS} levels deep", text)


def members(text: str, start: int) -> Iterator[tuple[str | int, int]]:
    """Key or number, and the position of the value, of what the object or list at ``start`` holds.

    Args:
        text: JSON that :func:`decode_json` takes; repeated keys come as often as they stand.
        start: Where the value begins; of anything but an object or a list nothing comes.
    """
    opening = text[start : start + 1]
    if opening not in ("{", "["):
        return
    position, index = skip_spaces(text, start + 1), 0
    while text[position] not in "}]":
        key: str | int = index
        if opening == "{":
            key, position = _TOLERANT.raw_decode(text, position)
            position = skip_spaces(text, skip_spaces(text, position) + 1)  # over the colon
        yield key, position
        _, position = _TOLERANT.raw_decode(text, position)
        position = skip_spaces(text, position)
        if text[position] == ",":
            position = skip_spaces(text, position + 1)
        index += 1


def skip_spaces(text: str, position: int) -> int:
    """The first position from this one on that is no space."""
    return _SPACES.match(text, position).end()  # type: ignore[union-attr]


def finite_number(value: Any) -> float | None:
    """The number, if it is one that can be computed with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return None
    return number if math.isfinite(number) else None


def shown(value: Any, most: int = 80) -> str:
    """A value as JSON for texts, cut where it is long; only what is shown is written."""
    text = ""
    for piece in _ENCODER.iterencode(value):
        text += piece
        if len(text) > most:
            break
    return printable(text if len(text) <= most else text[: most - 1] + "…")


_ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _RepeatedKeyError
    return value


def _whole_number(digits: str) -> float:
    # Python converts at most 4300 digits, unless told otherwise; a float of more than 308 is infinite in any case.
    return int(digits) if len(digits) <= 1000 else float(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
_LONG_NUMBERS = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_whole_number)
_TOLERANT = json.JSONDecoder(parse_int=_whole_number)


def _decode(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except (json.JSONDecodeError, _RepeatedKeyError):
        raise
    except ValueError:  # too many digits; a decoder that calls back for each number is slower
        return _LONG_NUMBERS.decode(text)


def _repeated_key(text: str) -> tuple[str, int]:
    """The first key, from the outside in, that an object has twice, and where its second value stands."""
    level = [skip_spaces(text, 0)]
    while level:
        deeper: list[int] = []
        for start in level:
            seen = set[str | int]()
            for key, position in members(text, start):
                if key in seen:
                    return str(key), position
                seen.add(key)
                deeper.append(position)
        level = deeper
    raise AssertionError("no object has a key twice")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_LEVELS):
        lists = [one.values() if type(one) is dict else one for one in level]
        level = [inner for one in lists for inner in one if type(inner) in (list, dict)]
        if not level:
            return False
    return True
