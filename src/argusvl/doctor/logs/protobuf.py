"""Protocol buffers without their schema: as much as two record formats need."""

from __future__ import annotations

from collections.abc import Iterator

Value = int | bytes


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field: an integer, or bytes (of a text, a message, or a float).

    Raises:
        ValueError: It is no message, or its end is missing.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == 2:
            size, position = _varint(message, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if position + size > len(message):
            raise ValueError("cut off")
        yield number, message[position : position + size]
        position += size


def messages(message: bytes, number: int) -> Iterator[bytes]:
    """All fields of a number that are messages or texts."""
    return (value for found, value in fields(message) if found == number and isinstance(value, bytes))


def integer(message: bytes, number: int) -> int | None:
    """A field that is a signed integer; the last one counts."""
    last = None
    for found, value in fields(message):
        if found == number and isinstance(value, int):
            last = value - (1 << 64) if value >= 1 << 63 else value
    return last


def text(message: bytes, number: int) -> str:
    """A field that is a text; empty where there is none."""
    return b"".join(messages(message, number)).decode("utf-8", "replace")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(message) or shift > 63:
            raise ValueError("cut off")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
