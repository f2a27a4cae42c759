"""A loss or gradient that is not finite: found before the optimizer steps, its batch kept, the run stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from argusvl.core.files import atomic_folder
from argusvl.core.logging import get_logger
from argusvl.training.policies import Action, Continue, Inactive, Stop
from argusvl.training.sampling import BATCH_INFO
from argusvl.training.step import StepRecord

logger = get_logger(__name__)

REPLAY_FOLDER = "non_finite"


class StopWhereNotFinite(Inactive):
    """Stops the run: nothing was changed by the step, and its batch is kept for replay.

    Args:
        output_dir: The run's folder; the batch goes to ``non_finite/step-<N>`` in it.
        rank: This process's rank, part of the file names where there are several.
    """

    def __init__(self, output_dir: Path, rank: int = 0) -> None:
        self._output_dir = output_dir
        self._rank = rank

    def after_backward(self, record: StepRecord) -> Action:
        """Names the term or parameter, the step, the samples and the folder."""
        if record.finite:
            return Continue()
        rank = f"-rank{self._rank}" if self._rank else ""
        folder = self._output_dir / REPLAY_FOLDER / f"step-{record.step}{rank}"
        term, parameter = record.first_non_finite_term(), record.gradients.first_non_finite()
        _keep(record, term, parameter, folder)
        suspects = range(len(record.names)) if term is None else [term[1]]
        samples = ", ".join(name for index in suspects for name in record.names[index])
        what = (
            f"loss term {term[0]!r} is not finite"
            if term is not None
            else f"the losses are finite, the gradient of {parameter} is not"
        )
        return Stop(
            f"{what} at step {record.step}; the step was not taken. Samples: {samples}",
            "look at these samples (the batch is kept there), lower the learning rates or max_grad_norm, "
            "and continue with --resume from the last checkpoint",
            where=str(folder),
        )


def _keep(record: StepRecord, term: tuple[str, int] | None, parameter: str | None, folder: Path) -> None:
    sums = [dict(zip(record.terms, row, strict=True)) for row in record.sums.tolist()]
    report = {
        "step": record.step,
        "term": None if term is None else term[0],
        "parameter": parameter,
        "suspect_micro_batch": None if term is None else term[1],
        "term_sums": [{name: str(value) for name, value in row.items()} for row in sums],
        "samples": [list(names) for names in record.names],
        "epoch_and_index": [[list(key) for key in info.keys] for info in record.infos],
    }
    batches = [{key: value for key, value in b.items() if key != BATCH_INFO} for b in record.batches]
    with atomic_folder(folder) as temporary:
        torch.save([_on_cpu(batch) for batch in batches], temporary / "batches.pt")
        (temporary / "report.json").write_text(json.dumps(report, ensure_ascii=False, indent=2), "utf-8")
    logger.info("the batch of step %d is kept in %s", record.step, folder)


def _on_cpu(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {key: _on_cpu(item) for key, item in value.items()}
    return value
