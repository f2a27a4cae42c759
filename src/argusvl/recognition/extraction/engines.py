"""What turns a list of images into vectors, batch by batch in order; what is done with them is not its business."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argusvl.core.allocator import keep_freed_memory
from argusvl.core.errors import ArgusError, ImageError, ModelError
from argusvl.core.images import read_header
from argusvl.core.threads import computing_threads, usable_cores
from argusvl.core.wording import first_line
from argusvl.core.workers import map_in_order
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.decoding import decode_bytes
from argusvl.recognition.extraction.store import Header, KnownVectors
from argusvl.recognition.extraction.writer import EmbeddedBatch
from argusvl.recognition.ledger import Entry, read_entry

_CHUNKS_IN_FLIGHT = 4
"""For each worker, by ``map_in_order``."""


Prepared = tuple[Entry, Tensor | NDArray[np.float32] | None]
"""An image before the network: its entry, and pixels ``[3, H, W]``, or its vector ``[D]`` where that is known already;
neither where the entry has a reason."""


class Embedder:
    """What an engine runs, in as many threads or processes as it has.

    Names are relative to ``root``; vectors of the store ``reuse`` are taken over where a file has the same hash.
    """

    def __init__(self, backbone: Backbone, root: Path, header: Header, reuse: Path | None) -> None:
        self._backbone, self._root = backbone, root
        self._lane = header.fingerprint.lane
        self._known = KnownVectors(reuse, header.fingerprint) if reuse is not None else None

    def prepare(self, path: str) -> Prepared:
        """Reads, decodes and preprocesses an image; what is wrong with it is its reason. For threads."""
        entry, data = read_entry(self._root, path)
        if entry.reason is not None:
            return entry, None
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            return replace(entry, reason="its name is not UTF-8: rename the file"), None
        vector = self._known.find(str(entry.sha256)) if self._known is not None else None
        try:
            entry = replace(entry, note=read_header(data, where=path).converted(path))
            if vector is not None:
                return entry, vector
            image = decode_bytes(data, path, self._lane, self._backbone.decode_side_px)
        except ImageError as error:
            return replace(entry, reason=error.what, note=None), None
        return entry, self._backbone.preprocess(image)

    def embed(self, batch: Sequence[Prepared]) -> EmbeddedBatch:
        """Runs the network once; nothing of the batch is kept.

        Raises:
            ModelError: The network gives something else than a vector for each image.
            ArgusError: The batch does not fit into the device's memory.
        """
        pixels = [found for _, found in batch if isinstance(found, Tensor)]
        computed = iter(self._vectors(torch.stack(pixels)) if pixels else ())
        entries, vectors, reused = [], list[NDArray[np.float32]](), 0
        for entry, found in batch:
            vector = next(computed) if isinstance(found, Tensor) else found
            if vector is None:
                entries.append(entry)
            elif not np.isfinite(vector).all():
                entries.append(replace(entry, reason="its vector is not finite", note=None))
            else:
                entries.append(replace(entry, row=len(vectors)))
                vectors.append(vector)
                reused += not isinstance(found, Tensor)
        stacked = np.stack(vectors) if vectors else np.empty((0, self._backbone.dimension), np.float32)
        return EmbeddedBatch(entries, stacked, reused)

    def _vectors(self, pixels: Tensor) -> NDArray[np.float32]:
        try:
            with torch.inference_mode():
                vectors = self._backbone.embed(pixels)
        except torch.OutOfMemoryError as error:
            raise ArgusError(
                f"a batch of {len(pixels)} images does not fit into the memory of {self._backbone.device}: "
                f"{first_line(error)}",
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


class Engine(Protocol):
    """Local threads, or Ray. Every engine gives the same bytes."""

    def run(
        self, batches: Sequence[Sequence[str]], *, root: Path, header: Header, reuse: Path | None
    ) -> Generator[EmbeddedBatch, None, None]:
        """The vectors of batches of names, in their order; arguments as of :class:`Embedder`."""
        ...


class LocalEngine:
    """This process, with all its cores.

    On the CPU each thread takes a batch from reading to the vectors, with one thread for its arithmetic: two batches
    beside each other are quicker than one batch divided among two cores, and the vectors do not depend on how many
    cores there are. On a GPU threads read, decode and preprocess, and the network runs in the calling thread.

    Args:
        backbone: Gives the vectors.
        workers: Threads; as many as there are cores when ``None``.
    """

    def __init__(self, backbone: Backbone, workers: int | None = None) -> None:
        self._backbone = backbone
        self._workers = workers or usable_cores()

    def run(
        self, batches: Sequence[Sequence[str]], *, root: Path, header: Header, reuse: Path | None
    ) -> Generator[EmbeddedBatch, None, None]:
        """Embeds the batches on this machine, in their order."""
        embedder = Embedder(self._backbone, root, header, reuse)
        way = self._beside_each_other if self._backbone.device.type == "cpu" else self._one_by_one
        with computing_threads(header.plan.threads), closing(way(embedder, batches)) as results:
            yield from results

    def _beside_each_other(
        self, embedder: Embedder, batches: Sequence[Sequence[str]]
    ) -> Generator[EmbeddedBatch, None, None]:
        def process(batch: Sequence[str]) -> EmbeddedBatch:
            torch.get_num_threads()  # takes the number over into this thread
            return embedder.embed([embedder.prepare(path) for path in batch])

        keep_freed_memory()
        return map_in_order(process, batches, self._workers)

    def _one_by_one(
        self, embedder: Embedder, batches: Sequence[Sequence[str]]
    ) -> Generator[EmbeddedBatch, None, None]:
        # About two batches are on their way: while one is computed, the next is being decoded.
        size = max(len(batch) for batch in batches) if batches else 1
        chunk = max(1, 2 * size // (self._workers * _CHUNKS_IN_FLIGHT))
        parts = (
            (batch[i : i + chunk], i + chunk >= len(batch))
            for batch in batches
            for i in range(0, len(batch), chunk)
        )

        def prepare(part: tuple[Sequence[str], bool]) -> tuple[list[Prepared], bool]:
            return [embedder.prepare(path) for path in part[0]], part[1]

        batch: list[Prepared] = []
        with closing(map_in_order(prepare, parts, self._workers)) as prepared:
            for part, is_last in prepared:
                batch += part
                if is_last:
                    yield embedder.embed(batch)
                    batch = []


def processor_of(device: torch.device) -> str:
    """Kind of processor, which chooses among kernels whose sums differ in their last bits.

    A GPU's name, or the instruction set that torch uses on the CPU.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.backends.cpu.get_cpu_capability()
