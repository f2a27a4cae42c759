"""Watches any PyTorch loop: three lines in the loop, findings at any time.

    watch = Watch(model, optimizer)
    for batch in loader:
        …
        optimizer.step()
        watch.step(loss=loss, batch=batch)
    watch.print()

What it does is look: hooks on the model and the optimizer take down cheap numbers at *looks*, which are dense at first
and rare later. It holds neither model nor batch, waits for no GPU and calls no model of its own accord. Whatever goes
wrong in it is a finding about itself; training goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
import weakref
from collections import deque
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from argus_doctor.checks import examine
from argus_doctor.errors import ArgusError
from argus_doctor.evidence import SELDOM, Evidence, NotFinite, Parameter, Step
from argus_doctor.findings import Finding
from argus_doctor.lint import Script, calling_script
from argus_doctor.lint.fixes import place
from argus_doctor.record.calls import CallRecord
from argus_doctor.record.hooks import may_look
from argus_doctor.record.host import HostReads
from argus_doctor.record.memory import MemorySensor
from argus_doctor.record.parameters import ParameterRecord, matches, plain
from argus_doctor.record.probe import first_module_not_finite, ignored_inputs, later_tokens_matter
from argus_doctor.record.ranks import RankSensor
from argus_doctor.record.tensors import has_values, held_here, is_finite
from argus_doctor.targets import TargetSensor
from argus_doctor.wording import did_you_mean

_FIRST_LOOKS = 10
_LOOKS = ((200, 10), (400, 20), (1000, 50))
_PROBES = (12, 90)
"""Steps at which inputs are swapped between samples to see whether outputs notice, where that was asked for."""
_CALLS_COUNTED = 30
_SOMEWHERE_IN_THE_SOURCE = {"loss", "the loss function", "optimizer", "learning rate", "lr", "weight decay"}
_SOMEWHERE_IN_THE_SOURCE |= {"data loader", "outputs", "targets"}
_EXAMINED = frozenset({10, 20, 35, 50, 75, 100, 150, 200, 300, 400, 600, 800})
_LOSSES_ASKED = 20
"""Of so many steps before a look the graphs are asked for."""
_OBJECTIVE_EVERY = 200
"""Of so many steps one is asked which loss is at work, late in a training: the dearest question of a look."""
_EXAMINED_EVERY = 1000
"""Steps at which all checks are asked, so that it is known when a finding came."""


def is_look(step: int) -> bool:
    """Steps 1 to 10, then every tenth to 200, every twentieth to 400, every fiftieth to 1,000, then every hundredth."""
    if step <= _FIRST_LOOKS:
        return True
    every = next((every for until, every in _LOOKS if step <= until), 100)
    return step % every == 0


class Watch:
    """Watches a training loop.

    Args:
        model: What is trained; compiled or wrapped for several processes, too. It is not held: it can be deleted.
        optimizer: What trains it, one or several; ``None`` where the loop changes the weights itself.
        frozen: Names or patterns (``backbone.*``) of parameters that are meant not to train: intent, to be compared
            with what happens.
        source: The script whose source is read as well; found from the caller where not given, ``False`` for none.
        probe: Whether the model may be called, on copies of its weights, at two steps of a run and where a loss is no
            number: to see which inputs its outputs depend on, and which module failed first. Never in several
            processes.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Any = None,
        *,
        frozen: Collection[str] | str = (),
        source: str | Path | bool = True,
        probe: bool = False,
    ) -> None:
        inner, optimizers = _unwrapped(model), _checked_optimizers(optimizer)
        patterns = _checked_patterns(frozen, inner)
        self.evidence = evidence = Evidence(declared_frozen=patterns, optimizers=len(optimizers))
        evidence.reads_backwards = any(
            getattr(one, "bidirectional", False) is True for one in inner.modules()
        )
        self.first_seen: dict[str, int] = {}
        self._optimizers = [weakref.ref(one) for one in optimizers]
        self._model = weakref.ref(inner)
        self._probe, self._step = probe, 0
        self._losses: deque[weakref.ref[Any]] = deque(maxlen=64)
        self._host = HostReads()
        self._ended_at = time.perf_counter()
        # The call that the loop makes is the wrapper's where there is one; a compiled model's is its own.
        self._calls = CallRecord(model, evidence, time.perf_counter, self._host, keep=probe)
        self._targets = TargetSensor(evidence, self._calls, self._host)
        self._parameters = ParameterRecord(
            inner, optimizers, evidence, patterns, self._meet_not_finite, self._host
        )
        self._ranks = RankSensor(model)
        evidence.quietly("ranks", lambda: self._ranks.compare(0, evidence))
        self._memory = MemorySensor()
        if isinstance(source, bool):
            script = calling_script() if source else None
        else:
            script = Script.read(Path(source))
        self._script = script
        if script is not None:
            evidence.quietly("source", lambda: evidence.source.extend(script.suspicions()))
            evidence.quietly("source", lambda: setattr(evidence, "unmasked", script.unmasked_attention()))

    @property
    def optimizer_stepped(self) -> bool:
        """Whether an optimizer has stepped since the last :meth:`step`: not while gradients are accumulated."""
        return self._parameters.stepped

    @property
    def parameters(self) -> dict[str, Parameter]:
        """What is known of each parameter, by its name."""
        return self._parameters.summary()

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
            outputs: Of what the model returned, what the loss is made of; all of it where not said.
            val_loss: Of an evaluation since the last step.
            lr: The learning rate; the optimizer's where not said.
            terms: Loss terms by name.
        """
        if not may_look():
            return
        now, evidence, quietly = time.perf_counter(), self.evidence, self.evidence.quietly
        quietly("host", self._host.read)
        self._step += 1
        number = self._step
        record = Step(number, seconds=now - self._ended_at)
        if self._calls.first_call is not None:
            record.wait = max(0.0, self._calls.first_call - self._ended_at)
        quietly("loss", lambda: self._take_loss(record, loss))
        quietly(
            "val_loss", lambda: self._ask_number(val_loss, lambda x: evidence.validations.append((number, x)))
        )
        quietly("lr", lambda: setattr(record, "rates", self._rates(lr)))
        if terms is not None:
            quietly("terms", lambda: self._take_terms(record, terms))
        evidence.steps.append(record)
        if not self._parameters.stepped and self._optimizers:
            evidence.skipped += 1
        looked = self._calls.looking
        quietly(
            "gradients",
            lambda: self._parameters.finish_step(lambda norm: setattr(record, "gradient_norm", norm)),
        )
        quietly("targets", lambda: self._targets.take_targets(number, targets, batch, inputs, looked=looked))
        if looked and (memory := self._memory.sample(number)) is not None:
            evidence.memory.append(memory)
        if looked and (number <= SELDOM or number % _OBJECTIVE_EVERY == 0):
            told = batch if targets is None else targets
            quietly("objective", lambda: self._targets.take_objectives(number, told, outputs))
        if number in _PROBES and self._probe:
            quietly("probe", self._probe_inputs)
        quietly("calls", lambda: self._calls.finish_step(number, validated=val_loss is not None))
        self._calls.outputs = {}
        if number == _CALLS_COUNTED:
            self._calls.stop_counting_calls()
        if looked:
            quietly("parameters", self._take_stock)
        self._calls.looking = looking = is_look(number + 1)
        quietly("parameters", lambda: self._parameters.look(looking))
        if number in _EXAMINED or number % _EXAMINED_EVERY == 0:
            for one in self._findings():
                self.first_seen.setdefault(one.slug, number)
        self._host.begin_step()
        self._ended_at = time.perf_counter()

    def _rates(self, stated: float | None) -> tuple[float, ...]:
        if stated is not None:
            return (_number(stated),)
        there = [one for reference in self._optimizers if (one := reference()) is not None]
        rates = (group.get("lr") for one in there for group in one.param_groups)
        return tuple(float(rate) for rate in rates if rate is not None)  # Adafactor chooses its own

    def _take_loss(self, record: Step, loss: Any) -> None:
        # Whether graphs stay is asked at looks, of the steps before.
        near = record.number <= SELDOM or record.number % 100 >= 100 - _LOSSES_ASKED
        if near and isinstance(loss, Tensor) and loss.grad_fn is not None:
            sentinel = _Sentinel()
            loss.grad_fn.metadata[f"argus-watch-{id(self)}"] = sentinel  # type: ignore[index]
            self._losses.append(weakref.ref(sentinel))
        self._ask_number(loss, lambda value: self._take_loss_value(record, value))

    def _ask_number(self, value: Any, then: Callable[[float], None]) -> None:
        """The mean of a tensor, or the number itself."""
        if isinstance(value, Tensor):
            if not has_values(value):
                return
            value = held_here(value.detach())
            one = value if value.numel() == 1 else value.float().mean()
            self._host.ask(one, lambda there: then(float(there)))
        elif value is not None:
            then(_number(value))

    def _take_loss_value(self, record: Step, value: float) -> None:
        record.loss = value
        if not math.isfinite(value) and self.evidence.not_finite is None:
            self._meet_not_finite(record.number)

    def _take_terms(self, record: Step, terms: Mapping[str, Any]) -> None:
        for name, value in terms.items():
            self._ask_number(value, partial(self._take_term, record, str(name)))

    def _take_term(self, record: Step, name: str, value: float) -> None:
        record.terms[name] = value
        found = self.evidence.not_finite
        if not math.isfinite(value) and found is not None and found.what == "loss":
            found.where = found.where if "term" in found.where else f"loss term {name}"

    def _meet_not_finite(self, number: int | None = None) -> None:
        """What is not finite first, of what is still there: before the weights took it up, if an optimizer met it."""
        if self.evidence.not_finite is None:
            found = NotFinite(number or self._step + 1, "loss", "the loss function")
            self.evidence.not_finite = found
            self.evidence.quietly("not finite", lambda: self._trace_not_finite(found, met=number is None))

    def _trace_not_finite(self, found: NotFinite, *, met: bool) -> None:
        model = self._model()
        for name, reference in self._calls.inputs:
            tensor = reference()
            if tensor is not None and tensor.is_floating_point() and not is_finite(tensor):
                found.what, found.where = "input", name
                return
        named = [] if model is None else [(n, p) for n, p in model.named_parameters() if not p.is_meta]
        if met and (bad := next((name for name, p in named if not is_finite(p)), None)):
            found.what, found.where = "weights", bad
            return
        alive = [tensor for _, reference in self._calls.last_outputs if (tensor := reference()) is not None]
        outputs = [float(one.detach().abs().max()) for one in alive if one.numel()]
        if outputs and all(math.isfinite(one) for one in outputs):
            found.largest = max(outputs)
            gradients = [one.gradient for one in self._calls.outputs.values() if one.gradient is not None]
            wrong = [name for name, p in named if p.grad is not None and not is_finite(p.grad)]
            if met and gradients and wrong and all(is_finite(one) for one in gradients):
                # From the outputs back: the last parameter that shows it is the first that met it.
                found.what, found.where = "backward", wrong[-1]
        elif outputs:
            found.what, found.where = "forward", "outputs"
            if met and model is not None and self._may_call():
                assert self._calls.call is not None
                with self._own_calls():
                    found.where = first_module_not_finite(model, self._calls.call) or found.where

    def _may_call(self) -> bool:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        several = distributed and torch.distributed.get_world_size() > 1
        return self._probe and not several and self._calls.call is not None

    @contextlib.contextmanager
    def _own_calls(self) -> Any:
        self._calls.paused = True
        try:
            yield
        finally:
            self._calls.paused = False

    def _probe_inputs(self) -> None:
        model, call = self._model(), self._calls.call
        if model is None or call is None or not self._may_call():
            return
        with self._own_calls():
            # Not by the wrapper, whose call may wait for other ranks or compile anew.
            answers = ignored_inputs(model, call)
            self.evidence.later_tokens_matter = later_tokens_matter(model, call)
        self.evidence.asked_inputs = len(answers)
        # What outputs do not depend on at the start they may learn to: the last answer counts.
        self.evidence.ignored_inputs = {name for name, same in answers.items() if same}

    def _take_stock(self) -> None:
        self._parameters.take_stock()
        self.evidence.frozen_statistics |= self._parameters.declared_frozen_that_moved()
        self._ranks.compare(self._step, self.evidence)
        # The last few may be held for a moment, and a sum over an epoch is let go at its end.
        old = list(self._losses)[-_LOSSES_ASKED:-3]
        if len(old) >= 16:
            alive = sum(one() is not None for one in old)
            self.evidence.alive_losses = max(self.evidence.alive_losses, (alive, len(old)))

    # --- the answer ------------------------------------------------------------------------------------------------

    def report(self) -> list[Finding]:
        """What is wrong: what is proven first, then hints, the most probable cause first."""
        self.evidence.quietly("host", lambda: self._host.read(everything=True))
        self.evidence.quietly("parameters", self._take_stock)
        # An evaluation at the very end.
        self.evidence.quietly("calls", lambda: self._calls.finish_step(self._step))
        self.evidence.quietly("host", lambda: self._host.read(everything=True))
        return self._findings()

    def _findings(self) -> list[Finding]:
        self.evidence.quietly("calls", self._calls.settle)
        self.evidence.quietly("targets", self._targets.count_labels)
        self.evidence.parameters = self._parameters.summary()
        found = [self._dated(one) for one in examine(self.evidence)]
        self.evidence.parameters = {}  # made anew when it is asked for
        return found

    def _dated(self, one: Finding) -> Finding:
        step = self.first_seen.setdefault(one.slug, self._step)
        where, numbers = one.where, {**one.numbers, "first_seen": step}
        if self._script is not None and where in _SOMEWHERE_IN_THE_SOURCE | {f"step {step}"}:
            with contextlib.suppress(Exception):  # a place is a help, and no reason to lose a finding
                line = place(self._script.tree, one.slug, where)
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
        self._calls.close()
        self._parameters.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _number(given: Any) -> float:
    try:
        return float(given)
    except (TypeError, ValueError):
        raise ArgusError(
            f"Watch.step was given {given!r:.80}, which is no number", remedy="give the tensor, or its value"
        ) from None


def _checked_optimizers(optimizer: Any) -> list[torch.optim.Optimizer]:
    """All that were given, without their wrappers; what is none would fail later, and speak of something else."""
    listed = optimizer if isinstance(optimizer, list | tuple) else [optimizer]
    given = [one for one in listed if one is not None]
    for one in given:
        inner: Any = plain(one)
        if not isinstance(inner, torch.optim.Optimizer):
            what = f"{one!r:.80} is no optimizer"
        elif not hasattr(inner, "_optimizer_step_pre_hooks"):
            what = f"a {type(one).__name__} has not called Optimizer.__init__, and takes no hooks"
        else:
            continue
        raise ArgusError(
            what,
            where="Watch(model, optimizer)",
            remedy="give the torch.optim.Optimizer that makes the steps, several in a list, or None",
        )
    return [plain(one) for one in given]


def _checked_patterns(frozen: Any, model: nn.Module) -> tuple[str, ...]:
    """What was declared frozen, where each of it names a parameter."""
    patterns = (frozen,) if isinstance(frozen, str) else frozen
    if not isinstance(patterns, Collection) or not all(isinstance(one, str) for one in patterns):
        raise ArgusError(
            f"frozen is {frozen!r:.80}", where="Watch(frozen=…)", remedy='give names: ["backbone.*"]'
        )
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(matches(name, (pattern,)) for name in names):
            raise ArgusError(
                f"no parameter is called {pattern!r}{did_you_mean(pattern, names)}",
                where="Watch(frozen=…)",
                remedy="give names of the model's parameters or modules, with * for any part",
            )
    return tuple(patterns)


class _Sentinel:
    """Lives as long as the graph that holds it."""

    __slots__ = ("__weakref__",)


def _unwrapped(model: Any) -> nn.Module:
    """The model within ``torch.compile`` and ``DistributedDataParallel``: whose parameters have their own names."""
    if not isinstance(model, nn.Module):
        what = f"what is to be watched is {model!r:.80}"
        raise ArgusError(what, where="Watch(model, …)", remedy="give the torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        what = "what is to be watched is scripted, and takes no hooks"
        raise ArgusError(what, where="Watch(model, …)", remedy="give the module that it was scripted from")
    inner: nn.Module = model
    while True:
        within = getattr(inner, "_orig_mod", None)
        if within is None and isinstance(inner, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            within = inner.module
        if within is None:
            return inner
        inner = within
