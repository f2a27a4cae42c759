"""The same batches over Ray Data, on one machine or on many that see the images under the same path.

Each actor holds the backbone and takes whole batches; vectors come back in order, and this process writes them. The
store is therefore the same, byte by byte, as one made by the local engine on a machine of the same kind.
"""

from __future__ import annotations

import pickle
import platform
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from argusvl.core.errors import ArgusError
from argusvl.core.logging import get_logger
from argusvl.core.ray_cluster import import_ray, map_rows
from argusvl.core.workers import map_in_order
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.extraction.engines import Embedder, processor_of
from argusvl.recognition.extraction.fingerprint import fingerprint_of, require_same_fingerprint
from argusvl.recognition.extraction.store import Header
from argusvl.recognition.extraction.writer import EmbeddedBatch

_BATCHES_OF_A_TASK = 4
"""A task costs Ray some milliseconds, and comes back as a whole."""

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
        needs: dict[str, float] = {"num_cpus": header.plan.threads}
        if header.plan.device == "cuda":
            needs["num_gpus"] = 1
        # Names go as bytes: Arrow, in which Ray Data keeps rows, takes only those that are UTF-8.
        rows = [{"number": n, "paths": pickle.dumps(list(paths))} for n, paths in enumerate(batches)]
        results = map_rows(
            self._ray,
            _Actor,
            (self._load, root.resolve(), header, reuse.resolve() if reuse else None),
            rows,
            needs=needs,
            actors=self._actors,
            rows_of_a_task=_BATCHES_OF_A_TASK,
            remedy="start Ray with more, or begin the store with fewer threads (OMP_NUM_THREADS=1)",
        )
        yield from _embedded(results, header)


def _embedded(results: Iterable[dict[str, Any]], header: Header) -> Iterator[EmbeddedBatch]:
    warned = False
    for row in results:
        batch: EmbeddedBatch | ArgusError = pickle.loads(row["batch"])
        if isinstance(batch, ArgusError):
            raise batch
        if row["processor"] != header.plan.processor and not warned:
            warned = True
            _log.warning(
                "an actor runs on %s, the store is made for %s: vectors may differ in their last bits",
                row["processor"],
                header.plan.processor,
            )
        yield batch


class _Actor:
    """One backbone in one process of the cluster."""

    def __init__(self, load: Callable[[], Backbone], root: Path, header: Header, reuse: Path | None) -> None:
        self._threads = header.plan.threads
        self._error: ArgusError | None = None
        try:
            backbone = load()
            here = fingerprint_of(backbone, header.fingerprint.lane)
            require_same_fingerprint(header.fingerprint, here, f"a Ray actor on {platform.node()}")
            torch.set_num_threads(self._threads)
            self._processor = processor_of(backbone.device)
            self._embedder = Embedder(backbone, root, header, reuse)
        except ArgusError as error:
            self._error = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Our errors go back as results: of one that is raised, Ray hands over only the text, after trying again."""
        try:
            if self._error is not None:
                raise self._error
            paths: list[str] = pickle.loads(row["paths"])
            batch = self._embedder.embed(list(map_in_order(self._embedder.prepare, paths, self._threads)))
            return {"number": row["number"], "batch": pickle.dumps(batch), "processor": self._processor}
        except ArgusError as error:
            return {"number": row["number"], "batch": pickle.dumps(error), "processor": ""}
