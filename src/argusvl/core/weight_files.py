"""Weights, and when to trust them: whole files, floating-point numbers, finite values.

A copy that broke off is seen in the header, without reading what follows.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argusvl.core.errors import CheckpointError
from argusvl.core.files import cannot_read, open_file
from argusvl.core.strict_json import decode_json
from argusvl.core.wording import listed

if TYPE_CHECKING:
    from torch import Tensor

_MOST_HEADER_BYTES = 100_000_000
"""As the safetensors library has it."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as a safetensors file's header has it; ``begin`` and ``end`` are places in the file, in bytes."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def safetensors_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors in a safetensors file by name; the file's size is checked against its header.

    Raises:
        CheckpointError: The file cannot be read, is truncated, or is no safetensors file.
    """

    def damaged(what: str) -> CheckpointError:
        return CheckpointError(what, where=path, remedy="copy it again, or use another checkpoint")

    try:
        with open_file(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > size - 8:
                raise damaged(f"is truncated: {size} bytes, its header alone has {length + 8}")
            if length > _MOST_HEADER_BYTES:
                raise damaged(f"is no safetensors file: its header has {length} bytes")
            text = stream.read(length)
    except OSError as error:
        raise cannot_read(path, error, CheckpointError) from error
    try:
        header = decode_json(text.decode())
        header.pop("__metadata__", None)
        tensors = {name: _stored(entry, 8 + length) for name, entry in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(f"is no safetensors file: {error}") from error
    end = max((tensor.end for tensor in tensors.values()), default=8 + length)
    if size != end:
        raise damaged(
            f"is {'truncated' if size < end else 'too long'}: {size} bytes, its header announces {end}"
        )
    return tensors


def _stored(entry: Any, data: int) -> StoredTensor:
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if not all(type(number) is int and number >= 0 for number in (begin, end, *shape)):
        raise ValueError(f"a size or a place is no whole number: {entry!r:.80}")
    return StoredTensor(str(entry["dtype"]), shape, data + begin, data + end)


def load_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, in the memory of the CPU.

    Raises:
        CheckpointError: As :func:`safetensors_header`.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    safetensors_header(path)
    try:
        return load_file(str(path))
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot be read: {error}", where=path, remedy="copy it again, or use another checkpoint"
        ) from error


def load_pickled(path: Path) -> Any:
    """What a file of ``torch.save`` holds, in the memory of the CPU: tensors and plain values, never code.

    Raises:
        OSError: As :func:`~argusvl.core.files.open_file`.
        Exception: Whatever pickle and zipfile make of a damaged file.
    """
    import torch

    with open_file(path) as stream:
        return torch.load(stream, map_location="cpu", weights_only=True)


def safetensors_names(path: Path) -> set[str]:
    """Names of the tensors in a safetensors file; raises as :func:`safetensors_header`."""
    return set(safetensors_header(path))


def check_floats(path: Path) -> None:
    """Checks that a safetensors file holds nothing but numbers with a fraction, as weights are.

    A library would convert whole numbers without a word.

    Raises:
        CheckpointError: It holds another type, or as :func:`safetensors_header`.
    """
    for name, tensor in safetensors_header(path).items():
        if not tensor.dtype.startswith(("F", "BF")):
            raise CheckpointError(
                f"the weight {name!r} is stored as {tensor.dtype}",
                where=path,
                remedy="use a checkpoint whose weights are floating-point numbers",
            )


def check_finite(tensors: Iterable[tuple[str, Tensor]], where: object) -> None:
    """Checks that weights are numbers: from one that is not, all that is computed would not be.

    Raises:
        CheckpointError: A value is infinite or NaN.
    """
    import torch

    for name, tensor in tensors:
        if not tensor.numel() or not tensor.is_floating_point() or tensor.is_meta:
            continue
        low, high = (tensor if tensor.itemsize > 1 else tensor.half()).detach().aminmax()  # carries NaN along
        if not bool(torch.isfinite(low) & torch.isfinite(high)):
            raise CheckpointError(
                f"the weight {name!r} holds values that are not finite",
                where=where,
                remedy="use an earlier checkpoint of the run, or copy this one again",
            )


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
        with open_file(file) as stream:
            for name, one in safetensors_header(file).items():
                digest = hashlib.blake2b(json.dumps([name, one.dtype, one.shape]).encode())
                last = max(0, one.end - one.begin - _SAMPLE_BYTES)
                for place in sorted({last * k // (_SAMPLES - 1) for k in range(_SAMPLES)}):
                    stream.seek(one.begin + place)
                    digest.update(stream.read(min(_SAMPLE_BYTES, one.end - one.begin)))
                digests[name] = digest.digest()
    whole = hashlib.blake2b(digest_size=16)
    for name in sorted(digests):
        whole.update(digests[name])
    return whole.hexdigest()


def state_differences(state: object, wanted: dict[str, Tensor]) -> str | None:
    """What is first wrong with what should be a network's state dict, or ``None``."""
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
        try:
            check_finite([(key, found)], key)
        except CheckpointError as error:
            return error.what
    return None
