"""What a run with named groups, stated batch sizes and declared figures tells: the engine's own, above all."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from argus_doctor.evidence import Evidence
from argus_doctor.suspicion import Suspicion, median

_LOOKS = 2
_FAST = 0.1
"""Of its size, by a step: where the loss does not fall, that is why."""
FAR_TOO_FAST = 10.0
"""Times its size, by a step: a weight that moves so far keeps nothing, whatever the loss does."""
_SPREAD, _SPREAD_FROM = 0.1, 50
"""Share of the truth's spread below which answers are constant, and steps before which they may be."""


def rates(evidence: Evidence) -> Iterator[Suspicion]:
    """A learning rate that is too high for one group: over all layers together it would not show."""
    ratios: dict[str, list[float]] = defaultdict(list)
    for p in evidence.parameters.values():
        # What began at zero moves by many times its size at first, and so it must.
        if p.updates >= _LOOKS and p.first_weight > 0 and p.group and len(p.shape) > 1 and p.start != "zero":
            # Of the size at the start: weights that have grown a thousandfold are moved by little of what they are now.
            ratios[p.group].append(p.ratio * max(p.weight, p.first_weight) / p.first_weight)
    losses = evidence.losses()
    if len(losses) < 3 or not ratios:
        return
    typical = {group: median(moved) for group, moved in ratios.items()}
    group = max(typical, key=lambda name: typical[name])
    speed, others = typical[group], [value for name, value in typical.items() if name != group]
    first, last = median(losses[:3]), median(losses[-10:])
    learns = math.isfinite(last) and (last < 0.9 * first if first > 0 else last < first)
    if speed < (FAR_TOO_FAST if learns else _FAST) or speed < 3 * max(others, default=0.0):
        return
    beside = f", of the other groups {max(others):.2g} at most" if others else ""
    yield Suspicion(
        "learning-rate-too-high",
        "group moves too fast",
        f"a step changes the weights of group {group} by {speed:.2g} times their first size (usual is 0.001{beside}); "
        f"the loss went from {first:.3g} to {last:.3g}",
        f"group {group}",
        {"group": group, "update_ratio": speed},
    )


def spread(evidence: Evidence) -> Iterator[Suspicion]:
    """Predictions that are nearly the same for every held-out sample: regression to the mean."""
    known = [(step, value) for step, value in evidence.spread if math.isfinite(value)]
    if not known:
        return
    step, value = known[-1]
    # Early on predictions grow apart: then what counts is whether they still do.
    grows = len(known) > 1 and value > 1.5 * known[-2][1]
    if step >= _SPREAD_FROM and value < _SPREAD and not grows:
        yield Suspicion(
            "mode-collapse",
            "held-out predictions alike",
            f"held-out predictions differ by {value:.2g} of what the truth differs by: nearly the same answer for "
            "every sample",
            f"step {step}",
            {"spread": value},
        )


def figure(evidence: Evidence) -> Iterator[Suspicion]:
    """Overfitting by the run's own figure: it was better long ago, while training got better."""
    values = [(step, value) for step, value in evidence.figure if math.isfinite(value)]
    if len(values) < 5:
        return
    best_at, best = max(values, key=lambda one: one[1])
    after = [value for step, value in values if step > best_at]
    losses = dict(evidence.series("loss"))
    then = median(loss for step, loss in losses.items() if abs(step - best_at) <= 8)
    now = median(list(losses.values())[-10:])
    if len(after) >= 4 and max(after[-3:]) < best - max(0.1 * abs(best), 0.02) and 0 < now < 0.7 * then:
        yield Suspicion(
            "poor-generalisation",
            "figure fell while training improved",
            f"the figure was {best:.4g} at step {best_at} and is {after[-1]:.4g}, while the loss of training fell from "
            f"{then:.3g} to {now:.3g}",
            f"step {best_at}",
        )
