"""Why did a run die? Its lines are read once; what looks like a death is forgotten where the run went on or ended well.

An exception that is logged and survived, the time-out of a rank whose neighbour ran out of memory, the launcher's
summary: in the text they look alike. So each sign gets a grade, and the verdict is the first of the best grade after
the run's last sign of life.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from argus_doctor.logs.exceptions import cause_of_exception, cause_of_message
from argus_doctor.logs.lines import Line, parse_line
from argus_doctor.logs.metrics_in_text import Printed
from argus_doctor.logs.signs import (
    CAUGHT,
    ENDED,
    FAREWELL,
    GENERIC,
    INTERRUPTED,
    LAUNCHER,
    RESTARTED,
    SIGNS,
    TIME_LIMIT,
    TROUBLE,
    Cause,
    Grade,
)
from argus_doctor.logs.tracebacks import Raised, Tracebacks

_BUFFER = 8192
"""Bytes that Python's standard output holds back; at the end they come after the traceback on standard error."""
_MOST = 2000
_LAST_WORDS = 3
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
        late: It came after the run had been asked to stop.
        number: Its line.
        raised: It is an exception's, by its traceback.
    """

    cause: Cause
    grade: Grade
    where: str
    text: str
    late: bool = False
    number: int = 0
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
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._tracebacks = Tracebacks()
        self._incidents: list[Incident] = []
        self._before_restart: list[Incident] = []
        self._last: dict[str, float] = {}
        self._forward = 0.0
        self._ranks: set[str] = set()
        self._glued = False
        self._quiet = True  # nothing but an error so far
        self._after = 0
        self._number = 0
        self._harmless: set[str] = set()
        self._interrupted_at = math.inf
        self._interruption: Incident | None = None
        self.ending = Ending.UNKNOWN

    def feed(self, line: Line, printed: Printed | None) -> bool:
        """Takes a line, and what it tells of training; whether it is one of the run's own, outside tracebacks."""
        self._number = line.number
        if line.rank:
            self._ranks.add(line.rank)
        if self._incidents:
            self._after += len(line.raw) + 1
        raised = self._tracebacks.feed(line)
        for one in raised:
            self._add_raised(one)
        if self._tracebacks.glued:
            self._glued = True
        if self._tracebacks.took:
            return False
        if self._look(line):
            return True
        if printed is not None:
            self._progress(printed)
        elif line.number > 5 and not self._incidents:
            self._quiet = False
        return True

    def alive(self, step: float | None) -> None:
        """Notes that something was logged."""
        self._progress(Printed(position={} if step is None else {"step": step}))

    def finish(self) -> list[Incident]:
        """What may have killed it, best first; nothing where it did not die."""
        for one in self._tracebacks.finish():
            self._add_raised(one)
        left = self._incidents or self._before_restart
        # What was caught, by the words around it, killed nothing, unless it was the last that was said.
        kept = [one for one in left if one.grade < Grade.FAINT or one.number >= self._number - _LAST_WORDS]
        found = ranked(sorted(kept, key=lambda one: one.number))
        if not found and self.ending is Ending.INTERRUPTED and self._interruption is not None:
            return [self._interruption]
        return found

    def _add_raised(self, one: Raised) -> None:
        if one.interrupt:
            self._interrupt(one.number, one.text)
            return
        if one.caught:  # by its own words; where the run ends with it, it is all there is
            grade = Grade.FAINT
        elif one.echo:
            grade = Grade.ECHO
        else:
            cause = cause_of_exception(one.name, one.message)
            grade = Grade.PEER if cause == "nccl" else Grade.FAINT if one.faint else Grade.ROOT
        cause = cause_of_exception(one.name, one.message)
        self._add(cause, grade, one.number, one.text, raised=True)

    def _look(self, line: Line) -> bool:
        """Whether a line tells of a death, of its opposite, or is somebody else's talk."""
        text, raw = line.body[:_MOST], line.raw[:_MOST]
        shape = raw.translate(_DIGITS)
        if shape in self._harmless:
            return False
        low = raw.lower()
        ended = any(word in low for word in FAREWELL) and ENDED.search(text) is not None
        if not TROUBLE.search(low):
            if ended:
                return self._end()
            if len(self._harmless) < _MOST_SHAPES:
                self._harmless.add(shape)
            return False
        if LAUNCHER.search(raw):
            return True
        if RESTARTED.search(text):
            return self._restart()
        if INTERRUPTED.search(raw):
            return self._interrupt(line.number, line.raw)
        if line.level in ("WARNING", "INFO", "DEBUG", "NOTICE"):
            return self._end() if ended else False
        for sign in SIGNS:
            if sign.pattern.search(raw if sign.whole else text):
                caught = CAUGHT.search(text) and sign.grade is not Grade.HARD
                cause = sign.cause or cause_of_message(text)
                if cause is not None:
                    self._settle()
                    self._add(cause, Grade.FAINT if caught else sign.grade, line.number, line.raw)
                return cause is not None
        if ended:
            return self._end()
        if line.level in ("ERROR", "CRITICAL", "FATAL", "SEVERE"):
            cause = cause_of_message(text)
            if cause is not None and not CAUGHT.search(text):
                self._add(cause, Grade.PEER if cause == "nccl" else Grade.ROOT, line.number, line.raw)
            return cause is not None
        return False

    def _add(self, cause: Cause, grade: Grade, number: int, text: str, raised: bool = False) -> None:
        late = self._interrupted_at < number
        # Once it has ended well, processes lose each other as they leave.
        if self.ending is Ending.ENDED and grade >= Grade.PEER:
            return
        if len(self._incidents) < 200:
            where = f"{self._file}:{number}"
            self._incidents.append(Incident(cause, grade, where, text.strip(), late, number, raised))
        self._forward = 0.0

    def _progress(self, printed: Printed) -> None:
        self._settle()
        moved = False
        if not self._incidents:
            self._quiet = False
        for unit, value in (printed.position or {"entry": self._last.get("entry", 0.0) + 1}).items():
            last = self._last.get(unit, math.inf)
            moved |= value > last
            self._last[unit] = value
        if not moved:
            return
        if self.ending is Ending.INTERRUPTED and not self._incidents:
            self.ending, self._interrupted_at = Ending.UNKNOWN, math.inf
        self._before_restart.clear()
        if not self._incidents:
            return
        # A bar is drawn once more when it is closed.
        self._forward += 0.5 if printed.bar else 1.0
        needed = 3.0 if len(self._ranks) > 1 or any(i.cause == "nccl" for i in self._incidents) else 1.0
        raised = any(one.raised and one.grade is not Grade.FAINT for one in self._incidents)
        buffered = raised and (self._glued or (self._quiet and self._after < _BUFFER))
        if self._forward >= needed and not buffered:
            self._incidents.clear()
            self.ending = Ending.UNKNOWN
            self._after = 0

    def _settle(self) -> None:
        """Notes tracebacks that only wait for more of a message: what comes now came after them."""
        for one in self._tracebacks.settle():
            self._add_raised(one)

    def _restart(self) -> bool:
        self._settle()
        self._before_restart = self._before_restart or self._incidents
        self._incidents = []
        self._last.clear()
        self._forward, self._after = 0.0, 0
        self.ending = Ending.UNKNOWN
        return True

    def _end(self) -> bool:
        self._settle()
        self._incidents.clear()
        self._before_restart.clear()
        self.ending = Ending.ENDED
        return True

    def _interrupt(self, number: int, text: str) -> bool:
        self._settle()
        if not any(one.grade < Grade.ECHO for one in self._incidents):
            if self.ending is not Ending.INTERRUPTED:
                cause: Cause = "timeout" if TIME_LIMIT.search(text) else "interrupted"
                where = f"{self._file}:{number}"
                self._interruption = Incident(cause, Grade.ECHO, where, text.strip(), number=number)
            self.ending = Ending.INTERRUPTED
            self._interrupted_at = self._number
        return True


def incident_in(text: str, where: str) -> Incident:
    """The incident that a text of few words tells of: why a run stopped, or its exit code."""
    deaths = DeathReader(where)
    deaths.feed(parse_line(1, text), None)
    found = deaths.finish()
    cause: Cause = found[0].cause if found else (cause_of_message(text) or "traceback")
    return Incident(cause, found[0].grade if found else Grade.ROOT, where, text)


def ranked(incidents: list[Incident]) -> list[Incident]:
    """Best first: what is a cause before its echoes, and of one grade the first."""
    kept = [
        one
        for one in incidents
        if not one.late
        or one.grade is Grade.HARD
        or (one.grade is Grade.ROOT and one.cause not in GENERIC and one.cause not in ("nccl", "oom_killer"))
    ]
    roots = [one for one in kept if one.grade <= Grade.ROOT]
    killed = [one for one in kept if one.grade is Grade.ECHO and one.cause in ("oom_killer", "segfault")]
    peers = [one for one in kept if one.grade is Grade.PEER]
    rest = [one for one in kept if one not in roots and one not in killed and one not in peers]
    # Memory corrupted after a communicator was torn down is that one's echo.
    if peers and roots and all(one.cause == "segfault" and one.number > peers[0].number for one in roots):
        return [*peers, *roots, *rest]
    return [*roots, *killed, *peers, *rest]
