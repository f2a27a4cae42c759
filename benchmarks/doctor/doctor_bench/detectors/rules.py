"""Rules of others, written anew from their documentation, with its thresholds."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from doctor_bench.detectors.protocol import Found, NoDetector, Watcher
from doctor_bench.detectors.signals import before_each_step


class _Rules:
    """Keeps, by name, the first time that a rule spoke."""

    def __init__(self, model: Any, optimizer: Any) -> None:
        self.model = model
        self.steps = 0
        self._found: dict[tuple[str, str], Found] = {}
        before_each_step(optimizer, self.before_step)

    def say(self, slug: str, where: str = "", text: str = "") -> None:
        self._found.setdefault((slug, where), Found(slug, where, step=self.steps, text=text))

    def findings(self) -> Sequence[Found]:
        return list(self._found.values())

    def before_step(self) -> None:
        """While the gradients are there."""

    def step(self, **seen: Any) -> None:
        self.steps += 1
        loss = float(seen["loss"])
        if not math.isfinite(loss):
            self.say("non-finite-loss", text="loss is not finite")
        self.see(loss, seen.get("val_loss"))

    def see(self, loss: float, val_loss: float | None) -> None:
        """After each step."""


class _Sagemaker(_Rules):
    def __init__(self, model: Any, optimizer: Any) -> None:
        super().__init__(model, optimizer)
        self._before = {name: value.detach().clone() for name, value in model.named_parameters()}
        self._unchanged: dict[str, int] = {}
        self._losses: deque[float] = deque(maxlen=11)
        self._train: list[float] = []
        _watch_relus(
            model, 0.5, lambda name: self.say("dead-units", name, "more than half of the units are 0")
        )

    def before_step(self) -> None:
        for name, value in self.model.named_parameters():
            if value.grad is not None and float(value.grad.abs().mean()) < 1e-7:
                self.say("vanishing-gradient", name, "mean |gradient| below 1e-7")

    def see(self, loss: float, val_loss: float | None) -> None:
        self._losses.append(loss)
        self._train.append(loss)
        if len(self._losses) == 11 and min(list(self._losses)[1:]) >= self._losses[0]:
            self.say("learning-rate-too-low", text="loss has not decreased for 10 steps")
        if val_loss is not None:
            recent = self._train[-20:]
            mean = sum(recent) / len(recent)
            if mean > 0 and (val_loss - mean) / mean > 0.1:
                self.say("poor-generalisation", text="validation is more than 10 % above training")
        for name, value in self.model.named_parameters():
            before = self._before.get(name)
            if before is None or before.shape != value.shape or not value.requires_grad:
                continue
            moved, size = float((value.detach() - before).norm()), float(before.norm())
            self._unchanged[name] = self._unchanged.get(name, 0) + 1 if moved == 0 else 0
            if self._unchanged[name] >= 3:
                self.say("no-gradient", name, "unchanged for 3 steps")
            elif size > 0 and moved / size > 10:
                self.say("learning-rate-too-high", name, "update is more than 10 times the weight")
            elif size > 0 and 0 < moved / size < 1e-8:
                self.say("learning-rate-too-low", name, "update is less than 1e-8 of the weight")
            self._before[name] = value.detach().clone()


class SagemakerRules(NoDetector):
    """SageMaker Debugger: VanishingGradient, WeightUpdateRatio, DeadRelu, UnchangedTensor, LossNotDecreasing, Overfit.

    Of parameters that require a gradient.
    """

    def start(self, model: Any, optimizer: Any, declared: Mapping[str, Any]) -> Watcher:
        """A watcher."""
        return _Sagemaker(model, optimizer)


class _Autotrainer(_Rules):
    def __init__(self, model: Any, optimizer: Any) -> None:
        super().__init__(model, optimizer)
        self._losses: list[float] = []
        _watch_relus(model, 0.7, lambda name: self.say("dead-units", name, "70 % of the units are 0"))

    def before_step(self) -> None:
        norms = [
            float(value.grad.norm())
            for name, value in self.model.named_parameters()
            if value.grad is not None and name.endswith("weight")
        ]
        if len(norms) < 2:
            return
        first, last = norms[0], norms[-1]
        if last > 0 and first / last <= 1e-3 and first <= 1e-4:
            self.say("vanishing-gradient", text="first layer's gradient against the last's")
        if max(norms) >= 70 or not all(map(math.isfinite, norms)):
            self.say("exploding-gradient", text="a gradient's norm is 70 or more")

    def see(self, loss: float, val_loss: float | None) -> None:
        self._losses.append(loss)
        if len(self._losses) % 20 == 0 and len(self._losses) >= 100:
            recent = self._losses[-50:]
            changes = [abs(b - a) for a, b in itertools.pairwise(recent)]
            turns = sum(
                (b - a) * (c - b) < 0 for a, b, c in zip(recent, recent[1:], recent[2:], strict=False)
            )
            if sum(change > 0.03 for change in changes) / len(changes) > 0.8 and turns / len(recent) > 0.2:
                self.say("learning-rate-too-high", text="loss oscillates")
            early = sum(self._losses[:10]) / 10
            if early > 0 and sum(recent) / len(recent) > 0.97 * early:
                self.say("learning-rate-too-low", text="slow convergence")


class AutotrainerRules(NoDetector):
    """AutoTrainer: vanishing and exploding gradients, dying ReLU, oscillating loss, slow convergence."""

    def start(self, model: Any, optimizer: Any, declared: Mapping[str, Any]) -> Watcher:
        """A watcher."""
        return _Autotrainer(model, optimizer)


class _Spikes(_Rules):
    def __init__(self, model: Any, optimizer: Any) -> None:
        super().__init__(model, optimizer)
        self._window: deque[float] = deque(maxlen=10)

    def see(self, loss: float, val_loss: float | None) -> None:
        if len(self._window) == 10:
            mean = sum(self._window) / 10
            if abs(loss - mean) > 2.0 * abs(mean):
                self.say("learning-rate-too-high", text="loss is a spike")
        self._window.append(loss)


class SpikeDetection(NoDetector):
    """Lightning's SpikeDetection: a loss further from the mean of ten than twice that mean."""

    def start(self, model: Any, optimizer: Any, declared: Mapping[str, Any]) -> Watcher:
        """A watcher."""
        return _Spikes(model, optimizer)


def _watch_relus(model: Any, share: float, dead: Any) -> None:
    """Calls with the name of a ReLU module of whose units more than a share is 0 over a training batch."""
    import torch

    def hook(name: str) -> Any:
        def look(module: Any, inputs: Any, output: Any) -> None:
            if module.training and output.dim() > 1:
                silent = (output.detach().flatten(1) <= 0).all(0).float().mean()
                if float(silent) > share:
                    dead(name)

        return look

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ReLU):
            module.register_forward_hook(hook(name))
