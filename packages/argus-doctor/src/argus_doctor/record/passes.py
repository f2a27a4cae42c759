"""Forward passes of the model: in which mode, with which inputs, and what gradient comes back at the outputs."""

from __future__ import annotations

import contextlib
import linecache
import math
import random
import re
import sys
import sysconfig
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from argus_doctor.evidence import Evidence, TensorStatistics
from argus_doctor.record.hooks import Hook
from argus_doctor.record.tensors import fingerprints, statistics, tensors_in
from argus_doctor.signature import confidence

_MOST_OUTPUTS = 4
_BATCHES_OF_AN_EVALUATION = 4
_MOST_EVALUATIONS = 100
_MOST_SEEN = 500_000
_MOST_PAIRS = 100_000
_LATE = 64
_LINES = 4
_INSTALLED = (
    *(sysconfig.get_paths()[key] for key in ("purelib", "platlib", "stdlib")),
    str(Path(__file__).parents[1]),
)
_MODES = ("Dropout", "BatchNorm", "AlphaDropout", "SyncBatchNorm", "DropPath", "StochasticDepth")


def _matters(module: nn.Module) -> bool:
    """Whether a module does something else in training."""
    name = type(module).__name__
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return True
    probability = getattr(module, "p", getattr(module, "drop_prob", None))
    if any(name.startswith(one) or name.endswith(one) for one in _MODES):
        return not isinstance(probability, (int, float)) or probability > 0
    dropout = getattr(module, "dropout", None)  # of recurrent layers and of attention
    return isinstance(dropout, float) and dropout > 0


@dataclass(slots=True)
class _Pass:
    """One call of the model since the last step.

    Attributes:
        active: Whether dropout or batch normalisation was at work as in training.
        root_trains: Whether the model as a whole was in training mode.
        prints: Fingerprints of its samples.
        inputs: Statistics of its inputs, where they were taken.
        trained: Whether a gradient came back to its outputs.
        meant: What the lines that called it speak of.
        confidence: Of the outputs, where they may be scores of classes.
    """

    active: bool
    root_trains: bool
    prints: Tensor | None
    inputs: list[TensorStatistics]
    trained: bool = False
    meant: str = ""
    confidence: float | None = None


class PassSensor:
    """Watches a model's calls.

    Args:
        model: The one that the loop calls.
        evidence: Is filled in.
        clock: Tells the time.

    Attributes:
        looking: Whether this step's inputs and outputs are examined.
        paused: Whether calls are our own.
        call: Arguments of the last call with gradients.
        outputs: Its outputs with the gradients that came back, by name.
        first_call: When the step's first call began.
    """

    def __init__(self, model: nn.Module, evidence: Evidence, clock: Callable[[], float]) -> None:
        self.model, self._evidence, self._clock = model, evidence, clock
        self.looking, self.paused = True, False
        self.call: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.outputs: dict[str, tuple[Tensor, Tensor]] = {}
        self.first_call: float | None = None
        self._modes = [module for module in model.modules() if _matters(module)]
        evidence.mode_matters = bool(self._modes)
        self._passes: list[_Pass] = []
        self._seen: list[Tensor] = []
        self._seen_count = 0
        self._seen_set: set[int] = set()
        self._last_sum: int | None = None
        self._alike = self._pairs = 0
        self._last_input: weakref.ref[Tensor] | None = None
        self._handles = [
            model.register_forward_pre_hook(Hook(self._before)),
            model.register_forward_hook(Hook(self._after), with_kwargs=True),
        ]
        self._uncalled = {
            name: module
            for name, module in model.named_modules()
            if name and any(p.requires_grad for p in module.parameters(recurse=False))
        }
        self._callers = [
            module.register_forward_pre_hook(Hook(self._calling(name)))
            for name, module in self._uncalled.items()
        ]

    def close(self) -> None:
        """Takes all hooks away."""
        for handle in (*self._handles, *self._callers):
            handle.remove()

    def _calling(self, name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            self._uncalled.pop(name, None)

        return hook

    def stop_counting_calls(self) -> None:
        """Which modules are called is known after some steps."""
        if self._callers:
            for handle in self._callers:
                handle.remove()
            self._callers = []
            self._evidence.uncalled = set(self._uncalled)

    def _before(self, *_: Any) -> None:
        if not self.paused and self.first_call is None:
            self.first_call = self._clock()

    def _after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if self.paused:
            return
        try:
            self._see(args, kwargs, output)
        except Exception as error:  # noqa: BLE001 - a watcher never stops a training: it becomes a finding
            self._evidence.failures.setdefault("passes", repr(error))

    def _see(self, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        given = [
            (name, one) for name, one in tensors_in([list(args), kwargs]) if one.ndim > 0 and one.numel()
        ]
        active, root = any(one.training for one in self._modes), self.model.training
        tensors = [
            (name, one)
            for name, one in (tensors_in(output) if torch.is_grad_enabled() else ())
            if one.requires_grad and one.is_floating_point() and one.grad_fn is not None
        ]
        seen = _Pass(active, root, _prints([one for _, one in given]), [])
        evaluations = sum(not one.trained for one in self._passes)
        if self.looking if tensors else evaluations < _BATCHES_OF_AN_EVALUATION:
            described = [statistics(name, one) for name, one in given[:3]]
            seen.inputs = [one for one in described if one is not None]
        self._passes.append(seen)
        if not tensors:
            if evaluations < _BATCHES_OF_AN_EVALUATION:
                seen.meant = _meaning()
                scores = next(
                    (one for _, one in tensors_in(output) if one.ndim == 2 and one.shape[1] > 2), None
                )
                if scores is not None and scores.is_floating_point():
                    seen.confidence = confidence(scores.detach())
            return
        self.call = args, kwargs
        if given:
            tensor = given[0][1]
            whole = tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()
            self._evidence.whole_set = whole and self._last_input is not None and self._last_input() is tensor
            self._last_input = weakref.ref(tensor)
        if self.looking:
            self.outputs = {}

        def reached(_: Tensor) -> None:
            seen.trained = True

        # Of several outputs the loss may use any.
        for name, tensor in tensors[:_MOST_OUTPUTS]:
            tensor.register_hook(reached)  # type: ignore[no-untyped-call]
            if self.looking:
                tensor.register_hook(self._keeping(name, tensor.detach(), self.outputs))  # type: ignore[no-untyped-call]

    @staticmethod
    def _keeping(
        name: str, value: Tensor, kept: dict[str, tuple[Tensor, Tensor]]
    ) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            kept[name] = value, gradient.detach()

        return hook

    def finish_step(self, step: int) -> None:
        """Takes down what this step's passes were."""
        evidence, passes = self._evidence, self._passes
        trained = [one for one in passes if one.trained]
        if trained and self._modes:
            as_training = any(one.root_trains or one.active for one in trained)
            kept = evidence.passes_in_training_mode if as_training else evidence.passes_in_eval_mode
            kept.append(step)
        for one in trained:
            if one.inputs:
                evidence.inputs.append(one.inputs)
            if one.prints is not None and self._seen_count < _MOST_SEEN:
                self._seen.append(one.prints)
                self._seen_count += len(one.prints)
                if len(self._seen) > _LATE and self._seen[-1].device.type == "cpu":
                    self._learn()
        if trained and trained[-1].prints is not None and self.looking_back:
            prints = trained[-1].prints
            total = int((prints * torch.arange(1, len(prints) + 1)).sum())  # the order counts
            if self._pairs < _MOST_PAIRS and len(prints) > 1:
                counts = torch.unique(prints, return_counts=True)[1]
                self._pairs += len(prints) * (len(prints) - 1) // 2
                self._alike += int((counts * (counts - 1) // 2).sum())
                evidence.alike_in_batch = self._alike, self._pairs
            if self._last_sum is not None:
                repeated, compared = evidence.batches_repeated
                evidence.batches_repeated = repeated + (total == self._last_sum), compared + 1
            self._last_sum = total
        others = [one for one in passes if not one.trained]
        if others:
            found = evidence.evaluations
            found.steps.append(step)
            if any(one.active for one in others):
                found.in_training_mode.append(step)
            if len(found.statistics) < _MOST_EVALUATIONS:
                found.statistics.append([part for one in others for part in one.inputs])
                self._compare_samples(others, step)
        self._passes, self.first_call = [], None

    @property
    def looking_back(self) -> bool:
        """Whether batches are compared at each step: not where asking would wait for a GPU."""
        return not self._seen or self._seen[-1].device.type == "cpu"

    def _compare_samples(self, passes: list[_Pass], step: int) -> None:
        """How many of an evaluation's samples training has seen, and what it was meant for."""
        self._learn()
        sure = [one.confidence for one in passes if one.confidence is not None]
        if sure:
            self._evidence.evaluations.confidence.append(sum(sure) / len(sure))
        prints = [number for one in passes if one.prints is not None for number in one.prints.tolist()]
        if prints:
            known = sum(number in self._seen_set for number in prints)
            self._evidence.evaluations.samples = max(self._evidence.evaluations.samples, len(prints))
            self._evidence.evaluations.known_share.append((step, known / len(prints)))
            self._evidence.evaluations.meant.append(
                next((one.meant for one in passes if one.meant), "rollout" if passes[0].root_trains else "")
            )

    def _learn(self) -> None:
        for batch in self._seen:
            self._seen_set.update(batch.tolist())
        self._seen.clear()
        self._evidence.distinct = len(self._seen_set), self._seen_count


_VALIDATION = re.compile(r"(?<![a-z])(val|valid|validation|dev|test|holdout|held_?out)(?![a-z])")
_TRAINING = re.compile(r"(?<![a-z])(train|training)(?![a-z])")


def _meaning() -> str:
    """What the lines of the user's code that led here speak of: their names say what an evaluation is meant for."""
    lines: list[str] = []
    frame: FrameType | None = sys._getframe(3)
    while frame is not None and len(lines) < _LINES:
        name = frame.f_code.co_filename
        if not name.startswith(_INSTALLED) and not name.startswith("<"):
            lines.append(linecache.getline(name, frame.f_lineno).lower().replace("model.train", ""))
        frame = frame.f_back
    for line in lines:  # the nearest line that says it
        validation, training = bool(_VALIDATION.search(line)), bool(_TRAINING.search(line))
        if validation != training:
            return "validation" if validation else "training"
    return ""


def _prints(tensors: list[Tensor]) -> Tensor | None:
    """A fingerprint of each sample, of all inputs together."""
    same = [one for one in tensors if one.ndim > 1 and len(one) == len(tensors[0])][:3] or tensors[:1]
    found: Tensor | None = None
    for number, one in enumerate(same):
        prints = fingerprints(one) * (2 * number + 1)
        found = prints if found is None else found ^ prints
    return found


@contextlib.contextmanager
def undisturbed(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    """Calls of the model within leave nothing behind: evaluation mode, and then modes, buffers and chance as before."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(one, one.clone()) for one in model.buffers()]
    devices = {one.device.index for _, one in tensors_in([list(args), kwargs]) if one.is_cuda}
    python, arrays = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=sorted(devices)):
            for module, _ in modes:
                module.training = False
            yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for buffer, value in buffers:
                if not buffer.is_meta and not torch.equal(buffer, value):
                    buffer.copy_(value)


def first_module_not_finite(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Replays a forward pass and names the first module whose output is not finite though its inputs were.

    Hooks on every module double a pass's time: it is done once, when there is something to find.
    """
    found: list[str] = []

    def finite(value: Any) -> bool:
        return all(bool(torch.isfinite(one).all()) for _, one in tensors_in(value) if one.is_floating_point())

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and not finite(output) and finite(inputs):
                found.append(name or type(module).__name__)

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in model.named_modules()]
    try:
        with torch.no_grad(), undisturbed(model, args, kwargs):
            model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def outputs_ignore(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, bool]:
    """For each input that differs between samples, whether the outputs stay the same when samples swap it.

    Runs the model in evaluation mode, once as it is and once for each input; random states and modes are restored.
    """
    names = [
        (name, one) for name, one in tensors_in([list(args), dict(kwargs)]) if one.ndim >= 1 and len(one) > 1
    ]
    answers: dict[str, bool] = {}
    with torch.no_grad(), undisturbed(model, args, kwargs):
        before = [one for _, one in tensors_in(model(*args, **kwargs)) if one.is_floating_point()]
        for name, tensor in names[:4]:
            rolled = tensor.roll(1, 0)
            if torch.equal(rolled, tensor) or (not tensor.is_floating_point() and tensor.dtype != torch.long):
                continue
            new_args, new_kwargs = _replaced((args, dict(kwargs)), tensor, rolled)
            after = [one for _, one in tensors_in(model(*new_args, **new_kwargs)) if one.is_floating_point()]
            pairs = [(a, b) for a, b in zip(before, after, strict=True) if a.shape == b.shape]
            same = [_same(a, b) for a, b in pairs]
            answers[name] = bool(same) and all(same)
    return answers


def _same(first: Tensor, second: Tensor) -> bool:
    scale = float(first.abs().max()) if first.numel() else 0.0
    return not math.isfinite(scale) or float((first - second).abs().max()) <= 1e-6 * max(scale, 1e-12)


def _replaced(value: Any, old: Tensor, new: Tensor) -> Any:
    if value is old:
        return new
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(_replaced(one, old, new) for one in value)
    if isinstance(value, list):
        return [_replaced(one, old, new) for one in value]
    if isinstance(value, dict):
        return {key: _replaced(one, old, new) for key, one in value.items()}
    return value
