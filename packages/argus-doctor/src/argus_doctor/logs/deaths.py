"""Why did a run die? Its lines are read once; what looks like a death is forgotten where the run went on or ended well.

An exception that is logged and survived, the time-out of a rank whose neighbour ran out of memory, the launcher's
summary: in the text they look alike. So each sign gets a grade, and the verdict is the first of the best grade after
the run's last sign of life.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from argus_doctor.logs.lines import Line, parse_line
from argus_doctor.logs.metrics_in_text import Printed
from argus_doctor.logs.signs import GENERIC, QUIET_LEVELS, SIGNS, Cause, Grade, cause_of_message, says
from argus_doctor.logs.tracebacks import Raised, Tracebacks

_BUFFER = 8192
"""Bytes that Python's standard output holds back; at the end they come after the traceback on standard error."""
_LONGEST = 2000
_LAST_WORDS = 3
_MOST_INCIDENTS = 200
_MOST_SHAPES = 4096
"""Lines that differ in their digits alone are looked at once: a log of gigabytes has few others."""
_DIGITS = str.maketrans("", "", "0123456789")


@dataclass(frozen=True, slots=True)
class Incident:
    """A sign of death.

    Attributes:
        cause: What it says.
        grade: How much it is a cause, and how little an echo.
        where: ``file:line``.
        text: The line.
        number: Its line.
        late: It came after the run had been asked to stop.
        raised: It is an exception's, by its traceback.
    """

    cause: Cause
    grade: Grade
    where: str
    text: str
    number: int = 0
    late: bool = False
    raised: bool = False


class Ending(IntEnum):
    """How a log ends, as far as it says."""

    UNKNOWN = 0
    ENDED = 1
    INTERRUPTED = 2


class DeathReader:
    """Reads a log's lines.

    Args:
        file: The log's name, for places.

    Attributes:
        ending: How it ends, as far as it was read.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._tracebacks = Tracebacks()
        self._incidents: list[Incident] = []
        self._before_restart: list[Incident] = []
        self._interruption: Incident | None = None
        self._last: dict[str, float] = {}
        self._ranks: set[str] = set()
        self._harmless: set[str] = set()
        self._quiet = True  # nothing but an error so far
        self._forward, self._after, self._number = 0.0, 0, 0
        self.ending = Ending.UNKNOWN

    def feed(self, line: Line, printed: Printed | None) -> bool:
        """Takes a line, and what it tells of training; whether it is one of the run's own, outside tracebacks."""
        self._number = line.number
        if line.rank:
            self._ranks.add(line.rank)
        if self._incidents:
            self._after += len(line.raw) + 1
        self._add_raised(self._tracebacks.feed(line))
        if self._tracebacks.took:
            return False
        if self._look(line):
            return True
        if printed is not None:
            self.progress(printed)
        elif line.number > 5 and not self._incidents:
            self._quiet = False
        return True

    def finish(self) -> list[Incident]:
        """What may have killed it, best first; nothing where it did not die."""
        self._add_raised(self._tracebacks.finish())
        left = self._incidents or self._before_restart
        # What was caught, by the words around it, killed nothing, unless it was the last that was said.
        kept = [one for one in left if one.grade < Grade.FAINT or one.number >= self._number - _LAST_WORDS]
        found = ranked(sorted(kept, key=lambda one: one.number))
        interrupted = self._interruption if self.ending is Ending.INTERRUPTED else None
        return found or ([] if interrupted is None else [interrupted])

    def progress(self, printed: Printed) -> None:
        """Takes a sign of life: where the run goes on from where it was, it has survived what was before."""
        self._settle()
        self._quiet &= bool(self._incidents)
        moved = False
        for unit, value in (printed.position or {"entry": self._last.get("entry", 0.0) + 1}).items():
            moved |= value > self._last.get(unit, math.inf)
            self._last[unit] = value
        if not moved:
            return
        self._before_restart.clear()
        if not self._incidents:
            if self.ending is Ending.INTERRUPTED:
                self.ending = Ending.UNKNOWN
            return
        # A bar is drawn once more when it is closed; other ranks go on for a while.
        self._forward += 0.5 if printed.bar else 1.0
        several = len(self._ranks) > 1 or any(one.cause == "nccl" for one in self._incidents)
        raised = any(one.raised and one.grade is not Grade.FAINT for one in self._incidents)
        held_back = raised and (self._tracebacks.glued or (self._quiet and self._after < _BUFFER))
        if self._forward >= (3 if several else 1) and not held_back:
            self._begin_anew()

    def _look(self, line: Line) -> bool:
        """Whether a line tells of a death, of its opposite, or is somebody else's talk."""
        text, raw = line.body[:_LONGEST], line.raw[:_LONGEST]
        shape = raw.translate(_DIGITS)
        if shape in self._harmless:
            return False
        low = raw.lower()
        ended = says("farewell", low) and says("ended", text)
        if not says("trouble", low):
            if not ended and len(self._harmless) < _MOST_SHAPES:
                self._harmless.add(shape)
            return ended and self._end()
        if says("launcher", raw):
            return True
        if says("restarted", text):
            self._settle()
            self._before_restart = self._before_restart or self._incidents
            self._last.clear()
            return self._begin_anew()
        if says("interrupted", raw):
            return self._interrupt(line.number, line.raw)
        if line.level in QUIET_LEVELS:
            return ended and self._end()
        sign = next((one for one in SIGNS if one.pattern.search(raw if one.whole else text)), None)
        if sign is None and ended:
            return self._end()
        if sign is None and line.level not in ("ERROR", "CRITICAL", "FATAL", "SEVERE"):
            return False
        cause = (sign.cause if sign else None) or cause_of_message(text)
        if cause is None:
            return False
        caught = says("caught", text)
        if sign is not None:
            self._settle()
            faint = caught and sign.grade is not Grade.HARD
            self._add(cause, Grade.FAINT if faint else sign.grade, line.number, line.raw)
        elif not caught:
            self._add(cause, Grade.PEER if cause == "nccl" else Grade.ROOT, line.number, line.raw)
        return True

    def _add(self, cause: Cause, grade: Grade, number: int, text: str, raised: bool = False) -> None:
        # Once it has ended well, processes lose each other as they leave.
        if self.ending is Ending.ENDED and grade >= Grade.PEER:
            return
        if len(self._incidents) < _MOST_INCIDENTS:
            self._incidents.append(self._incident(cause, grade, number, text, raised))
        self._forward = 0.0

    def _incident(self, cause: Cause, grade: Grade, number: int, text: str, raised: bool) -> Incident:
        asked = self._interruption if self.ending is Ending.INTERRUPTED else None
        late = asked is not None and asked.number < number
        return Incident(cause, grade, f"{self._file}:{number}", text.strip(), number, late, raised)

    def _add_raised(self, ended: Iterable[Raised]) -> None:
        for one in ended:
            if one.interrupt:
                self._interrupt(one.number, one.text)
            else:
                self._add(one.cause, one.grade, one.number, one.text, raised=True)

    def _settle(self) -> None:
        """Notes tracebacks that only wait for more of a message: what comes now came after them."""
        self._add_raised(self._tracebacks.settle())

    def _begin_anew(self, ending: Ending = Ending.UNKNOWN) -> bool:
        self._incidents = []
        self._forward, self._after = 0.0, 0
        self.ending = ending
        return True

    def _end(self) -> bool:
        self._settle()
        self._before_restart.clear()
        return self._begin_anew(Ending.ENDED)

    def _interrupt(self, number: int, text: str) -> bool:
        self._settle()
        if not any(one.grade < Grade.ECHO for one in self._incidents):
            if self.ending is not Ending.INTERRUPTED:
                cause = "timeout" if says("time_limit", text) else "interrupted"
                self._interruption = self._incident(cause, Grade.ECHO, number, text, raised=False)
            self.ending = Ending.INTERRUPTED
        return True


def incident_in(text: str, where: str) -> Incident:
    """The incident that a text of few words tells of: why a run stopped, or its exit code."""
    deaths = DeathReader(where)
    deaths.feed(parse_line(1, text), None)
    found = deaths.finish()
    cause = found[0].cause if found else (cause_of_message(text) or "traceback")
    return Incident(cause, found[0].grade if found else Grade.ROOT, where, text)


def ranked(incidents: list[Incident]) -> list[Incident]:
    """Best first: what is a cause before its echoes, and of one grade the first."""
    kept = [
        one
        for one in incidents
        if not one.late
        or one.grade is Grade.HARD
        or (one.grade is Grade.ROOT and one.cause not in GENERIC | {"nccl", "oom_killer"})
    ]
    peers = [one for one in kept if one.grade is Grade.PEER]
    roots = [one for one in kept if one.grade <= Grade.ROOT]
    # Memory corrupted after a communicator was torn down is that one's echo.
    torn = bool(peers and roots) and all(
        one.cause == "segfault" and one.number > peers[0].number for one in roots
    )

    def place(one: Incident) -> int:
        if one.grade is Grade.PEER:
            return -1 if torn else 2
        killed = one.grade is Grade.ECHO and one.cause in ("oom_killer", "segfault")
        return 0 if one.grade <= Grade.ROOT else 1 if killed else 3

    return sorted(kept, key=place)
