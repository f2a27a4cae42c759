"""Packages of others, called as their documentation says, their messages brought into our words by a table each.

They are installed in an environment of their own (``--peer-python``) and imported there only. A message that names a
symptom is mapped to the cause that its text gives first. Information that they mark as such is no alarm.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from doctor_bench.detectors.protocol import Found, NoDetector, RunFiles, Watcher
from doctor_bench.detectors.signals import (
    before_each_step,
    optimizers_of,
    slug_by_words,
    split,
    tensors_of,
)

_SEVERITIES = {"fail": "error", "error": "error", "critical": "error", "warn": "warning", "info": "info"}


def _severity(word: Any) -> str:
    return _SEVERITIES.get(str(getattr(word, "value", word)).lower(), "warning")


class Guardtower(NoDetector):
    """``audit`` on the first batch, then ``monitor``.

    It wants a function that computes the loss, which a watch does not have: the cross-entropy or the squared error of
    the model's output and the batch's last tensor stands in for it. What it changes is put back.
    """

    def start(self, model: Any, optimizer: Any, declared: Mapping[str, Any]) -> Watcher:
        """A watcher."""
        return _GuardtowerWatcher(model, optimizer)


_GUARDTOWER = {
    "grad_connectivity": "no-gradient",
    "optimizer_coverage": "not-in-optimizer",
    "lora_optimizer": "not-in-optimizer",
    "loss": "no-gradient",
    "nonfinite": "non-finite-loss",
    "dead_relu": "dead-units",
    "input_dependency": "input-ignored",
    "train_mode": "training-in-evaluation-mode",
    "dist_wrap": "ranks-disagree",
}


class _GuardtowerWatcher:
    def __init__(self, model: Any, optimizer: Any) -> None:
        self._package = importlib.import_module("guardtower")
        self._model, self._optimizer = model, optimizer
        self._found: list[Found] = []
        self._audited = False
        self._monitor = self._package.monitor(model, on_nonfinite="warn")

    def step(self, **seen: Any) -> None:
        if self._audited:
            return
        self._audited = True
        self._audit(seen["batch"])
        self._monitor.__enter__()

    def _audit(self, batch: Any) -> None:
        import torch

        inputs, targets = split(batch)
        inputs = [one.detach().clone() for one in inputs]
        state = copy.deepcopy(self._model.state_dict())
        gradients = [p.grad for p in self._model.parameters()]
        optimizer = optimizers_of(self._optimizer)
        with torch.random.fork_rng(), contextlib.redirect_stdout(io.StringIO()):
            report = self._package.audit(
                self._model,
                lambda: _stand_in_loss(self._model(*inputs), targets),
                optimizer=optimizer[0] if len(optimizer) == 1 else None,
                inputs=inputs,
            )
        self._model.load_state_dict(state)
        for parameter, gradient in zip(self._model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        for one in report.findings:
            slug = _GUARDTOWER.get(one.check, "")
            if one.check == "grad_norms":
                slug = "vanishing-gradient" if "tiny" in one.message else "exploding-gradient"
            names = re.findall(r"[A-Za-z_]\w*(?:\.\w+)+", one.message)
            self._found.append(
                Found(slug, " ".join(names), _severity(one.severity.label), step=1, text=one.message)
            )

    def findings(self) -> Sequence[Found]:
        hits = self._monitor.hits[:1]
        return [
            *sorted(self._found, key=lambda one: one.severity),  # "error" before "info" before "warning"
            *(Found("non-finite-loss", hit, "error", text="non-finite activation") for hit in hits),
        ]


def _stand_in_loss(output: Any, targets: Any) -> Any:
    import torch
    from torch.nn import functional

    outputs = tensors_of(output)
    first = outputs[0]
    if targets is None or len(outputs) > 1:
        return sum(one.float().pow(2).mean() for one in outputs)
    if not targets.is_floating_point() and first.dim() == targets.dim() + 1:
        return functional.cross_entropy(first.flatten(0, -2), targets.flatten())
    if targets.numel() == first.numel():
        return functional.mse_loss(first.flatten(), targets.flatten().to(torch.float32))
    return first.float().pow(2).mean()


class Runmedic(NoDetector):
    """``runmedic diagnose`` on the run's CSV."""

    def read(self, files: RunFiles) -> Sequence[Found]:
        """Its findings, as it orders them."""
        package = importlib.import_module("runmedic.checks")
        roles = importlib.import_module("runmedic.roles")
        found = []
        for run in importlib.import_module("runmedic.loaders").load(str(files.csv)):
            for one in package.run_checks(run, roles.detect(run)):
                step = None if one.step is None else int(one.step)
                slug = _RUNMEDIC.get(one.check, "")
                found.append(Found(slug, "", _severity(one.severity), step, one.title))
        return found


_RUNMEDIC = {
    "non_finite": "non-finite-loss",
    "divergence": "learning-rate-too-high",
    "loss_spikes": "learning-rate-too-high",
    "no_learning": "learning-rate-too-low",
    "overfitting": "poor-generalisation",
    "grad_spikes": "exploding-gradient",
    "memory_growth": "graph-kept",
}


class TorchPreflight(NoDetector):
    """``check_source`` on the script."""

    def read(self, files: RunFiles) -> Sequence[Found]:
        """Its diagnostics; found before training."""
        check = importlib.import_module("torch_preflight").check_source
        diagnostics, _ = check(str(files.script), files.script.read_text(encoding="utf-8"))
        order = {"error": 0, "warning": 1}
        found = [
            Found(
                _PREFLIGHT.get(one.code, ""),
                f"{one.path}:{one.line}",
                _severity(one.severity),
                0,
                f"{one.code} {one.message}",
            )
            for one in diagnostics
        ]
        return sorted(found, key=lambda one: order.get(one.severity, 2))


_PREFLIGHT = {
    "TG001": "graph-kept",
    "TG003": "missing-zero-grad",
    "TG005": "double-softmax",
    "TG006": "double-softmax",
    "TG011": "training-in-evaluation-mode",
}


class Gradsnitch(NoDetector):
    """``watch(model, optimizer)`` and ``log`` at each step, with the gradient's norm as it was before the step."""

    def start(self, model: Any, optimizer: Any, declared: Mapping[str, Any]) -> Watcher:
        """A watcher."""
        return _GradsnitchWatcher(model, optimizer)


_GRADSNITCH = {
    "GS001": "non-finite-loss",
    "GS002": "exploding-gradient",
    "GS003": "exploding-gradient",
    "GS004": "poor-generalisation",
    "GS005": "learning-rate-too-low",
    "GS006": "learning-rate-too-high",
    "GS007": "vanishing-gradient",
    "GS009": "learning-rate-too-high",
    "GS010": "learning-rate-vanished",
}


class _GradsnitchWatcher:
    def __init__(self, model: Any, optimizer: Any) -> None:
        package = importlib.import_module("gradsnitch")
        self._monitor = package.watch(model, optimizers_of(optimizer)[0])
        self._norm: float | None = None
        self._steps = 0
        before_each_step(optimizer, self._see)

    def _see(self) -> None:
        self._norm = self._monitor._grad_norm()

    def step(self, **seen: Any) -> None:
        self._steps += 1
        extra = {} if self._norm is None else {"grad_norm": self._norm}
        self._monitor.log(self._steps, float(seen["loss"]), val_loss=seen.get("val_loss"), **extra)

    def findings(self) -> Sequence[Found]:
        with contextlib.redirect_stdout(io.StringIO()):
            reported = self._monitor.report()
        return [_from_gradsnitch(one) for one in reported]


def _from_gradsnitch(one: Any) -> Found:
    slug = _GRADSNITCH.get(one.code, "")
    if one.code == "GS008":
        slug = "learning-rate-too-high" if "too high" in one.name else "learning-rate-too-low"
    step = re.search(r"step (\d+)", one.evidence)
    return Found(slug, "", _severity(one.severity), int(step[1]) if step else None, f"{one.code} {one.name}")


class Traintools(NoDetector):
    """``BatchInspector`` on each batch and ``GradientHealthMonitor`` before each step."""

    def start(self, model: Any, optimizer: Any, declared: Mapping[str, Any]) -> Watcher:
        """A watcher."""
        return _TraintoolsWatcher(model, optimizer)


_TRAINTOOLS = (
    ("has non-finite values", "non-finite-input"),
    ("is nearly constant", "inputs-constant"),
    ("dominant class", "data-not-shuffled"),
    ("non-finite gradients", "non-finite-loss"),
    ("appears vanished", "vanishing-gradient"),
    ("is very large", "exploding-gradient"),
    ("ratio is high", "learning-rate-too-high"),
    ("ratio is tiny", "learning-rate-too-low"),
    ("no gradients found", "no-gradient"),
)


class _Collected:
    """Findings once each, in the order in which they first came."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Found] = {}

    def add(self, found: Found) -> None:
        self.found.setdefault((found.slug, found.where), found)


class _TraintoolsWatcher:
    def __init__(self, model: Any, optimizer: Any) -> None:
        package = importlib.import_module("traintools")
        self._batches, self._gradients = package.BatchInspector(), package.GradientHealthMonitor()
        self._model, self._optimizer = model, optimizers_of(optimizer)[0]
        self._steps = 0
        self._collected = _Collected()
        before_each_step(optimizer, self._inspect_gradients)

    def _inspect_gradients(self) -> None:
        rate = self._optimizer.param_groups[0]["lr"]
        self._take(self._gradients.inspect(self._model, step=self._steps, lr=rate).warnings)

    def step(self, **seen: Any) -> None:
        self._steps += 1
        inputs, targets = split(seen["batch"])
        self._take(self._batches.inspect(inputs, targets, step=self._steps).warnings)

    def _take(self, messages: Sequence[str]) -> None:
        for text in messages:
            slug = slug_by_words(text, _TRAINTOOLS)
            where = text.split(" ", 1)[0] if re.match(r"[\w.]+ (has|is|gradient|update)", text) else ""
            self._collected.add(Found(slug, where, step=self._steps, text=text))

    def findings(self) -> Sequence[Found]:
        return list(self._collected.found.values())


class TorchAudit(NoDetector):
    """``autopatch`` at every tenth step."""

    def start(self, model: Any, optimizer: Any, declared: Mapping[str, Any]) -> Watcher:
        """A watcher."""
        return _TorchAuditWatcher(model, optimizer)


_TORCH_AUDIT = {
    "TA100": "non-finite-loss",
    "TA102": "exploding-gradient",
    "TA103": "dead-units",
    "TA104": "no-gradient",
    "TA105": "dead-units",
    "TA301": "inputs-not-normalised",
    "TA302": "inputs-constant",
    "TA305": "non-finite-input",
    "TA500": "input-ignored",
}


class _TorchAuditWatcher:
    def __init__(self, model: Any, optimizer: Any) -> None:
        package = importlib.import_module("torch_audit")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._auditor = package.autopatch(
                model, optimizer=optimizers_of(optimizer)[0], every_n_steps=10, reporters=[]
            )

    def step(self, **seen: Any) -> None:
        pass  # it sees forward and step by itself

    def findings(self) -> Sequence[Found]:
        found = {
            (one.rule_id, one.module_path, one.entity): Found(
                _TORCH_AUDIT.get(one.rule_id, ""),
                one.entity or one.module_path or "",
                _severity(one.severity),
                one.step,
                f"{one.rule_id} {one.message}",
            )
            for one in reversed(self._auditor.findings)  # so that the first of each stays
        }
        return sorted(found.values(), key=lambda one: (one.severity != "error", one.step or math.inf))
