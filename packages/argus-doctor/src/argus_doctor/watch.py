"""Watches any PyTorch loop: three lines in the loop, findings at any time.

    watch = Watch(model, optimizer)
    for batch in loader:
        …
        optimizer.step()
        watch.step(loss=loss, batch=batch)
    watch.print()

What it does is look: hooks on the model and the optimizer take down cheap numbers at each step and more at *looks*,
which are dense at first and rare later. Whatever goes wrong in it is a finding about itself; training goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
import weakref
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from argus_doctor.checks import examine
from argus_doctor.errors import ArgusError
from argus_doctor.evidence import Evidence, NotFinite, Objective, Step
from argus_doctor.findings import Finding
from argus_doctor.lint import Script, calling_script
from argus_doctor.lint.fixes import place
from argus_doctor.record.memory import MemorySensor
from argus_doctor.record.parameters import ParameterSensor, plain
from argus_doctor.record.passes import PassSensor, first_module_not_finite, outputs_ignore
from argus_doctor.record.ranks import RankSensor
from argus_doctor.record.tensors import statistics, tensors_in
from argus_doctor.signature import examine_objective, trained_offset
from argus_doctor.wording import did_you_mean

_FIRST_LOOKS = 10
_LOOKS = ((200, 10), (400, 20), (1000, 50))
_PROBES = (12, 90)
"""Steps at which inputs are swapped between samples to see whether outputs notice."""
_CALLS_COUNTED = 30
_SOMEWHERE_IN_THE_SOURCE = frozenset(
    {
        "loss",
        "optimizer",
        "learning rate",
        "lr",
        "data loader",
        "weight decay",
        "the loss function",
        "outputs",
        "targets",
    }
)
_EXAMINED = frozenset({10, 20, 35, 50, 75, 100, 150, 200, 300, 400, 600, 800})
_EXAMINED_EVERY = 1000
"""Steps at which all checks are asked, so that it is known when a finding came."""
_TABLE_ROWS = 512
_TABLE_COLUMNS = 256


def is_look(step: int) -> bool:
    """Steps 1 to 10, then every tenth to 200, every twentieth to 400, every fiftieth to 1,000, then every hundredth."""
    if step <= _FIRST_LOOKS:
        return True
    every = next((every for until, every in _LOOKS if step <= until), 100)
    return step % every == 0


class Watch:
    """Watches a training loop.

    Args:
        model: What is trained; compiled or wrapped for several processes, too.
        optimizer: What trains it, one or several; ``None`` where the loop changes the weights itself.
        frozen: Names or patterns (``backbone.*``) of parameters that are meant not to train: intent, to be compared
            with what happens.
        source: The script whose source is read as well; found from the caller where not given, ``False`` for none.
        probe: Whether the model may be called, twice in a run and in evaluation mode, to see which inputs its outputs
            depend on.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Any = None,
        *,
        frozen: Collection[str] | str = (),
        source: str | Path | bool = True,
        probe: bool = True,
    ) -> None:
        _check_arguments(model, optimizer, frozen)
        self.evidence = Evidence()
        self.first_seen: dict[str, int] = {}
        optimizers = list(optimizer) if isinstance(optimizer, (list, tuple)) else [optimizer]
        self._optimizers = [plain(one) for one in optimizers if one is not None]
        self._model = _unwrapped(model)
        self._probe, self._step = probe, 0
        self._losses: deque[weakref.ref[Any]] = deque(maxlen=64)
        self._alive = (0, 0)
        self._pending: deque[tuple[Step, Tensor]] = deque()
        self._tables: list[tuple[Tensor, Tensor]] = []
        self._table_rows = 0
        self._ended_at = time.perf_counter()
        patterns = (frozen,) if isinstance(frozen, str) else tuple(frozen)
        self.evidence.declared_frozen = patterns
        # The call that the loop makes is the wrapper's where there is one; a compiled model's is its own.
        self._passes = PassSensor(model, self.evidence, time.perf_counter)
        self._parameters = ParameterSensor(
            self._model, self._optimizers, self.evidence, patterns, self._before_optimizer
        )
        self._ranks = RankSensor(self._model)
        self._memory = MemorySensor()
        script = (
            calling_script() if source is True else None if source is False else Script.read(Path(source))
        )
        self._script = script
        if script is not None:
            self._quietly("source", lambda: self.evidence.source.extend(script.suspicions()))

    @property
    def optimizer_stepped(self) -> bool:
        """Whether an optimizer has stepped since the last :meth:`step`: not while gradients are accumulated."""
        return self._parameters.stepped

    # --- each step -------------------------------------------------------------------------------------------------

    def step(
        self,
        *,
        loss: Any = None,
        batch: Any = None,
        inputs: Any = None,
        targets: Any = None,
        outputs: Any = None,
        val_loss: Any = None,
        lr: float | None = None,
        terms: Mapping[str, Any] | None = None,
    ) -> None:
        """Takes down one step, after ``optimizer.step()``.

        Args:
            loss: As it was before ``backward()``, or its value.
            batch: What the loader gave: any nesting of tensors.
            inputs: Of it, what the model was given; what it was called with where not said.
            targets: Of it, what the outputs are compared with; what fits the outputs is found where not said.
            outputs: What the model returned; its own are seen where not said.
            val_loss: Of an evaluation since the last step.
            lr: The learning rate; the optimizer's where not said.
            terms: Loss terms by name.
        """
        now = time.perf_counter()
        self._step += 1
        number = self._step
        record = Step(number, seconds=now - self._ended_at)
        if self._passes.first_call is not None:
            record.wait = max(0.0, self._passes.first_call - self._ended_at)
        self._quietly("loss", lambda: self._take_loss(record, loss))
        self._quietly("val_loss", lambda: setattr(record, "val_loss", _number(val_loss)))
        self._quietly("lr", lambda: setattr(record, "rates", self._rates(lr)))
        self._quietly("terms", lambda: record.terms.update(_numbers(terms)))
        self.evidence.steps.append(record)
        if not self._parameters.stepped and self._optimizers:
            self.evidence.skipped += 1
        self._quietly("gradients", lambda: setattr(record, "gradient_norm", self._parameters.finish_step()))
        looked = self._passes.looking
        targets_given = targets if targets is not None else batch
        self._quietly("targets", lambda: self._take_targets(targets, batch, inputs, looked))
        if looked:
            self._quietly("objective", lambda: self._take_objective(targets_given))
            if (memory := self._memory.sample(number)) is not None:
                self.evidence.memory.append(memory)
        self._quietly("passes", lambda: self._passes.finish_step(number))
        if number in _PROBES and self._probe:
            self._quietly("probe", self._probe_inputs)
        if number == _CALLS_COUNTED:
            self._passes.stop_counting_calls()
        if looked:
            self._quietly("parameters", self._take_stock)
        self._passes.looking = self._parameters.looking = is_look(number + 1)
        if number in _EXAMINED or number % _EXAMINED_EVERY == 0:
            for one in self.report():
                self.first_seen.setdefault(one.slug, number)
        self._ended_at = time.perf_counter()

    def _quietly(self, what: str, do: Any) -> None:
        try:
            do()
        except Exception as error:  # noqa: BLE001 - a watcher never stops a training: it becomes a finding
            self.evidence.failures.setdefault(what, repr(error))

    def _rates(self, stated: float | None) -> tuple[float, ...]:
        if stated is not None:
            return (float(stated),)
        return tuple(float(group["lr"]) for one in self._optimizers for group in one.param_groups)

    def _take_loss(self, record: Step, loss: Any) -> None:
        if isinstance(loss, Tensor):
            if loss.grad_fn is not None:
                sentinel = _Sentinel()
                loss.grad_fn.metadata["argus-watch"] = sentinel  # type: ignore[index]
                self._losses.append(weakref.ref(sentinel))
            if loss.device.type == "cpu":
                record.loss = float(loss.detach().float().mean())
            else:  # read when the next one has been queued, so that nothing waits for it
                self._pending.append((record, loss.detach().float().mean()))
                while len(self._pending) > 1:
                    self._read_pending()
        else:
            record.loss = _number(loss)
        if record.loss is not None and not math.isfinite(record.loss) and self.evidence.not_finite is None:
            self.evidence.not_finite = NotFinite(record.number, "loss", "")

    def _read_pending(self) -> None:
        record, value = self._pending.popleft()
        record.loss = value.item()
        if not math.isfinite(record.loss) and self.evidence.not_finite is None:
            self.evidence.not_finite = NotFinite(record.number, "loss", "")

    def _before_optimizer(self, finite: bool | None) -> None:
        """With the weights still as they were when the loss was computed."""
        if finite is not False or self.evidence.not_finite is not None:
            return
        number = self._step + 1
        call = self._passes.call
        if call is not None:
            for name, tensor in tensors_in([list(call[0]), call[1]], "inputs"):
                if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                    self.evidence.not_finite = NotFinite(number, "input", name)
                    return
            weights = [
                name
                for name, p in self._model.named_parameters()
                if not p.is_meta and not bool(torch.isfinite(p).all())
            ]
            if weights:
                self.evidence.not_finite = NotFinite(number, "weights", weights[0])
                return
            self._passes.paused = True
            try:
                where = first_module_not_finite(self._model, *call)
            finally:
                self._passes.paused = False
            if where is not None:
                self.evidence.not_finite = NotFinite(number, "forward", where)
                return
        bad = [
            name
            for name, p in self._model.named_parameters()
            if p.grad is not None and not bool(torch.isfinite(p.grad).all())
        ]
        outputs = [name for name, (_, g) in self._passes.outputs.items() if not bool(torch.isfinite(g).all())]
        values = [float(value.abs().max()) for value, _ in self._passes.outputs.values() if value.numel()]
        # The backward pass goes from the outputs back: the last parameter that shows it is the first that met it.
        what, where = ("loss", "the loss function") if outputs else ("backward", bad[-1] if bad else "")
        self.evidence.not_finite = NotFinite(number, what, where, max(values, default=None))

    def _take_targets(self, targets: Any, batch: Any, inputs: Any, looked: bool) -> None:
        """Classes, spreads and what the inputs tell of them."""
        # Of a batch, what the model was not given; what is said to be the targets may be given to it as well.
        own = self._own_tensors(inputs) if targets is None else set()
        given = batch if targets is None else targets
        candidates = [one for _, one in tensors_in(given) if id(one) not in own and one.ndim > 0]
        if not candidates:
            return
        target = candidates[-1]
        if target.device.type != "cpu" and not looked:
            return
        evidence = self.evidence
        if not target.is_floating_point() and target.dtype != torch.bool and target.ndim == 1:
            evidence.target_is_integer = True
            counts = torch.unique(target, return_counts=True)
            of_batch = dict(zip(counts[0].tolist(), counts[1].tolist(), strict=True))
            if len(evidence.labels) <= 10_000:
                evidence.labels.update(of_batch)
            if len(evidence.batch_labels) < 1000:
                evidence.batch_labels.append((_entropy(list(of_batch.values())), len(target)))
        if looked:
            described = [statistics(f"targets.{n}", one) for n, one in enumerate(candidates[:3])]
            evidence.targets.append([one for one in described if one is not None])
        self._take_table(target)

    def _take_table(self, target: Tensor) -> None:
        """Rows of tabular inputs beside their targets, as far as they are needed to see whether one tells the other."""
        call = self._passes.call
        if call is None or self._table_rows >= _TABLE_ROWS or target.shape[0] < 2:
            return
        table = next((one for _, one in tensors_in([list(call[0]), call[1]])), None)
        if table is None or table.ndim != 2 or not table.is_floating_point() or len(table) != len(target):
            return
        if table.shape[1] <= _TABLE_COLUMNS and target[0].numel() <= 64:
            self._tables.append(
                (table.detach().cpu().float(), target.detach().reshape(len(target), -1).cpu().float())
            )
            self._table_rows += len(table)
            if self._table_rows >= _TABLE_ROWS:
                self.evidence.target_correlation = _strongest_correlation(self._tables)
                self._tables = []

    def _own_tensors(self, inputs: Any) -> set[int]:
        given = {id(one) for _, one in tensors_in(inputs)}
        call = self._passes.call
        if call is not None:
            given |= {id(one) for _, one in tensors_in([list(call[0]), call[1]])}
        return given

    def _take_objective(self, targets: Any) -> None:
        call = self._passes.call
        candidates = [one for _, one in tensors_in(targets) if one.ndim > 0]
        if call is not None:
            given = [one for _, one in tensors_in([list(call[0]), call[1]]) if one.ndim > 1]
            own = {id(one) for one in given}
            # An autoencoder's targets are its inputs: asked last.
            candidates = [one for one in candidates if id(one) not in own] or candidates or given
        outputs = self._passes.outputs
        if len(outputs) > 1:
            self.evidence.output_shares.append({name: float(g.norm()) for name, (_, g) in outputs.items()})
        elif self._step <= _FIRST_LOOKS:  # when nothing is learned yet, all columns have as much to learn
            value, gradient = next(iter(outputs.values()), (None, None))
            if gradient is not None and gradient.ndim == 2 and 2 <= gradient.shape[1] <= 64:
                norms = gradient.norm(dim=0).tolist()
                self.evidence.output_shares.append({f"column {n}": norm for n, norm in enumerate(norms)})
        for name, (value, gradient) in outputs.items():
            if value.ndim == 0:
                if name.rpartition(".")[2] == "loss" and float(gradient) < 0:
                    self.evidence.objectives.append(Objective(self._step, {"own-loss": -1.0}, "own-loss"))
                continue
            if not bool(torch.isfinite(value).all()) or not bool(torch.isfinite(gradient).all()):
                continue
            result = examine_objective(self._step, value, gradient, candidates)
            tokens = () if call is None else tensors_in([list(call[0]), call[1]])
            offsets = (
                trained_offset(one, value, gradient) for _, one in tokens if not one.is_floating_point()
            )
            offset = next((one for one in offsets if one is not None), None)
            if result is not None or offset is not None:
                objective = Objective(self._step) if result is None else result
                objective.offset, objective.output = offset, name
                self.evidence.objectives.append(objective)

    def _probe_inputs(self) -> None:
        if self._passes.call is None:
            return
        self._passes.paused = True
        try:
            # Not by the wrapper, whose call may wait for other ranks or compile anew.
            answers = outputs_ignore(self._model, *self._passes.call)
        finally:
            self._passes.paused = False
        self.evidence.asked_inputs = len(answers)
        ignored = {name for name, same in answers.items() if same}
        # What outputs do not depend on at the start they may learn to: the last answer counts.
        self.evidence.ignored_inputs = ignored

    def _take_stock(self) -> None:
        self._parameters.take_stock()
        self.evidence.frozen_statistics |= set(self._parameters.declared_frozen_that_moved())
        difference = self._ranks.compare(self._step)
        if difference is not None and self.evidence.ranks_differ is None:
            self.evidence.ranks_differ = self._step, difference
        # The last few may be held for a moment, and a sum over an epoch is let go at its end.
        old = list(self._losses)[-20:-3]
        if len(old) >= 16:
            alive = sum(one() is not None for one in old)
            self.evidence.alive_losses = max(self.evidence.alive_losses, (alive, len(old)))

    # --- the answer ------------------------------------------------------------------------------------------------

    def report(self) -> list[Finding]:
        """What is wrong, the most probable cause first."""
        while self._pending:
            self._read_pending()
        self._quietly("parameters", self._take_stock)
        self._quietly("passes", lambda: self._passes.finish_step(self._step))  # an evaluation at the very end
        found = examine(self.evidence)
        return [self._dated(one) for one in found]

    def _dated(self, one: Finding) -> Finding:
        step = self.first_seen.setdefault(one.slug, self._step)
        where, numbers = one.where, {**one.numbers, "first_seen": step}
        if self._script is not None and where in _SOMEWHERE_IN_THE_SOURCE | {f"step {step}"}:
            with contextlib.suppress(Exception):  # a place is a help, and no reason to lose a finding
                line = place(self._script.text, one.slug, where)
                if line is not None:
                    where, numbers["seen_at"] = f"{self._script.path}:{line}", where
        return dataclasses.replace(one, where=where, numbers=numbers)

    def print(self) -> None:
        """Shows :meth:`report` on the terminal."""
        from rich.console import Console

        from argus_doctor.rendering import print_findings

        found, terminal = self.report(), Console(stderr=True)
        print_findings(found, terminal)
        if not found:
            terminal.print(f"nothing was found in {self._step} steps")

    def close(self) -> None:
        """Takes all hooks away; a report is still given."""
        self._passes.close()
        self._parameters.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_arguments(model: Any, optimizer: Any, frozen: Any) -> None:
    """What would fail later, and speak of something else."""
    if not isinstance(model, nn.Module):
        raise ArgusError(
            f"what is to be watched is {model!r:.80}",
            where="Watch(model, …)",
            remedy="give the torch.nn.Module",
        )
    given = optimizer if isinstance(optimizer, (list, tuple)) else [optimizer]
    for one in given:
        if one is not None and not isinstance(plain(one), torch.optim.Optimizer):
            raise ArgusError(
                f"{one!r:.80} is no optimizer",
                where="Watch(model, optimizer)",
                remedy="give the torch.optim.Optimizer, several in a list, or None",
            )
    patterns = (frozen,) if isinstance(frozen, str) else frozen
    if not isinstance(patterns, Collection) or not all(isinstance(one, str) for one in patterns):
        raise ArgusError(
            f"frozen is {frozen!r:.80}", where="Watch(frozen=…)", remedy='give names: ["backbone.*"]'
        )
    names = [name for name, _ in _unwrapped(model).named_parameters()]
    for pattern in patterns:
        if not any(fnmatch(name, one) for name in names for one in (pattern, f"{pattern}.*")):
            raise ArgusError(
                f"no parameter is called {pattern!r}{did_you_mean(pattern, names)}",
                where="Watch(frozen=…)",
                remedy="give names of the model's parameters or modules, with * for any part",
            )


class _Sentinel:
    """Lives as long as the graph that holds it."""

    __slots__ = ("__weakref__",)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, Tensor):
        return float(value.detach().float().mean())
    return float(value)


def _numbers(values: Mapping[str, Any] | None) -> dict[str, float]:
    return {name: value for name, one in (values or {}).items() if (value := _number(one)) is not None}


def _entropy(counts: Sequence[int]) -> float:
    total = sum(counts)
    return -sum(count / total * math.log(count / total) for count in counts)


def _unwrapped(model: nn.Module) -> nn.Module:
    """The model within ``torch.compile`` and ``DistributedDataParallel``: whose parameters have their own names."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = model.module
        if inner is None:
            return model
        model = inner


def _strongest_correlation(tables: Sequence[tuple[Tensor, Tensor]]) -> tuple[float, int] | None:
    """The greatest absolute correlation of an input column with a target, and the column."""
    inputs, targets = (torch.cat(parts).double() for parts in zip(*tables, strict=True))
    if inputs.shape[0] < 32:
        return None
    inputs, targets = inputs - inputs.mean(0), targets - targets.mean(0)
    norms = inputs.norm(dim=0)[:, None] * targets.norm(dim=0)[None, :]
    matrix = (inputs.T @ targets).abs() / norms.clamp_min(1e-12)
    matrix[norms < 1e-9] = 0
    best = matrix.amax(1)
    column = int(best.argmax())
    return float(best[column]), column
