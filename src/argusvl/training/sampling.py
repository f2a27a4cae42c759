"""The order of samples, and their randomness, as a function of seed, epoch and position alone.

That is what makes a killed run resume to the same losses: nothing depends on how many samples were drawn before, on
the number of workers, or on the batch that the loader fetches ahead.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import TrainingArguments

from argusvl.core.batch import Batch, SampleName
from argusvl.core.errors import ArgusError, DataError
from argusvl.core.files import cannot_read
from argusvl.training.parallel import Parallel
from argusvl.training.randomness import mixed_seed, preserved_cpu_randomness, seed_cpu

SampleKey = tuple[int, int]
"""Epoch and index."""

K = TypeVar("K")


def set_epoch(epoch: int, *followers: Any) -> None:
    """Tells the epoch to those that follow it."""
    for each in followers:
        if hasattr(each, "set_epoch"):
            each.set_epoch(epoch)


class _Order(Sampler[K]):
    """What comes in an epoch, so many each time."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose order the next iteration gives."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._length


class EpochSampler(_Order[SampleKey]):
    """A random order for each epoch."""

    def __init__(self, length: int, seed: int) -> None:
        super().__init__(length)
        self._seed = seed

    def __iter__(self) -> Iterator[SampleKey]:
        epoch = self._epoch
        generator = torch.Generator().manual_seed(mixed_seed(self._seed, epoch) % 2**63)
        for index in torch.randperm(self._length, generator=generator).tolist():
            yield epoch, index


class PlannedBatches(_Order[list[SampleKey]]):
    """The batches that a dataset plans, of which each rank takes its share.

    Args:
        dataset: With ``num_batches`` and ``batches``, see :meth:`argusvl.training.protocol.Task.train_dataset`.
    """

    def __init__(self, dataset: Any, rank: int, ranks: int) -> None:
        super().__init__(dataset.num_batches(ranks) // ranks)
        self._dataset = dataset
        self._rank, self._ranks = rank, ranks

    @property
    def mean_samples(self) -> float:
        """Of a batch."""
        return len(self._dataset) / (self._length * self._ranks)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        epoch = self._epoch
        planned = self._dataset.batches(epoch, self._ranks)
        for batch in itertools.islice(planned, self._rank, None, self._ranks):
            yield [(epoch, index) for index in batch]


def make_sampler(dataset: Any, seed: int, parallel: Parallel) -> EpochSampler | PlannedBatches:
    """The batches that the dataset plans, or else a random order of its samples."""
    num_batches = getattr(dataset, "num_batches", None)
    if num_batches is None or num_batches(parallel.world_size) is None:
        return EpochSampler(len(dataset), seed)
    return PlannedBatches(dataset, parallel.rank, parallel.world_size)


def planned_loader(
    dataset: SeededSamples, sampler: PlannedBatches, collate: Any, args: TrainingArguments
) -> DataLoader[Any]:
    """Loads this rank's batches. Not prepared by accelerate, which would share them out once more."""
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=args.dataloader_num_workers,
        pin_memory=args.dataloader_pin_memory,
        persistent_workers=args.dataloader_persistent_workers,
        prefetch_factor=args.dataloader_prefetch_factor,
    )


def end_workers(loader: DataLoader[Any] | None) -> None:
    """Ends data workers that outlive an epoch.

    Left to the end of the process they are sent one SIGTERM, which they pass over, and waited for: see
    :func:`argusvl.training.interrupts.leave_signals`.
    """
    if loader is not None:
        # Of accelerate's loader the one within; PyTorch has no other way.
        getattr(loader, "base_dataloader", loader)._iterator = None


@dataclass(frozen=True, slots=True)
class _Fetched:
    names: tuple[SampleName, ...]
    samples: list[Any]


class SeededSamples(Dataset[Any]):
    """The task's dataset, asked by (epoch, index) with the global generators seeded for each sample.

    Args:
        dataset: Samples by index; ``set_epoch`` is called when the epoch changes, in every worker too (a worker
            that outlives an epoch would never learn of it otherwise).
    """

    def __init__(self, dataset: Dataset[Any], seed: int) -> None:
        self._dataset = dataset
        self._seed = seed
        self._epoch: int | None = None

    def __len__(self) -> int:
        return len(self._dataset)  # type: ignore[arg-type]

    def __getitem__(self, key: SampleKey) -> Any:
        epoch, index = key
        if epoch != self._epoch:
            self._epoch = epoch
            set_epoch(epoch, self._dataset)
        return self._dataset[index]

    def __getitems__(self, keys: Sequence[SampleKey]) -> list[_Fetched | ArgusError]:
        """All samples of a batch, or what went wrong, as one item (torch's fetcher calls this where it exists)."""
        samples = []
        with preserved_cpu_randomness():
            try:
                for key in keys:
                    seed_cpu(mixed_seed(self._seed, *key))
                    samples.append(self[key])
            except (ArgusError, OSError) as error:
                # Raised in a worker it would arrive as a traceback in a string; as a value it arrives whole.
                return [_to_tell(error)]
        name_of = getattr(self._dataset, "sample_name", lambda index: f"#{index}")
        return [_Fetched(tuple(SampleName(*key, str(name_of(key[1]))) for key in keys), samples)]


class SeededCollator:
    """The task's collator, with seeded generators, noting which samples the batch is made of."""

    def __init__(self, collate: Callable[[Sequence[Any]], Batch], seed: int) -> None:
        self._collate = collate
        self._seed = seed

    def __call__(self, fetched: Sequence[_Fetched | ArgusError]) -> Batch | ArgusError:
        """The batch, or what went wrong while it was made."""
        (whole,) = fetched
        if isinstance(whole, ArgusError):
            return whole
        first = whole.names[0]
        with preserved_cpu_randomness():
            seed_cpu(mixed_seed(self._seed, first.epoch, first.index, 1))
            try:
                return dataclasses.replace(self._collate(whole.samples), samples=whole.names)
            except (ArgusError, OSError) as error:
                return _to_tell(error)


def _to_tell(error: ArgusError | OSError) -> ArgusError:
    if isinstance(error, ArgusError):
        return error
    return cannot_read(error.filename or "training data", error, DataError)
