"""All suspicions weighed together: source, batches, gradients and curves give one cause, with its probability.

A cause explains what follows from it: nobody is told of a learning rate when it is old gradients that make the loss
diverge.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from argus_doctor.evidence import Evidence
from argus_doctor.findings import Finding, finding
from argus_doctor.suspicion import Suspicion

REPORTED = 0.5
"""Least probability of a hint."""
_LIKELY = 0.65
"""Probability from which hints stand in the order of their weights: nearer to the cause first."""
_EXPLAINS_FROM = 0.5
"""Least weight of what may stand for others."""
_NEARLY = 0.12
"""By so much a consequence may be surer than its cause: it shows sooner and more clearly."""
_OUTCOMES = (
    "mode-collapse", "labels-unrelated", "poor-generalisation", "non-finite-loss", "augmentation-inconsistent",
)  # fmt: skip
_STATES = (
    "exploding-gradient", "learning-rate-too-high", "dead-units", "vanishing-gradient", "input-ignored",
    "learning-rate-too-low",
)  # fmt: skip
_ASIDE = (
    "future-visible", "target-not-updated", "evaluation-in-training-mode", "evaluation-inputs-differ",
    "train-val-leak", "graph-kept", "input-bound", "memory-climbs", "memory-beside-tensors-climbs",
    "gpu-memory-fragments", "learning-rate-vanished", "poor-generalisation", "objective-starved",
    "attention-collapsed", "stalled-step",
)  # fmt: skip
"""What leaves the training itself as it is, and so explains nothing of it."""
_BREAKS_AT_ONCE = (*_STATES, *_OUTCOMES)

EXPLAINS: dict[str, tuple[str, ...]] = {
    "exploding-gradient": ("learning-rate-too-high", "dead-units", *_OUTCOMES),
    "learning-rate-too-high": (
        "dead-units", "exploding-gradient", "vanishing-gradient", "input-ignored", *_OUTCOMES,
    ),
    # Not a collapse: where all samples are answered alike, what looks at one place only has dead units, too. But units
    # that are proven to be dead from the start, with zeros behind them, are the cause (_effects).
    "dead-units": (
        "no-gradient", "vanishing-gradient", "learning-rate-too-low", "input-ignored", "zero-gradient",
        *(outcome for outcome in _OUTCOMES if outcome != "mode-collapse"),
    ),
    "vanishing-gradient": ("no-gradient", "learning-rate-too-low", "input-ignored", *_OUTCOMES),
    "learning-rate-too-low": _OUTCOMES,
    "input-ignored": _OUTCOMES,
    "mode-collapse": ("labels-unrelated",),
    "non-finite-input": ("non-finite-loss", *_BREAKS_AT_ONCE),
    "learning-rate-vanished": ("learning-rate-too-low", "labels-unrelated"),
    "bad-initialisation": ("no-gradient", *_BREAKS_AT_ONCE),
    "inputs-constant": ("no-gradient", "same-batch", *_BREAKS_AT_ONCE),
    "labels-unrelated": ("poor-generalisation", "augmentation-inconsistent"),
    "data-not-shuffled": ("poor-generalisation", "labels-unrelated", "mode-collapse"),
    "target-not-updated": ("accidental-freeze",),
}  # fmt: skip
"""Cause → what follows from it, and is not reported beside it. What is not listed explains every state and outcome."""


def join(suspicions: Iterable[Suspicion], evidence: Evidence) -> list[Finding]:
    """Findings: what is proven, then hints, the most probable cause first."""
    by_slug: dict[str, list[Suspicion]] = defaultdict(list)
    for one in suspicions:
        by_slug[one.slug].append(one)
    strongest = {
        slug: max(alike, key=lambda one: (one.proven, one.weight)) for slug, alike in by_slug.items()
    }
    written = {one.slug: one for one in evidence.source}
    for slug in _SEEN_IN_SOURCE_ONLY & written.keys():
        if slug not in strongest or not strongest[slug].proven:
            strongest[slug] = written[slug]
    # What is not said itself explains nothing away.
    said = {slug for slug, one in strongest.items() if one.proven or one.probability >= REPORTED}
    explained = {
        effect
        for cause in said
        if strongest[cause].weight >= _EXPLAINS_FROM
        for effect in _effects(strongest[cause])
        if _outweighs(strongest[cause], strongest.get(effect))
        and not _explains_back(effect, cause, strongest)
    }
    kept = sorted(
        said - explained,
        key=lambda slug: (
            not strongest[slug].proven,
            slug in _ASIDE or slug in _OUTCOMES,
            strongest[slug].probability < _LIKELY,
            -strongest[slug].weight,
            slug,
        ),
    )
    found = []
    for slug in kept:
        one, support = strongest[slug], written.get(slug)
        what, where = one.what, one.where
        if support is not None and support is not one:  # the place is known better there
            what, where = f"{what}; {support.what}", support.where
        effects = sorted(strongest.keys() & set(_effects(one)))
        numbers = {
            **one.numbers,
            "sign": one.sign,
            "explains": effects or None,
            "seen_at": one.where if support else None,
        }
        probability = round(one.probability, 3)
        # A loss that is no number is broken for certain, and what names why stands for it. Nothing else makes a hint
        # an error: what is proven beside it may have another cause.
        certain = one.proven or any(strongest[it].proven for it in effects if it == "non-finite-loss")
        found.append(
            finding(
                slug,
                where,
                what,
                numbers=numbers,
                remedy=one.remedy,
                probability=probability,
                certain=certain,
            )
        )
    return [*found, *evidence.failures.values()]


def _outweighs(cause: Suspicion, effect: Suspicion | None) -> bool:
    """Whether a cause may stand for what follows from it: not where that is clearly the surer of the two."""
    if effect is None or cause.proven or effect.slug == "non-finite-loss":
        return True
    return not effect.proven and effect.weight <= cause.weight + _NEARLY


_SEEN_IN_SOURCE_ONLY = {"missing-freeze", "target-not-updated"}


def _explains_back(effect: str, cause: str, known: Mapping[str, Suspicion]) -> bool:
    """Of two that explain each other, the weightier one stays."""
    if effect not in known or cause not in _effects(known[effect]):
        return False
    return (known[effect].weight, effect) > (known[cause].weight, cause)


def _effects(cause: Suspicion) -> tuple[str, ...]:
    if cause.slug == "dead-units" and cause.proven:
        return (*EXPLAINS["dead-units"], "mode-collapse")
    if cause.slug in EXPLAINS:
        return EXPLAINS[cause.slug]
    return () if cause.slug in (*_ASIDE, *_OUTCOMES) else _BREAKS_AT_ONCE
