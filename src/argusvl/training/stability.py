"""What the engine does when a loss or a gradient is not finite: a policy that it calls before the optimizer steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch

from argusvl.core.errors import TrainingError
from argusvl.core.files import atomic_folder
from argusvl.core.logging import get_logger
from argusvl.training.sampling import SampleKey

logger = get_logger(__name__)

REPLAY_FOLDER = "non_finite"


@dataclass(frozen=True, slots=True)
class NonFinite:
    """A step whose loss or gradient is not finite, as this rank sees it.

    Attributes:
        step: Number of the optimizer step that was not taken (the first step is 1).
        term: First loss term that is not finite, in declared order; ``None`` when all are.
        parameter: First parameter whose gradient is not finite, in the model's order; ``None`` when all are.
        term_sums: For each micro-batch, the terms' sums.
        batches: The micro-batches, as collated (``counts`` included).
        keys: Epoch and index of the samples of each micro-batch.
        names: Names of the samples of each micro-batch, where the dataset gives them.
        suspect: The micro-batch in which the first non-finite term was found; ``None`` when the loss is finite.
    """

    step: int
    term: str | None
    parameter: str | None
    term_sums: Sequence[Mapping[str, float]]
    batches: Sequence[Mapping[str, Any]]
    keys: Sequence[Sequence[SampleKey]]
    names: Sequence[Sequence[str]]
    suspect: int | None


class NonFinitePolicy:
    """Stops the run: nothing was changed by the step, and its batch is kept for replay.

    Args:
        output_dir: The run's folder; the batch goes to ``non_finite/step-<N>`` in it.
        rank: This process's rank, part of the file names where there are several.
    """

    def __init__(self, output_dir: Path, rank: int = 0) -> None:
        self._output_dir = output_dir
        self._rank = rank

    def handle(self, event: NonFinite) -> NoReturn:
        """Keeps the batch and stops.

        Raises:
            TrainingError: Always; names the term or parameter, the step, the samples and the folder.
        """
        folder = (
            self._output_dir
            / REPLAY_FOLDER
            / f"step-{event.step}{f'-rank{self._rank}' if self._rank else ''}"
        )
        self._keep(event, folder)
        suspects = range(len(event.names)) if event.suspect is None else [event.suspect]
        samples = [name for index in suspects for name in event.names[index]]
        if event.term is not None:
            what = f"loss term {event.term!r} is not finite"
        elif event.parameter is not None:
            what = f"the losses are finite, the gradient of {event.parameter} is not"
        else:
            what = "another rank found a loss or gradient that is not finite"
        raise TrainingError(
            f"{what} at step {event.step}; the step was not taken. Samples: {', '.join(samples)}",
            where=folder,
            remedy="look at these samples (the batch is kept there), lower the learning rates or max_grad_norm, "
            "and continue with --resume from the last checkpoint",
        )

    def _keep(self, event: NonFinite, folder: Path) -> None:
        report = {
            "step": event.step,
            "term": event.term,
            "parameter": event.parameter,
            "suspect_micro_batch": event.suspect,
            "term_sums": [{name: str(value) for name, value in sums.items()} for sums in event.term_sums],
            "samples": [list(names) for names in event.names],
            "epoch_and_index": [[list(key) for key in keys] for keys in event.keys],
        }
        with atomic_folder(folder) as temporary:
            torch.save([_on_cpu(dict(batch)) for batch in event.batches], temporary / "batches.pt")
            (temporary / "report.json").write_text(json.dumps(report, ensure_ascii=False, indent=2), "utf-8")
        logger.info("the batch of step %d is kept in %s", event.step, folder)


def _on_cpu(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {key: _on_cpu(item) for key, item in value.items()}
    return value
