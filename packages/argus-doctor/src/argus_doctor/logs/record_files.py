"""Binary record files of trackers: TensorBoard's events, and W&B's offline runs.

TensorBoard frames each record by its length (8 bytes), a checksum (4), the record, a checksum (4). W&B writes as
LevelDB's log does: after a header of 7 bytes, blocks of 32 KiB with pieces of records, each with a checksum (4), its
length (2) and whether it is whole or first, middle or last (1). Both hold protocol buffers: TensorBoard's own are read
by its package; W&B's have no schema here, and are read by the numbers of their fields.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from argus_doctor.logs.flat import flat_numbers

WANDB_MAGIC = b":W&B"
_BLOCK = 1 << 15
_FLOATS = (1, 2)
"""Types of tensors that are scalars of a run: DT_FLOAT and DT_DOUBLE."""
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
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import event_pb2

    while len(head := stream.read(12)) == 12:
        (length,) = struct.unpack("<Q", head[:8])
        if length > _LARGEST:
            raise ValueError("a record of impossible length")
        record = stream.read(length)
        if len(record) < length:
            return
        stream.read(4)
        try:
            event = event_pb2.Event.FromString(record)
        except DecodeError as error:
            raise ValueError(str(error)) from error
        values = {one.tag: number for one in event.summary.value if (number := _scalar(one)) is not None}
        if values:
            yield float(event.step), values


def wandb_records(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    """What an offline run holds, in order: ``history`` (step, numbers), ``output`` (text), ``exit`` (code).

    Raises:
        ValueError: A record is damaged.
    """
    for record in _wandb_frames(stream):
        for number, value in _fields(record):
            if not isinstance(value, bytes):
                continue
            if number == 2:
                yield "history", _history(value)
            elif number in (4, 13):
                yield "output", _text(value, 3)
            elif number == 18:
                code = next((code for field, code in _fields(value) if field == 1), 0)
                yield "exit", code


def _scalar(value: Any) -> float | None:
    """The number of a summary's value: on its own, or a tensor of rank 0, as TensorFlow 2 writes scalars."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if not value.HasField("tensor") or value.tensor.dtype not in _FLOATS or value.tensor.tensor_shape.dim:
        return None
    from tensorboard.util.tensor_util import make_ndarray

    try:
        return float(make_ndarray(value.tensor).item())
    except ValueError:  # it holds another number of values than one
        return None


def _fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """Number and value of each field: an integer, or the bytes of a text or message."""
    from google.protobuf.empty_pb2 import Empty
    from google.protobuf.message import DecodeError
    from google.protobuf.unknown_fields import UnknownFieldSet

    try:
        return [(one.field_number, one.data) for one in UnknownFieldSet(Empty.FromString(message))]
    except DecodeError as error:
        raise ValueError(str(error)) from error


def _messages(message: bytes, number: int) -> list[bytes]:
    return [value for found, value in _fields(message) if found == number and isinstance(value, bytes)]


def _text(message: bytes, number: int) -> str:
    return b"".join(_messages(message, number)).decode("utf-8", "replace")


def _history(record: bytes) -> tuple[float | None, dict[str, float]]:
    values: dict[str, Any] = {}
    for item in _messages(record, 1):
        key = _text(item, 1) or "/".join(k.decode("utf-8", "replace") for k in _messages(item, 2))
        try:
            values[key] = json.loads(_text(item, 16))
        except (ValueError, RecursionError):
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
