"""The largest batch first: what does not fit into memory shows before the first step, not hours later."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch

from argusvl.core.batch import Batch
from argusvl.core.errors import ArgusError, ConfigError
from argusvl.core.logging import get_logger
from argusvl.core.wording import listed
from argusvl.training.policies.phases import ever_freezes
from argusvl.training.sampling import SeededSamples
from argusvl.training.sandbox import preserved
from argusvl.training.sharding import is_sharded
from argusvl.training.state import TrainState
from argusvl.training.stepping import batch_loss

logger = get_logger(__name__)


def try_largest_batch(state: TrainState) -> None:
    """Computes the gradients of the largest batch and throws them away; afterwards everything is as it was.

    Memory that the optimizer will take at its first step is held meanwhile, as much as AdamW takes. Where the training
    set does not say which batch is the largest, nothing happens; what is wrong with a sample is left to the run to say.

    Raises:
        ConfigError: There is not enough memory.
    """
    parallel, network = state.parallel, state.network
    specs = [group.spec for group in state.groups]
    if parallel.world_size > 1 and ever_freezes(specs, state.config.training.phases):
        return  # DDP fails over a group that had a gradient before its first step and then has none
    with preserved(network):
        batch = _largest_batch(state)
        if any(parallel.any(batch is None)):
            return
        assert batch is not None
        counts = state.losses.counts_of([batch])
        network.train()
        failed = None
        try:
            trained = [p for p in state.trainable.values() if p.requires_grad]
            moments = [torch.empty_like(p) for p in trained for _ in range(2)]
            # Not through DDP: a rank without memory must not leave the others waiting for its gradients.
            loss, _, outputs = batch_loss(state, network, batch, counts)
            del outputs
            state.accelerator.backward(loss)
            del loss, moments
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            failed = _too_large(batch, error)
            if is_sharded(network):
                raise failed from error  # the others wait inside the model, until the launcher ends them
        state.wrapped.zero_grad(set_to_none=True)
    parallel.raise_together(failed)
    sizes = batch.sizes
    logger.info(
        "the largest batch fits: %d samples, %d tokens, %d images",
        *(len(batch.samples), sizes.tokens, sizes.images),
    )


def _largest_batch(state: TrainState) -> Batch | None:
    dataset: Any = state.train_dataset
    if not hasattr(dataset, "largest_batch"):
        return None
    samples = SeededSamples(dataset, state.config.training.seed)
    with contextlib.suppress(ArgusError, OSError):
        chosen: Sequence[int] = dataset.largest_batch(
            state.arguments.train_batch_size, state.parallel.world_size
        )
        collate: Any = state.collate
        batch = collate(samples.__getitems__([(0, int(i)) for i in chosen]))
        return batch if isinstance(batch, Batch) else None
    return None


def _is_out_of_memory(error: Exception) -> bool:
    said = str(error)
    return (
        isinstance(error, (MemoryError, torch.OutOfMemoryError))
        or "out of memory" in said
        or "can't allocate memory" in said
    )


def _too_large(batch: Batch, error: Exception) -> ConfigError:
    sizes, said = batch.sizes, str(error).splitlines() or ["no memory"]
    return ConfigError(
        f"the largest batch does not fit into memory: {len(batch.samples)} samples, {sizes.tokens} tokens, "
        f"{sizes.images} images ({listed(batch.names, 4)}); {said[0]}",
        where="per_device_train_batch_size",
        remedy="lower it and raise gradient_accumulation_steps, set gradient_checkpointing to true, or lower the "
        "limits of images and conversations; `argus inspect memory` shows what each takes",
        slug="largest-batch-too-large",
    )
