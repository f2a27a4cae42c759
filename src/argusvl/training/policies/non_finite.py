"""Losses and gradients that are not finite, and losses of nothing: found before the optimizer steps."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from argusvl.config.schema import RecoverySection
from argusvl.training.bad_step import BadStep
from argusvl.training.parallel import Parallel
from argusvl.training.policies import Action, Continue, Policy, RollBack, Scale, Skip, Stop
from argusvl.training.step import StepRecord

_REMEMBERED = 50
"""Bad steps that a diagnosis is made of."""


class StopWhereNotFinite(Policy):
    """Ends the run at the first bad step: nothing was changed by it, and it is kept for replay."""

    def __init__(self, parallel: Parallel, examine: Callable[[StepRecord], BadStep]) -> None:
        self._parallel = parallel
        self._examine = examine

    def after_backward(self, record: StepRecord) -> Action:
        """Names the term or parameter, the module, the step, the samples and the folder."""
        (bad,) = self._parallel.any(not record.finite)
        return self._end(self._examine(record)) if bad else Continue()

    def _end(self, bad: BadStep) -> Stop:
        return Stop(
            f"{bad.what} at step {bad.step}; the step was not taken. Samples: {', '.join(bad.samples)}",
            "look at these samples (`argus train CONFIG --replay` computes the step again), lower the learning rates "
            "or max_grad_norm, and continue with --resume from the last checkpoint; or let such steps be passed over "
            "(training.recovery)",
            where=None if bad.bundle is None else str(bad.bundle),
        )


class Recover(StopWhereNotFinite):
    """Passes over bad steps; where they pile up goes back to the last good snapshot with lower rates and clipping; ends
    the run, with a diagnosis, where that does not help either.
    """

    def __init__(
        self, parallel: Parallel, examine: Callable[[StepRecord], BadStep], settings: RecoverySection
    ) -> None:
        super().__init__(parallel, examine)
        self._settings = settings
        self.snapshot_every = settings.snapshot_steps
        self._in_a_row = self._zeros = self._roll_backs = 0
        self._window: deque[bool] = deque(maxlen=settings.nan_window)
        self._seen: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)

    def after_backward(self, record: StepRecord) -> Action:
        """Continue, skip, roll back or stop; the same on every rank."""
        bad, counts_for_something = self._parallel.any(not record.finite, record.loss != 0)
        self._window.append(bad)
        self._zeros = 0 if bad or counts_for_something else self._zeros + 1
        if self._zeros > self._settings.max_zero_loss:
            return Stop(
                f"the loss was exactly 0 for {self._zeros} steps, the last is {record.step}: nothing is learned",
                "check that records have objects, that the answers are labelled and that the weights of the losses "
                "are not 0",
            )
        if not bad:
            self._in_a_row = 0
            return Continue()
        self._in_a_row += 1
        found = self._examine(record)
        told = ("term", "parameter", "module", "samples")
        self._seen.append({name: getattr(found, name) for name in told})
        limits = self._settings
        share = sum(self._window) / limits.nan_window
        if self._in_a_row <= limits.max_consecutive_nan and share <= limits.max_nan_ratio:
            return Skip(found.what)
        why = f"{found.what}; {self._in_a_row} such steps in a row, {sum(self._window)} of the last {len(self._window)}"
        if self._roll_backs == limits.max_roll_backs:
            return self._give_up(found, why)
        self._roll_backs += 1
        change = Scale(
            f"after roll-back {self._roll_backs} of at most {limits.max_roll_backs}",
            limits.rate_factor,
            limits.recovery_steps,
            clip=limits.clip_factor,
        )
        return RollBack(why, change)

    def _give_up(self, bad: BadStep, why: str) -> Stop:
        terms = Counter(one["term"] or f"the gradient of {one['parameter']}" for one in self._seen)
        modules = Counter(one["module"] for one in self._seen if one["module"])
        steps = [set(one["samples"]) for one in self._seen]
        always = set.intersection(*steps) if len(steps) > 1 else set()
        # Batches come again after a roll-back: of several samples that were there each time none is known to be bad.
        name = always.pop() if len(always) == 1 else None
        said = [f"{name} {count} times" for name, count in terms.most_common(3)]
        if modules:
            said.append("first in " + ", ".join(name for name, _ in modules.most_common(2)))
        if name is not None:
            said.append(f"{name} was there each time")
        weights = any("is not finite)" in str(name) for name in modules)
        advice = (
            f"look at {name}: take it out, or correct it"
            if name is not None
            else "the weights themselves are not finite: go on from an older checkpoint with lower learning rates"
            if weights
            else "lower the learning rates or max_grad_norm, or the weight of that term, and continue with --resume "
            "from the last checkpoint"
        )
        return Stop(
            f"{why}, after {self._roll_backs} roll-backs. Not finite in {len(self._seen)} steps: {'; '.join(said)}",
            advice,
            where=None if bad.bundle is None else str(bad.bundle),
        )

    def state_dict(self) -> dict[str, Any]:
        """What the limits count, and what was seen."""
        return {
            "in_a_row": self._in_a_row,
            "zeros": self._zeros,
            "roll_backs": self._roll_backs,
            "window": list(self._window),
            "seen": list(self._seen),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what :meth:`state_dict` returned."""
        self._in_a_row, self._zeros = int(state["in_a_row"]), int(state["zeros"])
        self._roll_backs = int(state["roll_backs"])
        self._window = deque(map(bool, state["window"]), self._settings.nan_window)
        self._seen = deque(state["seen"], _REMEMBERED)

    def rolled_back(self, step: int, known: Mapping[str, Any]) -> None:
        """The number of roll-backs and the diagnosis stay."""
        self._roll_backs = int(known["roll_backs"])
        self._seen = deque(known["seen"], _REMEMBERED)
        self._in_a_row = 0
