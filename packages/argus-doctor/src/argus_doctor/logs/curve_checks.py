"""What went wrong, by a run's curves. A run is measured by its own history: medians, and what lasts.

What healthy runs do, too, is no finding: noise, warm restarts, a loss that is low from the start, losses of two
players against each other, a step that mixed precision skips.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from argus_doctor.findings import Finding, finding
from argus_doctor.logs.curves import (
    GRADIENT_NORM,
    HELD_OUT_LOSS,
    LEARNING_RATE,
    MEMORY,
    SPEED,
    Curve,
    Curves,
    plain_name,
)

_FEWEST = 30
"""Values of a curve: of fewer, nothing is said but that one is no number."""
_TO_NORMAL = 1.4826
"""The median absolute deviation of normal noise is its standard deviation over this."""
_ANY_LOSS = re.compile(r"loss")
_BEFORE = 20
"""Values that a jump is measured by."""
_OUT_OF_TAIL = 5.0
_NOT_A_TREND = re.compile(r"max|peak|reserved|total|limit|free|avail|swap|load")

Values = NDArray[np.float64]


def check_curves(curves: Curves) -> list[Finding]:
    """All that the curves show."""
    found = list(_not_finite(curves))
    loss = curves.main_loss()
    if loss is not None and len(loss.values) >= _FEWEST:
        found += _diverged(loss) or _spikes(loss, curves) or _flat(loss, curves)
    for held_out in curves.of(HELD_OUT_LOSS):
        found += _overfitting(held_out, loss)
    for check, role in ((_rate, LEARNING_RATE), (_slower, SPEED), (_memory, MEMORY)):
        found += next((one for curve in curves.of(role) if (one := check(curve))), [])
    for norm in curves.of(GRADIENT_NORM):
        found += _gradients(norm, loss)
    return found


def noise_of(values: Values) -> float:
    """The standard deviation of a curve around its trend, by the differences of neighbours: robust to both."""
    if len(values) < 3:
        return 0.0
    differences = np.diff(values)
    return float(np.median(np.abs(differences - np.median(differences))) * _TO_NORMAL / np.sqrt(2))


def _windows(values: Values, parts: int) -> Values:
    return np.array([np.median(part) for part in np.array_split(values, parts)])


def _array(curve: Curve) -> Values:
    return np.asarray(curve.values, dtype=np.float64)


def _at(curve: Curve, index: int) -> str:
    return f"{curve.name}, step {curve.steps[index]:g}"


def _not_finite(curves: Curves) -> Iterator[Finding]:
    for curve in curves.of(_ANY_LOSS):
        name = plain_name(curve.name)
        if curve.first_bad is None or "scale" in name:
            continue
        # One batch without a target, and the loop goes on: only what lasts, or comes again and again, is a finding.
        lasting = curve.bad_tail >= 3 or curve.bad_tail == curve.count > 1
        often = curve.not_finite >= 5 and curve.not_finite > 0.02 * curve.count
        if not lasting and not often:
            continue
        step, where = curve.first_bad
        stays = (
            "and stays so"
            if curve.bad_tail == curve.not_finite
            else f"{curve.not_finite} of {curve.count} values"
        )
        what = (
            f"{curve.name} is no number from step {step:g} on, {stays}"
            if lasting
            else f"{curve.name} is no number at step {step:g} first; {stays}"
        )
        yield finding(
            "instability",
            where or curve.name,
            what,
            numbers={"curve": curve.name, "step": step, "count": curve.not_finite},
        )


def _diverged(loss: Curve) -> list[Finding]:
    values = _array(loss)
    parts = _windows(values, 10)
    noise = max(noise_of(values), 1e-12)
    best = int(np.argmin(parts))
    start, last, lowest = float(parts[0]), float(parts[-1]), float(parts[best])
    # Above where it began, for good, and not since yesterday.
    above = last > start + 6 * noise and last > 1.5 * max(abs(start), 1e-12) and float(parts[-2]) > lowest
    lost = (
        start - lowest > 6 * noise
        and last - lowest > 0.8 * (start - lowest)
        and parts[-2] - lowest > 0.6 * (start - lowest)
        and best < 8
        and last - lowest > 10 * noise
    )
    if not above and not lost:
        return []
    begins = int(len(values) * best / 10)
    what = f"rises from {lowest:.4g} to {last:.4g} (it began at {start:.4g}) and does not come back"
    return [
        finding(
            "instability",
            _at(loss, begins),
            what,
            numbers={"curve": loss.name, "step": loss.steps[begins], "lowest": lowest, "last": last},
        )
    ]


def _spikes(loss: Curve, curves: Curves) -> list[Finding]:
    values = _array(loss)
    parts = _windows(values, 10)
    fallen = max(float(parts[0] - parts.min()), 0.0)
    # By how many times a value is above those before it, so that a loss that falls is measured evenly.
    before = [float(np.median(values[max(0, i - _BEFORE) : i])) for i in range(_BEFORE, len(values))]
    middle = np.maximum(np.asarray(before), 1e-12)
    here = values[_BEFORE:]
    above = np.log(np.maximum(here, 1e-12) / middle)
    usual = float(np.quantile(np.abs(above), 0.97))
    # Batches of one have a long tail: what stands far out of the tail is a jump.
    jumps = (above > max(_OUT_OF_TAIL * usual, np.log(2))) & (here - middle > 0.5 * fallen)
    indices = np.flatnonzero(jumps) + _BEFORE
    groups = [int(i) for k, i in enumerate(indices) if k == 0 or i - indices[k - 1] > 3]
    if len(groups) < 3 or _restarts(curves):
        return []
    highest, first = float(values[groups].max()), loss.steps[groups[0]]
    what = f"jumps {len(groups)} times to a multiple of what is usual, highest {highest:.4g}"
    numbers = {"curve": loss.name, "step": first, "count": len(groups)}
    return [finding("instability", _at(loss, groups[0]), what, numbers=numbers)]


def _restarts(curves: Curves) -> bool:
    """Whether the rate goes up again after it has fallen: a loss that jumps then was meant to."""
    for rate in curves.of(LEARNING_RATE):
        values = _array(rate)
        if len(values) > 3:
            top = int(np.argmax(values))
            after = values[top:]
            if len(after) > 3 and bool(np.any(np.diff(after) > 0.2 * values.max())):
                return True
    return False


def _flat(loss: Curve, curves: Curves) -> list[Finding]:
    values = _array(loss)
    if len(values) < 2 * _FEWEST or loss.not_finite:
        return []
    spacing = float(np.median(np.diff(loss.steps))) if len(loss.steps) > 1 else 1.0
    resumed = loss.steps[0] > 20 * max(spacing, 1e-9)
    parts = _windows(values, 6)
    level, noise = float(np.median(values)), noise_of(values)
    change = float(parts[0] - parts[-1])
    # Fine-tuning of what is good already is flat as well, but never so still: batches differ by more than 2 %.
    still = noise < 0.02 * abs(level) and float(np.ptp(parts)) < 0.01 * abs(level)
    better = any(_improves(curve) for curve in curves.of(HELD_OUT_LOSS))
    if resumed or not still or better or abs(level) < 0.05 or change > 4 * noise:
        return []
    what = f"stays at {level:.4g} over {loss.count} values: it changed by {change:.2g} in all"
    return [
        finding(
            "curve-flat", _at(loss, 0), what, numbers={"curve": loss.name, "level": level, "change": change}
        )
    ]


def _improves(curve: Curve) -> bool:
    values = _array(curve)
    return len(values) >= 3 and bool(values[-1] < values[0] * 0.97)


def _overfitting(held_out: Curve, loss: Curve | None) -> list[Finding]:
    values = _array(held_out)
    if len(values) < 6 or loss is None or len(loss.values) < 6:
        return []
    best = int(np.argmin(values))
    after = values[best + 1 :]
    if best == 0 or len(after) < max(4, len(values) // 5):
        return []
    noise, lowest = noise_of(values), float(values[best])
    end = float(np.median(after[-3:]))
    halves = _windows(after, 2)
    rises = end > lowest + max(4 * noise, 0.1 * abs(lowest)) and halves[1] > halves[0]
    training = _windows(_array(loss), 4)
    falls = training[-1] < training[1] - noise_of(_array(loss)) * 0.1 and training[-1] < 0.95 * training[1]
    if not rises or not falls:
        return []
    what = (
        f"is lowest at step {held_out.steps[best]:g} ({lowest:.4g}) and {end:.4g} at the end, "
        f"while {loss.name} goes on falling"
    )
    return [
        finding(
            "poor-generalisation",
            _at(held_out, best),
            what,
            numbers={"curve": held_out.name, "step": held_out.steps[best], "lowest": lowest, "last": end},
        )
    ]


def _rate(rate: Curve) -> list[Finding]:
    values = _array(rate)
    if len(values) < 10:
        return []
    zero = values <= 0
    # A schedule may begin and end with zero.
    inner = zero[len(zero) // 20 + 2 : len(zero) - len(zero) // 20 - 2]
    if not len(inner) or inner.mean() < 0.2:
        return []
    first = int(np.argmax(zero)) if not zero.all() else 0
    what = f"is zero in {int(zero.sum())} of {len(values)} values: nothing is learned there"
    return [
        finding(
            "curve-rate-zero", _at(rate, first), what, numbers={"curve": rate.name, "step": rate.steps[first]}
        )
    ]


def _gradients(norm: Curve, loss: Curve | None) -> list[Finding]:
    values = _array(norm)
    if norm.bad_tail >= 5 and norm.bad_tail > 0.05 * norm.count and norm.tail_start is not None:
        step, where = norm.tail_start
        what = f"{norm.name} is no number from step {step:g} to the end"
        return [finding("instability", where or norm.name, what, numbers={"curve": norm.name, "step": step})]
    if len(values) < _FEWEST:
        return []
    parts = _windows(values, 10)
    usual = float(np.median(parts[:5]))
    if usual > 0 and parts[-1] > 50 * usual and parts[-2] > 10 * usual:
        what = f"grows from {usual:.4g} to {parts[-1]:.4g}"
        index = int(np.argmax(values > 10 * usual))
        return [
            finding(
                "instability", _at(norm, index), what, numbers={"curve": norm.name, "step": norm.steps[index]}
            )
        ]
    fell = loss is not None and len(loss.values) >= _FEWEST and _fell(_array(loss))
    peak = float(parts.max())
    if loss is not None and not fell and peak > 0 and (parts[-3:] < 1e-3 * peak).all():
        what = f"falls from {peak:.4g} to {parts[-1]:.4g}, and the loss with it hardly"
        index = int(np.argmax(values < 1e-3 * peak))
        return [
            finding(
                "curve-gradients-vanish",
                _at(norm, index),
                what,
                numbers={"curve": norm.name, "step": norm.steps[index]},
            )
        ]
    return []


def _fell(values: Values) -> bool:
    parts = _windows(values, 10)
    return bool(parts[-1] < 0.7 * parts[0])


def _slower(speed: Curve) -> list[Finding]:
    values = _array(speed)
    if len(values) < 20:
        return []
    # The first values are those of a run that warms up.
    parts = _windows(values[len(values) // 20 :], 5)
    if not (np.diff(parts[1:]) < 0).all() or parts[-1] > 0.6 * parts[0] or parts[0] <= 0:
        return []
    what = f"falls from {parts[0]:.4g} to {parts[-1]:.4g}, more with each fifth of the run"
    return [
        finding(
            "curve-slows",
            _at(speed, 0),
            what,
            numbers={"curve": speed.name, "first": parts[0], "last": parts[-1]},
        )
    ]


def _memory(memory: Curve) -> list[Finding]:
    name = plain_name(memory.name)
    values = _array(memory)
    if len(values) < 20 or _NOT_A_TREND.search(name):
        return []
    settled = values[len(values) // 5 :]
    parts = _windows(settled, 5)
    steps = np.diff(parts)
    even = bool((steps > 0).all() and steps.min() > 0.4 * np.median(steps))
    if not even or parts[-1] < 1.15 * parts[0] or steps.sum() < 10 * noise_of(settled) / 3:
        return []
    what = f"climbs steadily from {parts[0]:.4g} to {parts[-1]:.4g} after the first fifth of the run"
    return [
        finding(
            "memory-climbs",
            _at(memory, len(values) // 5),
            what,
            numbers={"curve": memory.name, "first": parts[0], "last": parts[-1]},
        )
    ]
