"""One image → pixels or a reason; one batch → vectors. The same for every engine, so that their bytes are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argusvl.core.errors import ArgusError, ImageError, ModelError
from argusvl.core.images import read_header, read_image_file
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.decoding import Lane, decode_bytes
from argusvl.recognition.extraction.reuse import KnownVectors
from argusvl.recognition.extraction.writer import EmbeddedBatch
from argusvl.recognition.ledger import Entry


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image before the network.

    Attributes:
        path: Its name in the list.
        sha256: Of its bytes; ``None`` where they could not be read.
        pixels: ``[3, H, W]`` for the backbone, or
        vector: ``[D]``, where it is known already, or
        reason: why it has neither.
        note: What is odd about it though it has one of them.
    """

    path: str
    sha256: str | None
    pixels: Tensor | None = None
    vector: NDArray[np.float32] | None = None
    reason: str | None = None
    note: str | None = None


class Embedder:
    """What an engine runs, in as many threads or processes as it has.

    Args:
        backbone: Gives the vectors.
        root: What the names are relative to.
        lane: How files are decoded.
        known: Vectors of an older store, by the hash of the file.
    """

    def __init__(self, backbone: Backbone, root: Path, lane: Lane, known: KnownVectors | None = None) -> None:
        self._backbone = backbone
        self._root = root
        self._lane = lane
        self._known = known

    def prepare(self, path: str) -> Prepared:
        """Reads, decodes and preprocesses an image; what is wrong with it is its reason. For threads."""
        try:
            data = read_image_file(self._root / path)
        except ImageError as error:
            return Prepared(path, None, reason=error.what)
        digest = hashlib.sha256(data).hexdigest()
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            return Prepared(path, digest, reason="its name is not UTF-8: rename the file")
        vector = self._known.find(digest) if self._known is not None else None
        try:
            note = read_header(data, where=path).converted(path)
            if vector is not None:
                return Prepared(path, digest, vector=vector, note=note)
            image = decode_bytes(data, path, self._lane, self._backbone.decode_side_px)
        except ImageError as error:
            return Prepared(path, digest, reason=error.what)
        return Prepared(path, digest, pixels=self._backbone.preprocess(image), note=note)

    def embed(self, batch: Sequence[Prepared]) -> EmbeddedBatch:
        """Runs the network once; nothing of the batch is kept.

        Raises:
            ModelError: The network gives something else than a vector for each image.
            ArgusError: The batch does not fit into the device's memory.
        """
        pixels = [item.pixels for item in batch if item.pixels is not None]
        computed = iter(self._vectors(torch.stack(pixels)) if pixels else ())
        entries, vectors, reused = [], list[NDArray[np.float32]](), 0
        for item in batch:
            vector = next(computed) if item.pixels is not None else item.vector
            if vector is None:
                entries.append(Entry(item.path, item.sha256, reason=item.reason))
            elif not np.isfinite(vector).all():
                entries.append(Entry(item.path, item.sha256, reason="its vector is not finite"))
            else:
                entries.append(Entry(item.path, item.sha256, len(vectors), note=item.note))
                vectors.append(vector)
                reused += item.vector is not None
        stacked = np.stack(vectors) if vectors else np.empty((0, self._backbone.dimension), np.float32)
        return EmbeddedBatch(entries, stacked, reused)

    def _vectors(self, pixels: Tensor) -> NDArray[np.float32]:
        try:
            with torch.inference_mode():
                vectors = self._backbone.embed(pixels)
        except torch.OutOfMemoryError as error:
            raise ArgusError(
                f"a batch of {len(pixels)} images does not fit into the memory of {self._backbone.device}: "
                f"{str(error).splitlines()[0]}",
                remedy="extract into another folder with a smaller --batch-size",
            ) from None
        wanted = (len(pixels), self._backbone.dimension)
        if tuple(vectors.shape) != wanted or vectors.dtype != torch.float32 or vectors.device.type != "cpu":
            raise ModelError(
                f"{self._backbone.name} gave {vectors.dtype} {list(vectors.shape)} on {vectors.device}, expected "
                f"torch.float32 {list(wanted)} on cpu",
                remedy="mend the backbone's embed()",
            )
        found: NDArray[np.float32] = vectors.detach().numpy()
        return found
