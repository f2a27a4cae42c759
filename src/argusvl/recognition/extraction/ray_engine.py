"""The same batches over Ray Data, on one machine or on many that see the images under the same path.

Each actor holds the backbone and takes whole batches; vectors come back in order, and this process writes them. The
store is therefore the same, byte by byte, as one made by the local engine on a machine of the same kind.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path

import torch

from argusvl.core.logging import get_logger
from argusvl.core.ray_cluster import import_ray, map_items
from argusvl.core.workers import map_in_order
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.extraction.engines import Embedder, processor_of
from argusvl.recognition.extraction.fingerprint import fingerprint_of, require_same_fingerprint
from argusvl.recognition.extraction.store import Header
from argusvl.recognition.extraction.writer import EmbeddedBatch

_log = get_logger(__name__)


class RayEngine:
    """Actors of a Ray cluster; one on this machine is started where none is running, and ended afterwards.

    Args:
        load: Gives the backbone, in each actor; it is sent there.
        actors: How many; as many as the cluster has room for when ``None``.

    Raises:
        ArgusError: Ray is not installed.
    """

    def __init__(self, load: Callable[[], Backbone], actors: int | None = None) -> None:
        self._ray = import_ray()
        self._load = load
        self._actors = actors

    def run(
        self, batches: Sequence[Sequence[str]], *, root: Path, header: Header, reuse: Path | None
    ) -> Generator[EmbeddedBatch, None, None]:
        """As the protocol of engines says.

        Raises:
            ConfigError: The cluster has no room for an actor.
            DataError: An actor's backbone is not the one of the store, e.g. by other versions on that machine.
        """
        make = partial(_embedding, self._load, root.resolve(), header, reuse.resolve() if reuse else None)
        warned = False
        for batch, processor in map_items(
            self._ray,
            make,
            [list(paths) for paths in batches],
            threads=header.plan.threads,
            on_gpu=header.plan.device == "cuda",
            actors=self._actors,
            remedy="start Ray with more, or begin the store with fewer threads (OMP_NUM_THREADS=1)",
        ):
            if processor != header.plan.processor and not warned:
                warned = True
                _log.warning(
                    "an actor runs on %s, the store is made for %s: vectors may differ in their last bits",
                    processor,
                    header.plan.processor,
                )
            yield batch


def _embedding(
    load: Callable[[], Backbone], root: Path, header: Header, reuse: Path | None
) -> Callable[[list[str]], tuple[EmbeddedBatch, str]]:
    """In an actor: a batch of names → its vectors, and the processor that they were computed on."""
    threads = header.plan.threads
    backbone = load()
    here = fingerprint_of(backbone, header.fingerprint.lane)
    require_same_fingerprint(header.fingerprint, here, f"a Ray actor on {platform.node()}")
    torch.set_num_threads(threads)
    processor = processor_of(backbone.device)
    embedder = Embedder(backbone, root, header, reuse)
    return lambda paths: (embedder.embed(list(map_in_order(embedder.prepare, paths, threads))), processor)
