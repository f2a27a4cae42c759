"""What went wrong, by a run's curves. A run is measured by its own history: medians, and what lasts.

Windows decide, and what is told are values of the curve itself.

What healthy runs do, too, is no finding: noise, warm restarts, a loss that is low from the start, losses of two
players against each other, a step that mixed precision skips.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

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
    found = [one for curve in curves.of(_ANY_LOSS) for one in _not_finite(curve)]
    loss = curves.main_loss()
    if loss is not None and len(loss.values) >= _FEWEST:
        checks = (_diverged(loss), _spikes(loss, curves), _flat(loss, curves))
        found += next((one for check in checks if (one := list(check))), [])
    found += [one for held_out in curves.of(HELD_OUT_LOSS) for one in _overfitting(held_out, loss)]
    for check, role in ((_rate, LEARNING_RATE), (_slower, SPEED), (_memory, MEMORY)):
        found += next((one for curve in curves.of(role) if (one := list(check(curve)))), [])
    found += [one for norm in curves.of(GRADIENT_NORM) for one in _gradients(norm, loss)]
    return sorted(found, key=lambda one: float(one.numbers["step"]))  # what came first may be the cause


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


def _value(curve: Curve, index: int) -> str:
    """One of a curve's values, with its step."""
    return f"{curve.values[index]:.4g} (step {curve.steps[index]:g})"


def _shown(slug: str, curve: Curve, index: int, what: str, **numbers: Any) -> Iterator[Finding]:
    """A finding at one of a curve's values."""
    step = curve.steps[index]
    numbers = {"curve": curve.name, "step": step, **numbers}
    yield finding(slug, f"{curve.name}, step {step:g}", what, numbers=numbers)


def _no_number(curve: Curve, since: tuple[float, str], what: str, **numbers: Any) -> Iterator[Finding]:
    """A finding where a curve has no numbers; the log's line is known."""
    step, where = since
    numbers = {"curve": curve.name, "step": step, **numbers}
    what = f"{curve.name} is no number {what.format(f'step {step:g}')}"
    yield finding("instability", where or curve.name, what, numbers=numbers)


def _not_finite(curve: Curve) -> Iterator[Finding]:
    if curve.first_bad is None or "scale" in plain_name(curve.name):
        return
    # One batch without a target, and the loop goes on: only what lasts, or comes again and again, is a finding.
    often = curve.not_finite >= 5 and curve.not_finite > 0.02 * curve.count
    if curve.lost or often:
        share = f"{curve.not_finite} of {curve.count} values"
        stays = "and stays so" if curve.bad_tail == curve.not_finite else share
        what = f"from {{}} on, {stays}" if curve.lost else f"at {{}} first; {stays}"
        yield from _no_number(curve, curve.first_bad, what, count=curve.not_finite)


def _diverged(loss: Curve) -> Iterator[Finding]:
    values = _array(loss)
    parts = _windows(values, 10)
    noise = max(noise_of(values), 1e-12)
    best = int(np.argmin(parts))
    start, last, lowest = float(parts[0]), float(parts[-1]), float(parts[best])
    # Above where it began, for good, and not since yesterday.
    above = last > start + 6 * noise and last > 1.5 * max(abs(start), 1e-12) and parts[-2] > lowest
    fell = start - lowest
    lost = (
        fell > 6 * noise and last - lowest > max(0.8 * fell, 10 * noise) and parts[-2] - lowest > 0.6 * fell
    )
    if above or (lost and best < 8):
        # The least value may lie beyond the edge of the window with the least median.
        least = int(np.argmin(np.concatenate(np.array_split(values, 10)[: best + 2])))
        began = f"; it began at {values[0]:.4g}" if least else ""
        what = f"rises from {_value(loss, least)} to {_value(loss, -1)} and does not come back{began}"
        numbers = {"lowest": float(values[least]), "last": float(values[-1])}
        yield from _shown("instability", loss, least, what, **numbers)


def _spikes(loss: Curve, curves: Curves) -> Iterator[Finding]:
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
    # Where the rate goes up again, a loss that jumps was meant to.
    if len(groups) >= 3 and not any(_restarts(_array(rate)) for rate in curves.of(LEARNING_RATE)):
        highest = float(values[groups].max())
        what = f"jumps {len(groups)} times to a multiple of what is usual, highest {highest:.4g}"
        yield from _shown("instability", loss, groups[0], what, count=len(groups))


def _restarts(rate: Values) -> bool:
    after = rate[int(np.argmax(rate)) :] if len(rate) else rate
    return len(after) > 3 and bool(np.any(np.diff(after) > 0.2 * rate.max()))


def _flat(loss: Curve, curves: Curves) -> Iterator[Finding]:
    values = _array(loss)
    if len(values) < 2 * _FEWEST or loss.not_finite:
        return
    resumed = loss.steps[0] > 20 * max(float(np.median(np.diff(loss.steps))), 1e-9)
    parts = _windows(values, 6)
    level, noise = float(np.median(values)), noise_of(values)
    change = float(parts[0] - parts[-1])
    # Fine-tuning of what is good already is flat as well, but never so still: batches differ by more than 2 %.
    still = noise < 0.02 * abs(level) and float(np.ptp(parts)) < 0.01 * abs(level)
    held_out = [curve.values for curve in curves.of(HELD_OUT_LOSS)]
    better = any(len(one) >= 3 and one[-1] < one[0] * 0.97 for one in held_out)
    if still and not resumed and not better and abs(level) >= 0.05 and change <= 4 * noise:
        first, last = float(values[0]), float(values[-1])
        what = f"stays from {values.min():.4g} to {values.max():.4g} over {loss.count} values: it began at {first:.4g} "
        what += f"and ends at {last:.4g}"
        yield from _shown("curve-flat", loss, 0, what, level=level, change=first - last)


def _overfitting(held_out: Curve, loss: Curve | None) -> Iterator[Finding]:
    values = _array(held_out)
    if len(values) < 6 or loss is None or len(loss.values) < 6:
        return
    best = int(np.argmin(values))
    after = values[best + 1 :]
    if best == 0 or len(after) < max(4, len(values) // 5):
        return
    lowest, end = float(values[best]), float(np.median(after[-3:]))
    halves = _windows(after, 2)
    rises = end > lowest + max(4 * noise_of(values), 0.1 * abs(lowest)) and halves[1] > halves[0]
    training = _windows(_array(loss), 4)
    falls = training[-1] < min(training[1] - noise_of(_array(loss)) * 0.1, 0.95 * training[1])
    if rises and falls:
        what = (
            f"is lowest at step {held_out.steps[best]:g} ({lowest:.4g}) and {values[-1]:.4g} at the end, "
            f"while {loss.name} goes on falling"
        )
        numbers = {"lowest": lowest, "last": float(values[-1])}
        yield from _shown("poor-generalisation", held_out, best, what, **numbers)


def _rate(rate: Curve) -> Iterator[Finding]:
    zero = _array(rate) <= 0
    # A schedule may begin and end with zero.
    inner = zero[len(zero) // 20 + 2 : len(zero) - len(zero) // 20 - 2]
    if len(zero) >= 10 and inner.mean() >= 0.2:
        what = f"is zero in {int(zero.sum())} of {len(zero)} values: nothing is learned there"
        yield from _shown("curve-rate-zero", rate, int(np.argmax(zero)), what)


def _gradients(norm: Curve, loss: Curve | None) -> Iterator[Finding]:
    values = _array(norm)
    if norm.bad_tail >= 5 and norm.bad_tail > 0.05 * norm.count and norm.tail_start is not None:
        yield from _no_number(norm, norm.tail_start, "from {} to the end")
        return
    if len(values) < _FEWEST:
        return
    parts = _windows(values, 10)
    usual, peak = float(np.median(parts[:5])), float(parts.max())
    if usual > 0 and parts[-1] > 50 * usual and parts[-2] > 10 * usual:
        first = int(np.argmax(values > 10 * usual))
        what = f"grows from {_value(norm, 0)} to {_value(norm, -1)}, {parts[-1] / usual:.0f} times its usual size"
        yield from _shown("instability", norm, first, what)
    elif loss is not None and not _fell(loss) and peak > 0 and (parts[-3:] < 1e-3 * peak).all():
        what = f"falls from {_value(norm, int(np.argmax(values)))} to {_value(norm, -1)}, and the loss with it hardly"
        yield from _shown("curve-gradients-vanish", norm, int(np.argmax(values < 1e-3 * peak)), what)


def _fell(loss: Curve) -> bool:
    parts = _windows(_array(loss), 10) if len(loss.values) >= _FEWEST else np.ones(2)
    return bool(parts[-1] < 0.7 * parts[0])


def _slower(speed: Curve) -> Iterator[Finding]:
    values = _array(speed)
    # The first values are those of a run that warms up.
    begin = len(values) // 20
    parts = _windows(values[begin:], 5) if len(values) >= 20 else np.ones(5)
    if (np.diff(parts[1:]) < 0).all() and parts[-1] <= 0.6 * parts[0] and parts[0] > 0:
        what = f"falls from {_value(speed, begin)} to {_value(speed, -1)}, more with each fifth of the run"
        numbers = {"first": float(values[begin]), "last": float(values[-1])}
        yield from _shown("curve-slows", speed, 0, what, **numbers)


def _memory(memory: Curve) -> Iterator[Finding]:
    values = _array(memory)
    if len(values) < 20 or _NOT_A_TREND.search(plain_name(memory.name)):
        return
    settled = values[len(values) // 5 :]
    parts = _windows(settled, 5)
    steps = np.diff(parts)
    even = bool((steps > 0).all() and steps.min() > 0.4 * np.median(steps))
    if even and parts[-1] >= 1.15 * parts[0] and steps.sum() >= 10 * noise_of(settled) / 3:
        begin = len(values) // 5
        what = f"climbs steadily from {_value(memory, begin)} to {_value(memory, -1)}"
        numbers = {"first": float(values[begin]), "last": float(values[-1])}
        yield from _shown("memory-climbs", memory, begin, what, **numbers)
