"""`argus predict --engine ray`: the same batches through predictors on many machines that see images and checkpoint.

A batch holds the same images as on one machine, so the lines are the same, too. Results come back in the order of the
images and this process writes them: what was written when it was killed is whole, and ``--resume`` goes on.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from argusvl.core import precision
from argusvl.core.devices import usable_device
from argusvl.core.errors import ArgusError, CheckpointError
from argusvl.core.ray_cluster import import_ray, map_items
from argusvl.run.checkpoints import content_fingerprint
from argusvl.task_parts import Prediction, Predictor

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
        self._make = partial(_predicting, load, checkpoint.resolve(), fingerprint, self._threads, speed)

    def stream(
        self, images: Sequence[Path], *, batch_size: int, on_error: Callable[[Path, ArgusError], None]
    ) -> Iterator[tuple[Path, Prediction]]:
        """Predictions in the order of the images.

        Raises:
            ConfigError: The cluster has no room for an actor.
            ArgusError: An actor cannot load the checkpoint, or Ray has failed.
        """
        batches = [images[k : k + batch_size] for k in range(0, len(images), batch_size)]
        answers = map_items(
            self._ray,
            self._make,
            [_absolute(batch) for batch in batches],
            threads=self._threads,
            on_gpu=self._on_gpu,
            actors=self._actors,
            remedy=_REMEDY,
        )
        for batch, found in zip(batches, answers, strict=True):
            for image, one in zip(batch, found, strict=True):
                if isinstance(one, ArgusError):
                    on_error(image, one)
                else:
                    yield image, one


def _predicting(
    load: Callable[[], Predictor[Prediction]],
    checkpoint: Path,
    fingerprint: str,
    threads: int,
    speed: float | None,
) -> Callable[[list[Path]], list[Prediction | ArgusError]]:
    """In an actor: a batch of images → for each what was found, or why it cannot be used."""
    import torch

    torch.set_num_threads(threads)
    if speed is not None:
        precision.take_over_cpu_speed(speed)
    if not checkpoint.is_dir() or content_fingerprint(checkpoint) != fingerprint:
        raise CheckpointError(
            f"is missing or another one on {platform.node()}",
            where=checkpoint,
            remedy="let all machines of the cluster see the same files under the same path",
        )
    predictor = load()

    def predict(paths: list[Path]) -> list[Prediction | ArgusError]:
        found: dict[Path, Prediction | ArgusError] = {}
        found.update(predictor.stream(paths, batch_size=len(paths), on_error=found.__setitem__))
        return [found[path] for path in paths]

    return predict


def _absolute(paths: Sequence[Path]) -> list[Path]:
    """As actors see them, whose working folder is another one; links are left as they are."""
    return [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - `resolve` would follow links
