"""Are they the same images? What has changed between an interrupted run and the one that goes on, by name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from argusvl.core.appending import json_line
from argusvl.core.errors import DataError
from argusvl.core.files import read_bytes
from argusvl.core.strict_json import decode_json
from argusvl.core.wording import listed
from argusvl.recognition.extraction.shards import REMEDY

_SHOWN = 5
_REMEDY = (
    "bring the images back as they were and give the same command again, or extract into another folder with "
    "--out NEW --reuse {store}: what is in this store is then not computed again"
)


def require_same_names(inputs: Path, paths: Sequence[str]) -> None:
    """Whether the images have the names that they had when the store was begun.

    Raises:
        DataError: Images were added or removed, or the file is damaged.
    """
    try:
        data = read_bytes(inputs)
        if data == inputs_bytes(paths):
            return
        stored = [decode_json(line.decode("utf-8")) for line in data.split(b"\n")[:-1]]
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", where=inputs, remedy=REMEDY) from None
    before, now = set(stored), set(paths)
    raise changed_inputs(
        inputs.parent,
        added=[path for path in paths if path not in before],
        removed=[path for path in stored if path not in now],
    )


def changed_inputs(
    folder: Path, *, added: Sequence[str] = (), removed: Sequence[str] = (), changed: Sequence[str] = ()
) -> DataError:
    """The error that names what is not as it was."""
    parts = [
        f"\n  {len(paths)} {word}: {listed([repr(path) for path in paths], _SHOWN)}"
        for word, paths in (("added", added), ("removed", removed), ("changed", changed))
        if paths
    ]
    return DataError(
        f"the images are not those with which the store was begun:{''.join(parts)}",
        where=folder,
        remedy=_REMEDY.format(store=folder),
    )


def inputs_bytes(paths: Sequence[str]) -> bytes:
    """Content of ``inputs.jsonl``."""
    return b"".join(json_line(path) for path in paths)


def inputs_sha256(paths: Sequence[str]) -> str:
    """SHA-256 of that."""
    return hashlib.sha256(inputs_bytes(paths)).hexdigest()
