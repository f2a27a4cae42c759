"""Files of weights: a copy that broke off is seen in the header, without reading what follows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from argusvl.core.errors import CheckpointError
from argusvl.core.wording import listed

if TYPE_CHECKING:
    from torch import Tensor


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


_SAMPLES, _SAMPLE_BYTES = 8, 4096


def weights_fingerprint(folder: Path) -> str:
    """Tells a folder's weights from others: names, types, shapes, and bytes from all over each tensor.

    It does not depend on how the tensors are divided into files, and reads no more than 32 KiB of each: any training
    that a tensor took part in shows there.

    Raises:
        CheckpointError: A file is damaged, or there is none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(
            "holds no weights (*.safetensors)", where=folder, remedy="copy the folder again"
        )
    digests: dict[str, bytes] = {}
    for file in files:
        safetensors_names(file)
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length))
            for name, entry in header.items():
                if name == "__metadata__":
                    continue
                begin, end = entry["data_offsets"]
                digest = hashlib.blake2b(json.dumps([name, entry["dtype"], entry["shape"]]).encode())
                last = max(0, end - begin - _SAMPLE_BYTES)
                for place in sorted({last * k // (_SAMPLES - 1) for k in range(_SAMPLES)}):
                    stream.seek(8 + length + begin + place)
                    digest.update(stream.read(min(_SAMPLE_BYTES, end - begin)))
                digests[name] = digest.digest()
    whole = hashlib.blake2b(digest_size=16)
    for name in sorted(digests):
        whole.update(digests[name])
    return whole.hexdigest()


def state_differences(state: object, wanted: dict[str, Tensor]) -> str | None:
    """What is first wrong with what should be a network's state dict, or ``None``."""
    import torch
    from torch import Tensor

    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        return "it holds no dictionary of tensors"
    for word, keys in (("lacks", wanted.keys() - state.keys()), ("has also", state.keys() - wanted.keys())):
        if keys:
            return f"it {word} {listed(sorted(repr(str(key)) for key in keys), 1)}"
    for key, tensor in wanted.items():
        found = state[key]
        if found.shape != tensor.shape or found.dtype != tensor.dtype:
            return f"{key!r} is {found.dtype} {list(found.shape)}, wanted {tensor.dtype} {list(tensor.shape)}"
        if not torch.isfinite(found).all():
            return f"{key!r} holds values that are not finite"
    return None
