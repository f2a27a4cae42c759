"""Python's tracebacks in a log: of several ranks at once, nested, chained, cut off."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from argus_doctor.logs.lines import Line
from argus_doctor.logs.metrics_in_text import printed_in
from argus_doctor.logs.signs import GENERIC, QUIET_LEVELS, Cause, Grade, cause_of_exception, says

_START = "Traceback (most recent call last)"
_CLASS = re.compile(
    r"(?P<name>(?:[A-Za-z_][\w]*\.)*[A-Z_]\w*(?:\([\w.]+\))?)(?:: ?(?P<message>.*))?$"
    r"|(?P<low>[a-z_][\w]*(?:\.[a-z_]\w*)+|socket\.timeout)(?:: (?P<said>.*))?$"
)
_BARE = re.compile(
    r"(?P<name>(?:[A-Za-z_][\w]*\.)*\w*(?:Error|Exception|Interrupt|Failure|OutOfMemory)(?:\([\w.]+\))?)"
    r": ?(?P<message>.*)$"
)
_BODY = re.compile(r"\s+\S|\s*$|[│╭╰┃|]|\[Previous line|\.\.\.|~|\^")
_MOST_LINES = 3000
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception that a log shows.

    Attributes:
        name: Its class.
        message: Its first line.
        number: Where it stands.
        text: The line.
        caught: Whoever logged it went on, by the words around it.
        faint: It was raised in a thread beside, or while tidying up.
    """

    name: str
    message: str
    number: int
    text: str
    caught: bool = False
    faint: bool = False

    @property
    def cause(self) -> Cause:
        """What it says."""
        return cause_of_exception(self.name, self.message)

    @property
    def echo(self) -> bool:
        """Whether it tells of another process's death."""
        return says("echo", self.name) or says("echo_message", self.message)

    @property
    def interrupt(self) -> bool:
        """Whether somebody asked the run to stop."""
        return says("interrupt", self.name)

    @property
    def grade(self) -> Grade:
        """How much it is a cause."""
        if self.caught:  # by its own words; where the run ends with it, it is all there is
            return Grade.FAINT
        if self.echo:
            return Grade.ECHO
        return Grade.PEER if self.cause == "nccl" else Grade.FAINT if self.faint else Grade.ROOT


@dataclass(slots=True)
class _Open:
    """A traceback that has begun and not ended, or that another may follow in its chain; a quiet one is of no run."""

    number: int
    caught: bool
    faint: bool
    quiet: bool
    lines: int = 0
    reading: bool = True
    idle: int = 0
    chain: list[Raised] = field(default_factory=list)


class Tracebacks:
    """Turns lines into exceptions; of a chain, into its cause.

    Attributes:
        took: The last line was part of a traceback, or of an exception's message.
        glued: A traceback began in the middle of a line: standard output was held back, and comes after it.
    """

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._before: dict[str, Line] = {}
        self.glued = self.took = False

    def feed(self, line: Line) -> list[Raised]:
        """Takes a line; gives what ended with it."""
        ended: list[Raised] = []
        self.took = True
        one, body = self._open.get(line.rank), line.body
        at = body.find(_START)
        # Paddle's native stack says in words what it died of.
        if at >= 0 and body[max(at - 4, 0) : at] != "C++ ":
            ended = self._begin(line, at, one)
        elif one is not None and one.reading:
            ended = self._read(line, one)
        elif one is not None and says("chain", body):
            one.idle = -4  # the next traceback belongs to it
        elif one is None or (body.strip() and not self._continues(line, one)):
            bare = self._bare(line)
            ended = [*self._close(line.rank), *bare]
            self.took = bool(bare)
        if body.strip():
            self._before[line.rank] = line
        return ended

    def settle(self) -> list[Raised]:
        """What has ended, but for more of its message or of its chain."""
        done = [rank for rank, one in self._open.items() if not one.reading and one.idle >= 0]
        return [raised for rank in done for raised in self._close(rank)]

    def finish(self) -> list[Raised]:
        """What was still open when the log ended."""
        for one in self._open.values():
            if one.reading and one.lines > 0 and not one.chain:
                one.chain = [Raised("", "", one.number, "Traceback, cut off", one.caught, one.faint)]
        return [raised for rank in list(self._open) for raised in self._close(rank)]

    def _begin(self, line: Line, at: int, one: _Open | None) -> list[Raised]:
        if one is not None and (one.idle < 0 or one.reading):
            one.reading, one.quiet, one.lines, one.idle = True, False, 0, 0
            return []
        ended = self._close(line.rank)
        head = line.body[:at].strip(" │╭─┃+|-\"'")
        # A worker's traceback stands within another's, and a logger may write one behind its message.
        if not line.level and not re.search(r"Original|Remote|[:\]>-]$|\b(rror|xception)\b", head):
            self.glued |= bool(re.search(r"[\w.]$", head))
        before = self._before.get(line.rank)
        if before is not None and (before.number < line.number - 2 or printed_in(before.body) is not None):
            before = None  # a loop's line has nothing to do with it
        said = " ".join(text.body for text in (before, line) if text is not None)
        quiet = says("quiet", said)
        warned = line.level in QUIET_LEVELS or (before is not None and before.level == "WARNING")
        caught = quiet or warned or says("caught", said)
        self._open[line.rank] = _Open(line.number, caught, quiet or says("faint", said), quiet)
        return ended

    def _read(self, line: Line, one: _Open) -> list[Raised]:
        one.lines += 1
        if _BODY.match(line.body):
            return self._close(line.rank) if one.lines > _MOST_LINES else []
        found = _CLASS.match(line.body) or _BARE.match(line.body)
        if found is None:
            return []
        groups = found.groupdict("")
        name = groups["name"] or groups["low"]
        message = groups["message"] or groups.get("said", "")
        if says("wrapper", message) or name.endswith("ProcessRaisedException"):
            return []  # the traceback that it wraps goes on
        if one.quiet:
            del self._open[line.rank]
        else:
            one.chain.append(_raised(name, message, line, one.caught, one.faint))
            one.reading, one.idle = False, 0
        return []

    def _continues(self, line: Line, one: _Open) -> bool:
        """Whether a line after an exception's first still belongs to its message, or waits for its chain."""
        one.idle += 1
        if one.idle <= 0:
            return True
        last, more = one.chain[-1], line.body.strip()
        if one.idle > 40 or not last.name:
            return False
        unsaid = not last.message or last.message.endswith(":")
        if not says("more", line.body) and (not unsaid or last.echo or line.level or one.idle >= 3):
            return False
        if len(last.message) < 600:
            one.chain[-1] = replace(last, message=f"{last.message} {more}".strip())
        return True

    def _close(self, rank: str) -> list[Raised]:
        one = self._open.pop(rank, None)
        if one is None or not one.chain or one.quiet:
            return []
        if one.chain[-1].interrupt:
            return [one.chain[-1]]
        telling = [r for r in one.chain if not r.echo and not r.interrupt] or one.chain[-1:]
        return [next((r for r in telling if r.cause not in GENERIC), telling[0])]

    def _bare(self, line: Line) -> list[Raised]:
        """An exception without its traceback, as of a log that was cut or a program that prints ``repr(error)``."""
        found = None if line.level in QUIET_LEVELS else _BARE.match(line.body)
        if found is None or says("wrapper", found["message"]):
            return []
        return [_raised(found["name"], found["message"], line, caught=says("caught", line.body))]


def _raised(name: str, message: str, line: Line, caught: bool, faint: bool = False) -> Raised:
    return Raised(name, message[:_LONGEST], line.number, line.raw, caught, faint)
