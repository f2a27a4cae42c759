"""The two answers about a log: why the run died, and what had gone wrong before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from argus_doctor.findings import Finding, finding
from argus_doctor.logs.curve_checks import check_curves
from argus_doctor.logs.curves import GRADIENT_NORM, Curve, Curves
from argus_doctor.logs.deaths import ranked
from argus_doctor.logs.reading import Contents, read_log
from argus_doctor.logs.signs import GENERIC, SLUGS, Cause
from argus_doctor.wording import listed

_LONGEST = 300
_CURVES_TOLD = 8


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a log says.

    Attributes:
        cause: Why the run died; ``none`` where it did not, or does not say.
        where: ``file:line`` of what shows it.
        findings: The death, and what the curves show, in their order.
        curves: Name of each curve that was read, and how many values it has.
    """

    cause: Cause
    where: str
    findings: list[Finding]
    curves: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        found = [one.to_json() for one in self.findings]
        return {"cause": self.cause, "where": self.where, "findings": found, "curves": dict(self.curves)}

    def in_short(self) -> str:
        """What was read, for people: a log that holds nothing known would pass for a healthy one."""
        curves = [f"{name} ({count})" for name, count in self.curves.items()]
        read = f"Curves read: {listed(curves, _CURVES_TOLD)}." if curves else "No curve was recognised in it."
        return f"No cause of death: the log shows none. {read}" if self.cause == "none" else read


def diagnose(source: str) -> Diagnosis:
    """Reads a log and judges it.

    Args:
        source: A file, a run's folder, or ``-`` for standard input.

    Raises:
        ArgusError: There is nothing that could be read.
    """
    contents = read_log(source)
    findings = [*check_curves(contents.curves), *contents.notes]
    cause, where, what, lost = _death(contents)
    if cause != "none":
        # That a loss is no number from a step on is told once.
        findings = [one for one in findings if (one.numbers.get("curve"), one.numbers.get("step")) != lost]
        shown = what if len(what) <= _LONGEST else f"{what[:_LONGEST]}…"
        findings.insert(0, finding(SLUGS[cause], where, shown, numbers={"cause": cause}))
    else:
        findings += _ends_without_a_number(contents.curves.main_loss())
    counts = {name: curve.count for name, curve in contents.curves.by_name.items()}
    return Diagnosis(cause, where, findings, counts)


def _death(contents: Contents) -> tuple[Cause, str, str, tuple[str, float] | None]:
    """Cause, place and words; of a loss that is no number its curve and step."""
    first = next(iter([] if contents.finished else ranked(contents.incidents)), None)
    if first is None or first.cause in GENERIC:
        lost = lost_loss(contents.curves)
        if lost is not None and lost.tail_start is not None:
            step, where = lost.tail_start
            what = f"{lost.name} is no number from step {step:g} to the end"
            return "nan_loss", where, what, (lost.name, step)
    return ("none", "", "", None) if first is None else (first.cause, first.where, first.text, None)


def _ends_without_a_number(loss: Curve | None) -> list[Finding]:
    """A hint where only the very last of many losses are no numbers: too few to say that it would have stayed so."""
    if loss is None or loss.tail_start is None or not loss.bad_tail == loss.not_finite > 0 or loss.count < 5:
        return []
    step, where = loss.tail_start
    what = f"{loss.name} is no number at step {step:g}, where the log ends; one batch without a target does that, too"
    numbers = {"curve": loss.name, "step": step, "count": loss.not_finite}
    return [finding("instability", where, what, numbers=numbers, certain=False)]


def lost_loss(curves: Curves) -> Curve | None:
    """The training loss, where it is no number until the end; or its gradient's norm, where the loss is then zero.

    transformers logs a loss that is no number as 0.0 unless it is told not to.
    """
    loss = curves.main_loss()
    if loss is None or loss.lost:
        return loss
    if len(loss.values) >= 3 and not any(loss.values[-3:]):
        return next((curve for curve in curves.of(GRADIENT_NORM) if curve.bad_tail >= 3), None)
    return None
