"""Remedies for what the doctor finds: tried on the same steps from the same snapshot, the better one is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from statistics import fmean
from typing import Any

from argus_doctor.findings import Finding
from argus_doctor.wording import did_you_mean
from argusvl.config.schema import RemediesSection
from argusvl.core.errors import ConfigError
from argusvl.core.logging import get_logger
from argusvl.training.evaluating import measure
from argusvl.training.policies import Action, Continue, Plan, Policy, Progress, RollBack, Stop
from argusvl.training.policies.balancing import TermSizes
from argusvl.training.remedy_table import APPLICABLE, REMEDIES, WHEN_TO_RESTART
from argusvl.training.saving import restore, take_snapshot
from argusvl.training.snapshot import Snapshot
from argusvl.training.state import TrainState
from argusvl.training.step import StepRecord
from argusvl.training.stepping import forward_backward, optimize
from argusvl.training.watching import RunWatch

logger = get_logger(__name__)

_BETTER = 0.95
"""Of the other's loss: what is above may be chance."""
_CLEARLY = 0.05
"""Of a figure's size, what two must differ by to say anything; at least a fifth of it as such."""
_USUAL = 3e-3
"""Of its size, what a step may change a weight by at the peak of the rates."""
_TELLING = 2
"""The last of so many parts of a trial is compared: at first the remedy has had no time."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """A remedy and what came of it."""

    plan: Plan
    words: str
    losses: list[float]
    figure: float | None
    more_is_better: bool

    def beats(self, other: _Trial) -> bool:
        """Whether it is clearly better: by the figure that users choose by, else by the loss.

        A head learns around a tower that a high rate has ruined: its loss falls, and it finds nothing it has not seen.
        """
        if self.figure is not None and other.figure is not None:
            gain = self.figure - other.figure
            if abs(gain) > max(_CLEARLY * abs(other.figure), _CLEARLY / 5):
                return (gain > 0) == self.more_is_better
        return _end(self.losses) < _BETTER * _end(other.losses)

    def told(self) -> str:
        """How it ends, in words."""
        figure = "" if self.figure is None else f" and the figure is {self.figure:.3g}"
        return f"the loss ends at {_end(self.losses):.3g}{figure}"


class Remedies(Policy):
    """Acts on findings: a trial, then a roll-back with the remedy that was better.

    Where none is better, an error ends the run with the advice to restart. A hint is put at rest and the run goes on.

    Training keeps a snapshot of the last point at which nothing was found, and the steps that it made from there. Those
    are the trial without the remedy; the same batches from the same snapshot are computed again with it. Losses repeat
    bit for bit, so that what differs is the remedy. What is compared is the figure that chooses the best checkpoint,
    on the evaluation data, and where that says nothing (yet) the loss. A group that would never train trains at once:
    that needs no trial.

    Raises:
        ConfigError: A finding is named that the engine can do nothing about, or there are several processes.
    """

    def __init__(self, state: TrainState, watch: RunWatch, settings: RemediesSection) -> None:
        for slug in settings.apply:
            if slug not in APPLICABLE:
                raise ConfigError(
                    f"the engine can do nothing about {slug!r}{did_you_mean(slug, APPLICABLE)}",
                    where="remedies.apply",
                    remedy=f"name some of {', '.join(APPLICABLE)}",
                )
        if state.parallel.world_size > 1:
            raise ConfigError(
                "remedies are tried by one process only, and this run has several",
                where="remedies",
                remedy="set remedies to null, or train with one process",
            )
        self._state, self._watch, self._settings = state, watch, settings
        self._holds = Plan()
        self._attempts = 0
        self._rests: set[str] = set()
        self._found: Finding | None = None
        self._good: Snapshot | None = None
        self._good_at = 0
        self._steps: list[StepRecord] = []

    def plan(self, progress: Progress) -> Plan:
        """The remedies that were kept; and a new point to go back to, where nothing is wrong."""
        full = len(self._steps) >= self._settings.trial_steps
        if self._good is None or (full and self._watch.clean and self._found is None):
            self._good, self._good_at = take_snapshot(self._state).kept(), progress.step
            self._steps = []
        for one in self._watch.idle:
            group = one.numbers["group"]
            if self._is_asked(one) and group not in self._holds.thawed:
                self._holds = self._holds.joined(Plan(thawed=frozenset({group})))
                self._state.event(
                    "remedy", kind=one.slug, change=f"group {group} trains from now on", kept=True
                )
        return self._holds

    def after_backward(self, record: StepRecord) -> Action:
        """Continue; or, where something was found, what a trial of the remedies says."""
        # Once found, it is looked into, also where the next steps look better: the trial will tell.
        seen = (one for one in self._watch.present if self._is_asked(one))
        self._found = found = self._found or next(seen, None)
        if found is None or len(self._steps) < self._settings.trial_steps:
            if len(self._steps) < self._settings.trial_steps:
                self._steps.append(replace(record, outputs=None))
            return Continue()
        if any(remedy.engine == "stop" for remedy in REMEDIES[found.slug]):
            if not self._state.control.should_training_stop:
                logger.warning("training ends here, the best checkpoint is kept: %s", found.what)
                self._state.event("remedy", kind=found.slug, change="stop early", kept=True)
            self._state.control.should_training_stop = True
            return Continue()
        return self._treat(found, record)

    def _is_asked(self, one: Finding) -> bool:
        return one.slug in self._settings.apply and one.slug not in self._rests

    def _treat(self, found: Finding, record: StepRecord) -> Action:
        left = self._settings.attempts - self._attempts
        options = self._options(found)[: max(left, 0)]
        trials, best = [], None
        if options:
            without, *trials = self._try([(Plan(), "no remedy"), *options])
            self._attempts += len(trials)
            best = reduce(lambda best, one: one if one.beats(best) else best, trials, without)
        for trial in trials:
            self._state.event(
                "remedy",
                kind=found.slug,
                change=trial.words,
                steps=[self._good_at + 1, self._good_at + len(trial.losses)],
                losses_without=_rounded(without.losses),
                kept=trial is best,
                figure=self._state.config.training.metric_for_best_model,
                figures=_rounded([without.figure, trial.figure]),
                losses_with=_rounded(trial.losses),
            )
        if best is None or best is without:
            tried = ", ".join(one.words for one in trials) or "no attempt is left"
            why = f"{found.slug}: {found.what}. Tried in vain: {tried}"
            if found.severity == "error":
                return Stop(why, WHEN_TO_RESTART)
            # A hint that no trial proves ends no run: it may be wrong.
            logger.warning("%s; the run goes on. %s", why, WHEN_TO_RESTART)
            self._rests.add(found.slug)
            self._found = None
            return Continue()
        self._holds = self._holds.joined(best.plan)
        assert self._good is not None
        self._state.good.keep(self._good, self._good_at)
        why = f"{found.slug}: {found.what}; with {best.words} {best.told()}, without {without.told()}"
        return RollBack(why)

    def _options(self, found: Finding) -> list[tuple[Plan, str]]:
        """The remedies of a finding as plans, the most promising first."""
        group, options = found.numbers.get("group"), []
        for remedy in REMEDIES[found.slug]:
            match remedy.engine:
                case "rate":
                    for factor in _factors(found.numbers.get("update_ratio"), found.slug):
                        name = f"learning rate of {group}" if group else "learning rates"
                        options.append((Plan(rates={group or "*": factor}), f"{name} times {factor:g}"))
                case "clip":
                    options.append((Plan(clip=0.1), "max_grad_norm times 0.1"))
                case "balance":
                    weights = self._balanced()
                    told = ", ".join(f"{name} {factor:.3g}" for name, factor in weights.items())
                    options.append((Plan(weights=weights), f"weights of the terms times {told}"))
        return options

    def _balanced(self) -> dict[str, float]:
        """Factors that bring each term to its weight's share, by moving averages (0.99, as seed 001 has it)."""
        sizes = TermSizes(self._state.losses.terms, 0.99)
        for record in self._steps:
            sizes.add(dict(zip(record.terms, record.sums.sum(0).tolist(), strict=True)), record.counts)
        return sizes.factors()

    # --- the trial

    def _try(self, options: Sequence[tuple[Plan, str]]) -> list[_Trial]:
        """Computes the kept steps again with each plan; the run is left as it was, but for its gradients."""
        state = self._state
        now, plan = take_snapshot(state).kept(), state.plan
        assert self._good is not None
        trials = []
        with self._watch.paused():
            for change, words in options:
                logger.warning("trying from step %d for %d steps: %s", self._good_at, len(self._steps), words)
                restore(state, self._good.kept())
                state.plan = plan.joined(change)
                losses = self._replay()
                figure = self._figure() if all(map(math.isfinite, losses)) else None
                higher = state.arguments.greater_is_better
                trials.append(_Trial(change, words, losses, figure, bool(higher)))
        restore(state, now)
        state.plan = plan
        state.wrapped.zero_grad()
        return trials

    def _replay(self) -> list[float]:
        state, losses = self._state, []
        assert state.scheduler is not None
        for step in self._steps:
            if step.finite:
                state.wrapped.zero_grad()
                record = forward_backward(state, step.batches, step.counts, step.step)
                losses.append(record.loss)
                if not record.finite:
                    break
                optimize(state, record)
            state.scheduler.step()
        return losses

    def _figure(self) -> float | None:
        """What chooses the best checkpoint, of the weights as they are; none where it is no number."""
        state = self._state
        if state.eval_dataset is None:
            return None
        name = state.config.training.metric_for_best_model.removeprefix("eval_")
        figure = measure(state).get(name, math.nan)
        return figure if math.isfinite(figure) else None

    # --- its state

    def state_dict(self) -> dict[str, Any]:
        """What holds, and what was tried."""
        held = self._holds
        return {
            "rates": dict(held.rates),
            "weights": dict(held.weights),
            "clip": held.clip,
            "attempts": self._attempts,
            "rests": sorted(self._rests),
            "thawed": sorted(held.thawed),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what :meth:`state_dict` returned."""
        self._holds = Plan(
            rates=state["rates"],
            weights=state["weights"],
            clip=float(state["clip"]),
            thawed=frozenset(state["thawed"]),
        )
        self._attempts = int(state["attempts"])
        self._rests = set(state["rests"])

    def rolled_back(self, step: int, known: Mapping[str, Any]) -> None:
        """What was tried and what holds stay; what was seen of the steps that are given up goes."""
        self.load_state_dict(known)
        self._found = None
        if step < self._good_at:
            self._good = None
        self._steps = [one for one in self._steps if one.step <= step] if self._good is not None else []


def _factors(ratio: float | None, slug: str) -> list[float]:
    """Factors of a learning rate: what the speed of the weights calls for, and its neighbours."""
    if slug == "learning-rate-too-low":
        return [10.0, 100.0]
    if ratio is None or ratio <= 10 * _USUAL:
        return [0.1, 0.01]
    # What the first looks call for is often too little: weights that have run away make it look worse than it is.
    wanted = round(math.log10(_USUAL / ratio))
    return [10.0**power for power in dict.fromkeys((min(-1, round(wanted / 2)), wanted, -1)) if power < 0]


def _end(losses: Sequence[float]) -> float:
    """The mean loss of a trial's end; infinite where it came to no end."""
    tail = losses[-max(1, len(losses) // _TELLING) :]
    return fmean(tail) if tail and all(map(math.isfinite, tail)) else math.inf


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    return [None if one is None or not math.isfinite(one) else float(f"{one:.5g}") for one in values]
