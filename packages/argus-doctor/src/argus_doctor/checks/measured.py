"""What only a loop that measures it can tell: how objectives pull, how widely attention looks, which step stalled."""

from __future__ import annotations

from collections.abc import Iterator

from argus_doctor.evidence import Evidence
from argus_doctor.suspicion import Suspicion, median
from argus_doctor.wording import listed

_STARVED = 1e-3
"""Of the strongest objective's share: what an objective of any use has more of."""
_FALLEN = 0.9
"""Of its first value: an objective below it learns, however weakly it pulls, and may just be done."""
_NARROW, _NARROWED = 0.02, 0.2
"""Entropy of attention over the greatest one possible; and its part of what the layer began with."""


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
            yield Suspicion(
                "objective-starved",
                "one objective hardly pulls",
                f"{name} has at most {shares[name]:.1e} of the gradients at what objectives share, another has "
                f"{strongest:.2g}; its loss went from {first:.3g} to {last:.3g}",
                name,
                {"share": shares[name]},
            )


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
        yield Suspicion(
            "attention-collapsed",
            "attention narrowed to one place",
            f"attention of {listed(layers)} has come to look at one place: its entropy was {first:.2f} of the greatest "
            f"possible and is {last:.3f}",
            layers[0],
            {"layers": len(layers)},
        )


def stalls(evidence: Evidence) -> Iterator[Suspicion]:
    """Steps that took far longer than those around them, by what they waited for."""
    for part in dict.fromkeys(one.part for one in evidence.stalls):
        of_part = [one for one in evidence.stalls if one.part == part]
        longest = max(of_part, key=lambda one: one.seconds)
        more = f", and {len(of_part) - 1} more like it" if len(of_part) > 1 else ""
        yield Suspicion(
            "stalled-step",
            "one step took far longer",
            f"step {longest.step} took {longest.seconds:.1f} s where {longest.usual:.2g} s are usual, "
            f"{longest.of_part:.1f} s of them in {part}{more}",
            part,
            {"step": longest.step, "seconds": longest.seconds},
        )
