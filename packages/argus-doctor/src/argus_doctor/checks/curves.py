"""What the curves and the machine tell."""

from __future__ import annotations

import math
from collections.abc import Iterator

from argus_doctor.evidence import Evidence
from argus_doctor.suspicion import Suspicion, median


def numbers(evidence: Evidence) -> Iterator[Suspicion]:
    """The first number that was not finite."""
    found = evidence.not_finite
    if found is None:
        return
    later = [one.loss for one in evidence.steps if one.number >= found.step and one.loss is not None]
    lasting = sum(not math.isfinite(one) for one in later)
    words = {
        "input": f"step {found.step}: {found.where} holds values that are not finite",
        "weights": f"step {found.step}: the weights of {found.where} are not finite",
        "forward": f"step {found.step}: the outputs of {found.where} are not finite, its inputs are",
        "loss": f"step {found.step}: the loss is not finite, or its gradient at the outputs; the model's outputs are "
        "finite",
        "backward": f"step {found.step}: the gradient of {found.where} is not finite; outputs and loss are",
    }
    slug = "non-finite-input" if found.what == "input" else "non-finite-loss"
    # One step may overflow, and mixed precision leaves it out.
    certain = slug == "non-finite-input" or found.what == "weights" or lasting >= 2
    if not certain and not lasting and len(later) >= 3:
        return
    sign = f"{found.what} not finite" if certain else "not finite for a moment"
    what = f"{words[found.what]}; {lasting} losses since are not finite"
    where, numbers = found.where or f"step {found.step}", {"step": found.step, "first": found.what}
    yield Suspicion(slug, sign, what, where, numbers, proven=certain)


def memory(evidence: Evidence) -> Iterator[Suspicion]:
    """Overfitting where no validation loss is given: sure of what was trained on, unsure of everything else."""
    seen = [one.confidence for one in evidence.objectives if one.confidence is not None][-6:]
    asked = evidence.evaluations.confidence[-3:]
    distinct, total = evidence.distinct
    if not distinct or total < 30 * distinct:
        return
    times = f"{distinct} samples were seen {total // distinct} times each"
    late = [one for one in evidence.objectives if one.loss is not None and one.chance][-6:]
    far = median((one.loss or 0.0) / (one.chance or 1.0) for one in late) if len(late) >= 4 else 1.0
    if len(seen) >= 4 and len(asked) >= 2:
        doubt, doubt_there = 1 - median(seen), 1 - median(asked)
        if doubt < 0.01 and doubt_there > 8 * doubt + 0.03:
            what = f"{times}: of them the model is {1 - doubt:.1%} sure, of those of an evaluation "
            what += f"{1 - doubt_there:.1%}; it knows them by heart"
            sign, numbers = "sure of training samples alone", {"samples": distinct}
            yield Suspicion("poor-generalisation", sign, what, "training data", numbers)
    elif far < 0.02 and evidence.evaluations.samples >= 5 * distinct and total >= 100 * distinct:
        what = f"{times}, until nothing of their loss was left ({far:.1%}); "
        what += f"evaluations have {evidence.evaluations.samples}"
        sign, numbers = "few samples known by heart", {"samples": distinct}
        yield Suspicion("poor-generalisation", sign, what, "training data", numbers)


def validation(evidence: Evidence) -> Iterator[Suspicion]:
    """Overfitting: validation gets worse while training gets better."""
    values = [(number, value) for number, value in evidence.validations if math.isfinite(value)]
    if len(values) < 4:
        return
    best_at, best = min(values, key=lambda one: one[1])
    last = [value for _, value in values[-3:]]
    then, now = _training_loss(evidence, best_at)
    after = [value for number, value in values if number > best_at]
    if len(after) >= 2 and min(last) > 1.25 * best and best > 0 and now < 0.5 * then:
        what = f"the validation loss was {best:.3g} at step {best_at} and is {last[-1]:.3g}, "
        what += f"while that of training fell from {then:.3g} to {now:.3g}"
        numbers = {"ratio": last[-1] / best}
        yield Suspicion("poor-generalisation", "validation loss rose", what, f"step {best_at}", numbers)


def figure(evidence: Evidence) -> Iterator[Suspicion]:
    """Overfitting by the run's own figure: it was better long ago, while training got better."""
    values = [(step, value) for step, value in evidence.figure if math.isfinite(value)]
    if len(values) < 5:
        return
    best_at, best = max(values, key=lambda one: one[1])
    after = [value for step, value in values if step > best_at]
    then, now = _training_loss(evidence, best_at)
    if len(after) >= 4 and max(after[-3:]) < best - max(0.1 * abs(best), 0.02) and 0 < now < 0.7 * then:
        what = f"the figure was {best:.4g} at step {best_at} and is {after[-1]:.4g}, "
        what += f"while the loss of training fell from {then:.3g} to {now:.3g}"
        yield Suspicion("poor-generalisation", "figure fell while training improved", what, f"step {best_at}")


def _training_loss(evidence: Evidence, step: int) -> tuple[float, float]:
    """That of training about a step, and at the end."""
    losses = evidence.series("loss")
    return median(loss for at, loss in losses if abs(at - step) <= 8), median(
        loss for _, loss in losses[-10:]
    )


def resources(evidence: Evidence) -> Iterator[Suspicion]:
    """Graphs that are kept, steps that wait for data."""
    alive, looked = evidence.alive_losses
    if looked >= 16 and alive >= 0.9 * looked:
        what = f"the graphs of {alive} of the last {looked} losses are still held: "
        what += "a loss is kept without .item() or .detach()"
        yield Suspicion("graph-kept", "graphs of old losses alive", what, "loss", proven=True)
    timed = evidence.steps[20:]
    if len(timed) >= 50:
        wait, whole = median(one.wait for one in timed), median(one.seconds for one in timed)
        if wait > 0.05 and wait > 0.6 * whole:
            what = f"of {whole:.2f} s a step, {wait:.2f} s pass before the model is called"
            yield Suspicion("input-bound", "waits for data", what, "data loader")
