"""Binary record files of trackers: TensorBoard's events, and W&B's offline runs.

TensorBoard frames each record by its length (8 bytes), a checksum (4), the record, a checksum (4). W&B writes as
LevelDB's log does: after a header of 7 bytes, blocks of 32 KiB with pieces of records, each with a checksum (4), its
length (2) and whether it is whole or first, middle or last (1). Both hold protocol buffers.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from argusvl.doctor.logs import protobuf
from argusvl.doctor.logs.flat import flat_numbers

WANDB_MAGIC = b":W&B"
_BLOCK = 1 << 15
_LARGEST = 1 << 28
"""Bytes of a record: a length above it is damage, or no length."""


def is_events(start: bytes) -> bool:
    """Whether a file begins as TensorBoard's do: with a record that names its version."""
    return len(start) > 24 and struct.unpack("<Q", start[:8])[0] < 4096 and b"brain.Event:" in start[12:80]


def scalars(stream: BinaryIO) -> Iterator[tuple[float, dict[str, float]]]:
    """Step and numbers of each event; a file that ends within one ends there.

    Raises:
        ValueError: What follows is no record.
    """
    while len(head := stream.read(12)) == 12:
        (length,) = struct.unpack("<Q", head[:8])
        if length > _LARGEST:
            raise ValueError("a record of impossible length")
        record = stream.read(length)
        if len(record) < length:
            return
        stream.read(4)
        step = protobuf.integer(record, 2) or 0
        values = dict(
            named
            for summary in protobuf.messages(record, 5)
            for value in protobuf.messages(summary, 1)
            if (named := _scalar(value)) is not None
        )
        if values:
            yield float(step), values


def wandb_records(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    """What an offline run holds, in order: ``history`` (step, numbers), ``output`` (text), ``exit`` (code).

    Raises:
        ValueError: A record is damaged.
    """
    for record in _wandb_frames(stream):
        for number, value in protobuf.fields(record):
            if not isinstance(value, bytes):
                continue
            if number == 2:
                yield "history", _history(value)
            elif number in (4, 13):
                yield "output", protobuf.text(value, 3)
            elif number == 18:
                yield "exit", protobuf.integer(value, 1) or 0


def _scalar(value: bytes) -> tuple[str, float] | None:
    tag, number = "", None
    for field, content in protobuf.fields(value):
        if field == 1 and isinstance(content, bytes):
            tag = content.decode("utf-8", "replace")
        elif field == 2 and isinstance(content, bytes) and len(content) == 4:
            (number,) = struct.unpack("<f", content)
        elif field == 8 and isinstance(content, bytes):
            number = _tensor(content)
    return None if number is None or not tag else (tag, number)


def _tensor(tensor: bytes) -> float | None:
    """The one number of a tensor of rank 0; TensorFlow 2 writes scalars so."""
    kind, raw = protobuf.integer(tensor, 1), b""
    for number, content in protobuf.fields(tensor):
        if number == 2 and content:
            return None  # it has dimensions
        if number in (4, 5, 6) and isinstance(content, bytes):
            raw = content
    code = {1: "<f", 2: "<d"}.get(kind or 0)
    if code is None or len(raw) != struct.calcsize(code):
        return None
    return float(struct.unpack(code, raw)[0])


def _history(record: bytes) -> tuple[float | None, dict[str, float]]:
    values: dict[str, Any] = {}
    for item in protobuf.messages(record, 1):
        key = protobuf.text(item, 1) or "/".join(
            k.decode("utf-8", "replace") for k in protobuf.messages(item, 2)
        )
        try:
            values[key] = json.loads(protobuf.text(item, 16))
        except ValueError:
            continue
    step = values.get("_step")
    numbers = flat_numbers({k: v for k, v in values.items() if not k.startswith("_")})
    return (float(step) if isinstance(step, int | float) else None), numbers


def _wandb_frames(stream: BinaryIO) -> Iterator[bytes]:
    stream.read(7)
    at = 7
    parts: list[bytes] = []
    while True:
        left = _BLOCK - at % _BLOCK
        if left < 7:
            stream.read(left)
            at += left
            continue
        head = stream.read(7)
        if len(head) < 7:
            return
        length, kind = struct.unpack("<HB", head[4:])
        piece = stream.read(length)
        at += 7 + len(piece)
        if len(piece) < length:
            return
        if kind not in (1, 2, 3, 4):
            raise ValueError(f"a piece of kind {kind}")
        parts = [piece] if kind in (1, 2) else [*parts, piece]
        if kind in (1, 4):
            yield b"".join(parts)
            parts = []
