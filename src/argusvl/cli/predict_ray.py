"""`argus predict --engine ray`: the same batches through predictors on many machines that see images and checkpoint.

A batch holds the same images as on one machine, so the lines are the same, too. Results come back in the order of the
images and this process writes them: what was written when it was killed is whole, and ``--resume`` goes on.
"""

from __future__ import annotations

import os
import pickle
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from argusvl.core import precision
from argusvl.core.devices import usable_device
from argusvl.core.errors import ArgusError, CheckpointError
from argusvl.core.ray_cluster import import_ray, map_rows
from argusvl.run.checkpoints import content_fingerprint
from argusvl.task_parts import Prediction, Predictor

_BATCHES_OF_A_SHARD = 4
_REMEDY = "start Ray with more cores, or let each process take fewer (OMP_NUM_THREADS=1)"


class RayPredictor:
    """Meets :class:`argusvl.task_parts.Predictor`.

    Args:
        load: Gives the predictor, in each actor; it is sent there.
        actors: How many; as many as the cluster has room for when ``None``.

    Raises:
        ArgusError: Ray is not installed; there is no such device.
    """

    def __init__(
        self,
        load: Callable[[], Predictor[Prediction]],
        checkpoint: Path,
        *,
        device: str,
        actors: int | None = None,
    ) -> None:
        self._ray = import_ray()

        import torch

        self._actors = actors
        self._threads = torch.get_num_threads()
        self._on_gpu = usable_device(device).type == "cuda"
        # One decision about the precision: each machine's own would let their lines differ.
        speed = None if self._on_gpu else precision.cpu_speed()
        fingerprint = content_fingerprint(checkpoint)
        self._arguments = (load, checkpoint.resolve(), fingerprint, self._threads, speed)

    def stream(
        self, images: Sequence[Path], *, batch_size: int, on_error: Callable[[Path, ArgusError], None]
    ) -> Iterator[tuple[Path, Prediction]]:
        """Predictions in the order of the images.

        Raises:
            ConfigError: The cluster has no room for an actor.
            ArgusError: An actor cannot load the checkpoint, or Ray has failed.
        """
        batches = [images[k : k + batch_size] for k in range(0, len(images), batch_size)]
        rows = [{"number": n, "paths": pickle.dumps(_absolute(batch))} for n, batch in enumerate(batches)]
        needs: dict[str, float] = {"num_cpus": self._threads}
        if self._on_gpu:
            needs["num_gpus"] = 1
        results = map_rows(
            self._ray,
            _Actor,
            self._arguments,
            rows,
            needs=needs,
            actors=self._actors,
            rows_of_a_task=_BATCHES_OF_A_SHARD,
            remedy=_REMEDY,
        )
        for batch, row in zip(batches, results, strict=True):
            found: list[Prediction | ArgusError] | ArgusError = pickle.loads(row["found"])
            if isinstance(found, ArgusError):
                raise found
            for image, one in zip(batch, found, strict=True):
                if isinstance(one, ArgusError):
                    on_error(image, one)
                else:
                    yield image, one


class _Actor:
    """One predictor in one process of the cluster."""

    def __init__(
        self,
        load: Callable[[], Predictor[Prediction]],
        checkpoint: Path,
        fingerprint: str,
        threads: int,
        speed: float | None,
    ) -> None:
        import torch

        self._error: ArgusError | None = None
        torch.set_num_threads(threads)
        if speed is not None:
            precision.take_over_cpu_speed(speed)
        try:
            if not checkpoint.is_dir() or content_fingerprint(checkpoint) != fingerprint:
                raise CheckpointError(
                    f"is missing or another one on {platform.node()}",
                    where=checkpoint,
                    remedy="let all machines of the cluster see the same files under the same path",
                )
            self._predictor = load()
        except ArgusError as error:
            self._error = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Our errors go back as results: of one that is raised, Ray hands over only the text, after trying again."""
        return {"number": row["number"], "found": pickle.dumps(self._found(pickle.loads(row["paths"])))}

    def _found(self, paths: list[Path]) -> list[Prediction | ArgusError] | ArgusError:
        if self._error is not None:
            return self._error
        by_image: dict[Path, Prediction | ArgusError] = {}
        try:
            by_image.update(
                self._predictor.stream(paths, batch_size=len(paths), on_error=by_image.__setitem__)
            )
        except ArgusError as error:
            return error
        return [by_image[path] for path in paths]


def _absolute(paths: Sequence[Path]) -> list[Path]:
    """As actors see them, whose working folder is another one; links are left as they are."""
    return [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - `resolve` would follow links
