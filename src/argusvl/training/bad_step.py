"""What was wrong with a step that is not finite, and everything that it takes to compute it again.

A bundle, ``non_finite/step-<N>`` in the run's folder, holds the step's batches, the weights that it met and a report;
what else a step draws follows from seed, number and rank. ``argus train CONFIG --replay BUNDLE`` computes it again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from argus_doctor.record.tensors import is_finite, tensors_in
from argusvl.core.files import atomic_folder
from argusvl.core.logging import get_logger
from argusvl.training.sharding import whole
from argusvl.training.state import TrainState
from argusvl.training.step import StepRecord
from argusvl.training.stepping import forward_backward

logger = get_logger(__name__)

BUNDLES = "non_finite"
BATCHES, WEIGHTS, REPORT = "batches.pt", "weights.safetensors", "report.json"
_MOST_BUNDLES = 5
"""A run keeps no more: each holds the weights."""


@dataclass(frozen=True, slots=True)
class BadStep:
    """A step whose loss or gradient is not finite on this rank or another.

    Attributes:
        term: The first loss term that is not finite here, in declared order.
        parameter: The first parameter whose gradient is not.
        module: The first module, in the order of computing, whose output is not; without one, the last module whose
            own weights have such a gradient. ``None``: it was not looked for, or there is none.
        samples: Names of those of the micro-batch that shows it, or else of all.
        bundle: Folder that holds the step; ``None``: the run has kept enough of them.
    """

    step: int
    term: str | None
    parameter: str | None
    module: str | None
    samples: tuple[str, ...]
    bundle: Path | None

    @property
    def what(self) -> str:
        """The finding, in words."""
        if self.term is not None:
            what = f"loss term {self.term!r} is not finite"
        elif self.parameter is not None:
            what = f"the losses are finite, the gradient of {self.parameter} is not"
        else:
            what = "loss or gradient of another process is not finite"
        return what + ("" if self.module is None else f", first in {self.module}")


class BadStepRecorder:
    """Looks at bad steps and keeps them."""

    def __init__(self, state: TrainState) -> None:
        self._state = state
        self._kept = 0

    def __call__(self, record: StepRecord) -> BadStep:
        """What was wrong. On several ranks all look at the same time: the step is computed once more."""
        term, micro_batch = record.first_non_finite_term() or (None, None)
        suspects = range(len(record.names)) if micro_batch is None else [micro_batch]
        folder, module = None, None
        if self._kept < _MOST_BUNDLES:
            self._kept += 1
            rank = self._state.parallel.rank
            folder = self._state.output_dir / BUNDLES / f"step-{record.step}{f'-rank{rank}' if rank else ''}"
            module = self._first_bad_module(record)
        found = BadStep(
            record.step,
            term,
            record.gradients.first_non_finite(),
            module,
            tuple(name for index in suspects for name in record.names[index]),
            folder,
        )
        if folder is not None:
            self._keep(record, found, micro_batch, folder)
        return found

    def _first_bad_module(self, record: StepRecord) -> str | None:
        """By computing the step once more with an eye on every module; the gradients that are there are lost."""
        state = self._state
        state.wrapped.zero_grad()
        with watched_modules(state.network) as seen:
            forward_backward(state, record.batches, record.counts, record.step)
        if seen.first_bad is not None:
            return seen.first_bad
        modules = dict(state.network.named_modules())
        for name in reversed(seen.order):
            gradients = [p.grad for p in modules[name].parameters(recurse=False) if p.grad is not None]
            if not all(map(is_finite, gradients)):
                return name
        return None

    def _keep(self, record: StepRecord, found: BadStep, micro_batch: int | None, folder: Path) -> None:
        state = self._state
        report = {
            "step": record.step,
            "rank": state.parallel.rank,
            "ranks": state.parallel.world_size,
            "bf16": state.precision.bf16,
            "term": found.term,
            "parameter": found.parameter,
            "module": found.module,
            "suspect_micro_batch": micro_batch,
            "counts": dict(record.counts),
            "term_sums": term_sums(record),
            "gradient_norms": gradient_norms(record),
            "samples": record.names,
            "epoch_and_index": [[[one.epoch, one.index] for one in b.samples] for b in record.batches],
        }
        weights = dict(state.trainable) | dict(state.network.named_buffers())
        copied = {n: whole(w.detach()).cpu().clone().contiguous() for n, w in weights.items()}
        with atomic_folder(folder) as temporary:
            torch.save([dict(batch.to("cpu").inputs) for batch in record.batches], temporary / BATCHES)
            save_file(copied, temporary / WEIGHTS)
            (temporary / REPORT).write_text(json.dumps(report, ensure_ascii=False, indent=2), "utf-8")
        logger.info("step %d is kept in %s", record.step, folder)


def term_sums(record: StepRecord) -> list[dict[str, str]]:
    """Each micro-batch's loss terms as exact text (JSON knows no NaN)."""
    return [
        {name: str(value) for name, value in zip(record.terms, row, strict=True)}
        for row in record.sums.tolist()
    ]


def gradient_norms(record: StepRecord) -> dict[str, str]:
    """Each parameter's gradient norm as exact text."""
    return {n: str(v) for n, v in zip(record.gradients.names, record.gradients.norms.tolist(), strict=True)}


@dataclass
class SeenModules:
    """What a pass over the model showed.

    Attributes:
        order: The modules in the order in which they ended.
        first_bad: The first whose output is not finite, with a word where its own weights are to blame.
    """

    order: list[str]
    first_bad: str | None = None


@contextlib.contextmanager
def watched_modules(model: nn.Module) -> Iterator[SeenModules]:
    """Looks at each module's output while the body computes. Slow: every output is read."""
    seen = SeenModules([])

    def look(name: str, module: nn.Module, output: Any) -> None:
        seen.order.append(name)
        if seen.first_bad is None and not all(is_finite(one) for _, one in tensors_in(output)):
            bad = [n for n, p in module.named_parameters(recurse=False) if not is_finite(p)]
            seen.first_bad = name + (f" (its {', '.join(bad)} is not finite)" if bad else "")

    handles = [
        module.register_forward_hook(lambda m, _args, output, name=name: look(name, m, output))
        for name, module in model.named_modules()
        if name
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
