"""What only a loop that measures or names it can tell, as the engine's does: how fast named groups move, how objectives
pull, how widely attention looks and held-out predictions spread, which step stalled.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from argus_doctor.evidence import Evidence
from argus_doctor.suspicion import Suspicion, median
from argus_doctor.wording import listed

_LOOKS = 2
_FAST = 0.1
"""Of its size, by a step: where the loss does not fall, that is why."""
FAR_TOO_FAST = 10.0
"""Times its size, by a step: a weight that moves so far keeps nothing, whatever the loss does."""
_STARVED = 1e-3
"""Of the strongest objective's share: what an objective of any use has more of."""
_FALLEN = 0.9
"""Of its first value: an objective below it learns, however weakly it pulls, and may just be done."""
_NARROW, _NARROWED = 0.02, 0.2
"""Entropy of attention over the greatest one possible; and its part of what the layer began with."""
_SPREAD, _SPREAD_FROM = 0.1, 50
"""Share of the truth's spread below which answers are constant, and steps before which they may be."""


def group_rates(evidence: Evidence) -> Iterator[Suspicion]:
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
    what = f"a step changes the weights of group {group} by {speed:.2g} times their first size "
    what += f"(usual is 0.001{beside}); the loss went from {first:.3g} to {last:.3g}"
    numbers = {"group": group, "update_ratio": speed}
    yield Suspicion("learning-rate-too-high", "group moves too fast", what, f"group {group}", numbers)


def objectives(evidence: Evidence) -> Iterator[Suspicion]:
    """An objective whose gradient is lost among the others', and which does not learn."""
    seen = evidence.pulls
    if len(seen) < 6:
        return
    common = set.intersection(*(set(one) for one in seen))
    shares = {name: median(one[name].share for one in seen[-5:]) for name in common}
    strongest = max(shares.values(), default=0.0)
    for name in sorted(common):
        first, last = (median(one[name].value for one in part) for part in (seen[:3], seen[-3:]))
        if 0 < shares[name] < _STARVED * strongest and last > _FALLEN * first > 0:
            what = f"{name} has at most {shares[name]:.1e} of the gradients at what objectives share, "
            what += f"another has {strongest:.2g}; its loss went from {first:.3g} to {last:.3g}"
            numbers = {"share": shares[name]}
            yield Suspicion("objective-starved", "one objective hardly pulls", what, name, numbers)


def attention(evidence: Evidence) -> Iterator[Suspicion]:
    """Attention that has narrowed to one place, in all heads of a layer together."""
    collapsed = {}
    for name, seen in evidence.attention.items():
        if len(seen) >= 6:
            first, last = median(seen[:3]), max(seen[-3:])
            if last < _NARROW and last < _NARROWED * first:
                collapsed[name] = first, last
    if collapsed:
        layers = sorted(collapsed)
        first, last = collapsed[layers[0]]
        what = f"attention of {listed(layers)} has come to look at one place: its entropy was {first:.2f} of "
        what += f"the greatest possible and is {last:.3f}"
        sign, numbers = "attention narrowed to one place", {"layers": len(layers)}
        yield Suspicion("attention-collapsed", sign, what, layers[0], numbers)


def spread(evidence: Evidence) -> Iterator[Suspicion]:
    """Predictions that are nearly the same for every held-out sample: regression to the mean."""
    known = [(step, value) for step, value in evidence.spread if math.isfinite(value)]
    if not known:
        return
    step, value = known[-1]
    # Early on predictions grow apart: then what counts is whether they still do.
    grows = len(known) > 1 and value > 1.5 * known[-2][1]
    if step >= _SPREAD_FROM and value < _SPREAD and not grows:
        what = f"held-out predictions differ by {value:.2g} of what the truth differs by: "
        what += "nearly the same answer for every sample"
        numbers = {"spread": value}
        yield Suspicion("mode-collapse", "held-out predictions alike", what, f"step {step}", numbers)


def stalls(evidence: Evidence) -> Iterator[Suspicion]:
    """Steps that took far longer than those around them, by what they waited for."""
    for part in dict.fromkeys(one.part for one in evidence.stalls):
        of_part = [one for one in evidence.stalls if one.part == part]
        longest = max(of_part, key=lambda one: one.seconds)
        more = f", and {len(of_part) - 1} more like it" if len(of_part) > 1 else ""
        what = f"step {longest.step} took {longest.seconds:.1f} s where {longest.usual:.2g} s are usual, "
        what += f"{longest.of_part:.1f} s of them in {part}{more}"
        numbers = {"step": longest.step, "seconds": longest.seconds}
        yield Suspicion("stalled-step", "one step took far longer", what, part, numbers)
