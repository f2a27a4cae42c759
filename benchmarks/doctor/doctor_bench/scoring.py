"""What a detector's findings are worth: each faulty run against its twin, and the healthy runs by themselves."""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from doctor_bench.case import Truth
from doctor_bench.detectors.protocol import Found
from doctor_bench.execution import Executed
from doctor_bench.proof import quality_of, shows_harm
from doctor_bench.run import Outcome

IN_TIME = 50
"""Steps within which a detection counts as early."""

_LINE = re.compile(r"\.py[\"']?(?::|, line )(\d+)")
_LONGEST_PLACE = 20
"""Lines of a place from the first to the last; what is further apart are places of their own."""
_PROBABILITIES = (0.0, 0.7, 0.85, 0.92, 0.96, 1.01)
_LINES_BESIDE = 1
"""A statement that the formatter breaks may begin a line earlier or later."""


@dataclass(frozen=True, slots=True)
class FaultScore:
    """What was found of one fault.

    Attributes:
        case: Name and seed.
        slug: The truth.
        detected: Something is found that the twin does not have.
        proven: Something of that is no hint.
        step: The first step at which something of that was found, where the detector says it.
        named: One of all findings, of whatever rank, names the cause.
        first_right: The first finding does.
        place_right: A finding that names the cause has the place as well; ``None`` where none names it.
        repaired: The repaired run is as good as asked; ``None`` where no repair was tried.
        found: Slugs of what is found and not in the twin, in order.
        first: Slug of the first finding.
        problem: A detector's or a twin's error.
        probability: Of the first finding, as the detector gives it.
    """

    case: str
    slug: str
    detected: bool
    proven: bool
    step: int | None
    named: bool
    first_right: bool
    place_right: bool | None
    repaired: bool | None
    found: tuple[str, ...]
    first: str
    problem: str
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class HealthScore:
    """What was found where nothing is wrong.

    Attributes:
        case: Name and seed.
        alarms: Slugs of the findings.
        certain: Those of them that are no hints.
        problem: A detector's or the script's error.
        probability: Of the first finding, as the detector gives it.
    """

    case: str
    alarms: tuple[str, ...]
    certain: tuple[str, ...]
    problem: str
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A detector's whole result.

    Attributes:
        faults: Each faulty run.
        healthy: Each healthy run that is no twin.
        twins: Each twin: a healthy run whose alarms are told apart, since detections are measured against it.
        overhead: Median over healthy runs of processor time with the detector, divided by that without it.
    """

    faults: tuple[FaultScore, ...]
    healthy: tuple[HealthScore, ...]
    twins: tuple[HealthScore, ...]
    overhead: float | None

    def to_json(self) -> dict[str, Any]:
        """The figures and all that they come from."""
        return {
            "summary": self.summary(),
            "faults": [asdict(one) for one in self.faults],
            "healthy": [asdict(one) for one in self.healthy],
            "twins": [asdict(one) for one in self.twins],
        }

    def summary(self) -> dict[str, Any]:
        """Each figure as ``[count, of, low, high]``, the last two a 95 % Wilson interval."""
        tried = [one for one in self.faults if one.repaired is not None]
        placed = [one for one in self.faults if one.place_right is not None]
        figures = {
            "detected": _share([one.detected for one in self.faults]),
            "detected_by_proof": _share([one.proven for one in self.faults]),
            "detected_in_time": _share([one.step is not None and one.step <= IN_TIME for one in self.faults]),
            "class_right": _share([one.first_right for one in self.faults]),
            "class_named": _share([one.named for one in self.faults]),
            "place_right": _share([bool(one.place_right) for one in placed]),
            "repaired": _share([bool(one.repaired) for one in tried]),
            "healthy_runs_with_error": _share([bool(one.certain) for one in self.healthy]),
            "healthy_runs_with_alarm": _share([bool(one.alarms) for one in self.healthy]),
            "twins_with_error": _share([bool(one.certain) for one in self.twins]),
            "twins_with_alarm": _share([bool(one.alarms) for one in self.twins]),
        }
        alarms = sum(len(one.alarms) for one in self.healthy)
        problems = sum(
            bool(one.problem) for group in (self.faults, self.healthy, self.twins) for one in group
        )
        return figures | {
            "fault_classes": len({one.slug for one in self.faults}),
            "alarms_per_healthy_run": alarms / len(self.healthy) if self.healthy else None,
            "overhead": self.overhead,
            "problems": problems,
            "calibration": self._calibration(),
        }

    def _calibration(self) -> list[dict[str, float]]:
        """How often first findings are right, by the probability that they are given; alarms in health are wrong."""
        said = [(one.probability, one.first_right) for one in self.faults]
        said += [(one.probability, False) for one in (*self.healthy, *self.twins) if one.alarms]
        table = []
        for low, high in itertools.pairwise(_PROBABILITIES):
            right = [(p, good) for p, good in said if p is not None and low <= p < high]
            if right:
                mean = statistics.mean(p for p, _ in right)
                share = statistics.mean(good for _, good in right)
                table.append({"said": round(mean, 3), "right": round(share, 3), "findings": len(right)})
        return table


def score(outcomes: Sequence[Outcome]) -> Score:
    """Scores all outcomes of one detector."""
    faulty = [one for one in outcomes if one.case.truth is not None]
    healthy = [one for one in outcomes if one.case.truth is None]
    costs = [
        with_it.cpu_seconds / one.alone.cpu_seconds
        for one in outcomes
        if one.alone and one.alone.cpu_seconds and not (with_it := one.twin or one.watched).error
    ]
    return Score(
        faults=tuple(_score_fault(one, one.case.truth) for one in faulty if one.case.truth),
        healthy=tuple(_score_health(one.case.title, one.watched) for one in healthy),
        twins=tuple(_score_health(one.case.title, one.twin) for one in faulty if one.twin),
        overhead=statistics.median(costs) if costs else None,
    )


def wilson(count: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson interval of a share; 0 to 1 of nothing."""
    if of == 0:
        return 0.0, 1.0
    share = count / of
    middle = share + z * z / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def is_place(where: str, truth: Truth, source: str) -> bool:
    """Whether a finding's place is the true one: a line of it, or one of its modules or something below one.

    Args:
        where: As the finding says it.
        truth: The truth.
        source: The text that was executed.
    """
    numbers = [
        number for number, line in enumerate(source.splitlines(), 1) if line.strip() in set(truth.lines)
    ]
    if numbers and max(numbers) - min(numbers) <= _LONGEST_PLACE:
        numbers = list(range(min(numbers), max(numbers) + 1))
    named = [int(match[1]) for match in _LINE.finditer(where)]
    if any(abs(one - number) <= _LINES_BESIDE for one in named for number in numbers):
        return True
    names = re.findall(r"[\w.\[\]]+", where)
    return any(
        name == module or name.startswith((f"{module}.", f"{module}["))
        for name in names
        for module in truth.modules
    )


def _score_fault(outcome: Outcome, truth: Truth) -> FaultScore:
    twin = outcome.twin or Executed()
    known = {_key(found, outcome.sources[1]) for found in twin.alarms}
    alarms = outcome.watched.alarms
    new = [found for found in alarms if _key(found, outcome.sources[0]) not in known]
    naming = [found for found in new if truth.accepts(found.slug)]
    steps = [found.step for found in new if found.step is not None]
    return FaultScore(
        case=outcome.case.title,
        slug=truth.slug,
        detected=bool(new),
        proven=any(found.severity != "hint" for found in new),
        step=min(steps, default=None),
        named=bool(naming),
        # Of all findings, not of the new ones: the first is what the user reads.
        first_right=bool(naming) and truth.accepts(alarms[0].slug),
        place_right=any(is_place(one.where, truth, outcome.sources[0]) for one in naming) if naming else None,
        repaired=_is_repaired(outcome, truth),
        found=tuple(found.slug for found in new),
        first=alarms[0].slug if alarms else "",
        problem=outcome.watched.detector_error or twin.detector_error or twin.error or "",
        probability=alarms[0].numbers.get("probability") if alarms else None,
    )


def _score_health(title: str, run: Executed) -> HealthScore:
    alarms = tuple(found.slug for found in run.alarms)
    probability = run.alarms[0].numbers.get("probability") if alarms else None
    certain = tuple(found.slug for found in run.alarms if found.severity != "hint")
    return HealthScore(title, alarms, certain, run.detector_error or run.error or "", probability)


def _is_repaired(outcome: Outcome, truth: Truth) -> bool | None:
    run, twin = outcome.repaired, outcome.alone
    if not outcome.repair_tried or twin is None:
        return None
    if run is None or run.error:
        return False
    return quality_of(run) >= truth.reach * quality_of(twin) and not shows_harm(truth, run, twin)


def _key(found: Found, source: str) -> tuple[str, str]:
    """Slug and place, with the text of a line for its number, which an edit above it moves."""
    lines = source.splitlines()

    def text(match: re.Match[str]) -> str:
        number = int(match[1])
        return lines[number - 1].strip() if 0 < number <= len(lines) else match[1]

    where = re.sub(r"\S*" + _LINE.pattern, text, found.where)
    return found.slug or found.text, where


def _share(values: Sequence[bool]) -> list[float]:
    return [sum(values), len(values), *wilson(sum(values), len(values))]
