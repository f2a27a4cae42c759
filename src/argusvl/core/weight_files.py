"""Files of weights: a copy that broke off is seen in the header, without reading what follows."""

from __future__ import annotations

import json
from pathlib import Path

from argusvl.core.errors import CheckpointError


def safetensors_names(path: Path) -> set[str]:
    """Names of the tensors in a safetensors file, whose size is checked against its header.

    Raises:
        CheckpointError: The file is truncated or no safetensors file.
    """

    def damaged(what: str) -> CheckpointError:
        return CheckpointError(what, where=path, remedy="copy it again, or use another checkpoint")

    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            raise damaged(f"is truncated: {size} bytes, its header alone has {length + 8}")
        try:
            header = json.loads(stream.read(length))
            entries = {
                name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"
            }
            end = max((offsets[1] for offsets in entries.values()), default=0)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise damaged(f"is no safetensors file: {error}") from error
    if size != 8 + length + end:
        state = "truncated" if size < 8 + length + end else "too long"
        raise damaged(f"is {state}: {size} bytes, its header announces {8 + length + end}")
    return set(entries)
