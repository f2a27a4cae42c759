"""What no rank decides alone: sums, decisions and errors that are the same on all processes of a run.

Every method but the properties is a collective: all ranks call it, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from argusvl.core.errors import ArgusError, TrainingError

T = TypeVar("T")


def lost_process(error: BaseException) -> TrainingError | None:
    """What to say where a collective failed because another process is gone; ``None`` for any other error."""
    if not isinstance(error, RuntimeError):
        return None
    # Of gloo there is but the text; NCCL's errors are of torch's own kind.
    gloo = "gloo" in str(error) and any(sign in str(error) for sign in ("onnection", "imed out", "imeout"))
    if not gloo and not isinstance(error, torch.distributed.DistError):
        return None
    return TrainingError(
        "another process of the run has ended, or does not answer",
        remedy="see what it said (train.log.rank<N>); go on from the newest checkpoint with --resume",
    )


@dataclass(frozen=True, slots=True)
class Parallel:
    """The processes that train together; one alone is a special case without communication.

    Attributes:
        rank: Number of this process.
        world_size: Number of processes.
        device: Where this rank computes, and where what it sends must lie.
    """

    rank: int = 0
    world_size: int = 1
    device: torch.device | str = "cpu"

    @property
    def is_first(self) -> bool:
        """Whether this process writes for all."""
        return self.rank == 0

    def share(self, length: int) -> range:
        """The indices of this rank's part of ``length`` items."""
        return range(self.rank, length, self.world_size)

    def add(self, tensor: Tensor) -> Tensor:
        """The sum over ranks."""
        if self.world_size == 1:
            return tensor
        total = tensor.detach().to(self.device, copy=True)
        torch.distributed.all_reduce(total)
        return total

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag whether it is set on some rank."""
        if self.world_size == 1:
            return flags
        return tuple(count > 0 for count in self.add(torch.tensor(flags, dtype=torch.int32)).tolist())

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, in their order, on every rank."""
        if self.world_size == 1:
            return [value]
        values: list[T | None] = [None] * self.world_size
        torch.distributed.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def from_first(self, value: T) -> T:
        """What the first rank has."""
        if self.world_size == 1:
            return value
        values = [value]
        torch.distributed.broadcast_object_list(values, src=0)
        return values[0]

    def check_same(self, facts: Mapping[str, Any]) -> None:
        """Refuses processes that were not started alike: they would wait for each other, or learn different things.

        Raises:
            TrainingError: On every process, with the first fact in which one differs from the first process.
        """
        first, *others = self.gather(dict(facts))
        for rank, found in enumerate(others, 1):
            for name in dict.fromkeys([*first, *found]):
                if first.get(name) != found.get(name):
                    raise TrainingError(
                        f"{name} is {first.get(name)!r} in process 0 and {found.get(name)!r} in process {rank}",
                        remedy="start all processes with the same configuration, data and versions",
                    )

    def raise_together(self, error: Exception | None) -> None:
        """Where a rank brings an error, every rank raises: that one its own, the others one that names it.

        Raises:
            Exception: ``error``, on the rank that has it.
            TrainingError: On the others.
        """
        if not any(self.any(error is not None)):
            return
        said = self.gather(None if error is None else str(error))
        if error is not None:
            raise error
        rank, what = next((rank, text) for rank, text in enumerate(said) if text is not None)
        raise TrainingError(f"process {rank} of {self.world_size} stopped: {what}")

    def gather_results(self, work: Callable[[], T]) -> list[T]:
        """Does each rank's part of a work, and gives all parts to all ranks. No rank waits for one that failed.

        Raises:
            ArgusError: What went wrong on this rank or, as a ``TrainingError``, on another one.
        """
        result, failed = None, None
        try:
            result = work()
        except (ArgusError, OSError) as error:
            if self.world_size == 1:
                raise
            failed = error
        self.raise_together(failed)
        return self.gather(result)  # type: ignore[arg-type]
