"""What turns a list of images into vectors, batch by batch in order; what is done with them is not its business."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import torch

from argusvl.core.allocator import keep_freed_memory
from argusvl.core.threads import computing_threads, usable_cores
from argusvl.core.workers import map_in_order
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.extraction.embedding import Embedder, Prepared
from argusvl.recognition.extraction.reuse import KnownVectors
from argusvl.recognition.extraction.store import Header
from argusvl.recognition.extraction.writer import EmbeddedBatch

_CHUNKS_IN_FLIGHT = 4
"""For each worker, by ``map_in_order``."""


class Engine(Protocol):
    """Local threads, or Ray. Every engine gives the same bytes."""

    def run(
        self, batches: Sequence[Sequence[str]], *, root: Path, header: Header, reuse: Path | None
    ) -> Generator[EmbeddedBatch, None, None]:
        """The vectors of the batches, in their order.

        Args:
            batches: Names of images.
            root: What they are relative to.
            header: What is made: the lane, the threads.
            reuse: A store whose vectors are taken over where a file has the same hash.
        """
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
        embedder = make_embedder(self._backbone, root, header, reuse)
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


def make_embedder(backbone: Backbone, root: Path, header: Header, reuse: Path | None) -> Embedder:
    """What each engine runs."""
    known = KnownVectors(reuse, header.fingerprint) if reuse is not None else None
    return Embedder(backbone, root, header.fingerprint.lane, known)


def processor_of(device: torch.device) -> str:
    """Kind of processor, which chooses among kernels whose sums differ in their last bits: a GPU's name, or the
    instruction set that torch uses on the CPU.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.backends.cpu.get_cpu_capability()
