"""Python's tracebacks in a log: of several ranks at once, nested, chained, cut off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from argus_doctor.logs.exceptions import cause_of_exception
from argus_doctor.logs.lines import Line
from argus_doctor.logs.metrics_in_text import printed_in
from argus_doctor.logs.signs import CAUGHT, GENERIC

_START = "Traceback (most recent call last)"
_CHAIN = re.compile(
    r"During handling of the above exception, another|The above exception was the direct cause of the"
)
_NAME = r"(?:[A-Za-z_][\w]*\.)*[A-Z_]\w*(?:\([\w.]+\))?"
_RAISED = re.compile(rf"(?P<name>{_NAME})(?:: ?(?P<message>.*))?$")
_LIKELY = re.compile(
    r"(?P<name>(?:[A-Za-z_][\w]*\.)*\w*(?:Error|Exception|Interrupt|Failure"
    r"|OutOfMemory)(?:\([\w.]+\))?): ?(?P<message>.*)$"
)
_LOWER = re.compile(r"(?P<name>[a-z_][\w]*(?:\.[a-z_]\w*)+|socket\.timeout)(?:: (?P<message>.*))?$")
_WRAPPER = re.compile(
    r"Caught (\w+) in (?:DataLoader worker|replica|pin memory)|-- Process \d+ terminated with the following"
)
_ECHO = re.compile(
    r"ChildFailedError|CalledProcessError|SystemExit|ProcessExitedException|ProcessRaisedException"
    r"|BrokenProcessPool|EOFError$"
    r"|BrokenPipeError|ConnectionResetError|ConnectionRefusedError|ActorDiedError|RayActorError"
    r"|WorkerCrashedError|queue\.Empty|^Empty$"
    r"|TrainingFailedError|CancelledError|^SignalException"
)
_ECHO_MESSAGE = re.compile(
    r"exited unexpectedly|terminated abruptly|non-zero exit status|died with <Signals|one or more "
    r"(ranks|workers)|actor died"
)
_INTERRUPT = re.compile(r"(KeyboardInterrupt|SignalException|SIGTERMException|Preempted\w*|JobCancelled\w*)$")
_FAINT_START = re.compile(
    r"Exception ignored in|Exception in thread|--- Logging error ---|Error in atexit|never retrieved"
    r"|Error in sys\.excepthook"
)
_QUIET = re.compile(r"Exception ignored in|--- Logging error ---|Error in atexit|never retrieved")
_BODY = re.compile(r"\s+\S|\s*$|[│╭╰┃|]|\[Previous line|\.\.\.|~|\^")
_MOST_LINES = 3000


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception that a log shows.

    Attributes:
        name: Its class.
        message: Its first line.
        number: Where it stands.
        text: The line.
        echo: It tells of another process's death.
        caught: Whoever logged it went on, by the words around it.
        faint: It was raised in a thread beside, or while tidying up.
        interrupt: Somebody asked the run to stop.
    """

    name: str
    message: str
    number: int
    text: str
    echo: bool = False
    caught: bool = False
    faint: bool = False
    interrupt: bool = False


@dataclass(slots=True)
class _Open:
    """A traceback that has begun and not ended, or that another may follow in its chain."""

    lines: int = 0
    number: int = 0
    reading: bool = True
    caught: bool = False
    faint: bool = False
    chain: list[Raised] = field(default_factory=list)
    idle: int = 0


class Tracebacks:
    """Turns lines into exceptions; of a chain, into its cause.

    Attributes:
        took: The last line was part of a traceback, or of an exception's message.
        glued: A traceback began in the middle of a line: standard output was held back, and comes after it.
    """

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._before: dict[str, Line] = {}
        self.glued = False
        self.took = False

    def feed(self, line: Line) -> list[Raised]:
        """Takes a line; gives what ended with it."""
        ended: list[Raised] = []
        self.took = True
        one = self._open.get(line.rank)
        at = line.body.find(_START)
        if at >= 4 and line.body.startswith("C++ ", at - 4):
            at = -1  # Paddle's native stack: what it died of stands below, in words
        if at >= 0:
            ended += self._begin(line, at, one)
        elif one is None:
            if found := self._bare(line):
                ended.append(found)
            self.took = found is not None
        elif one.reading:
            ended += self._read(line, one)
        elif _CHAIN.search(line.body):
            one.idle = -4  # the next traceback belongs to it
        elif line.body.strip():
            one.idle += 1
            if one.idle > 0 and not self._continues(line, one):
                ended += self._close(line.rank)
                if found := self._bare(line):
                    ended.append(found)
                self.took = found is not None
        if line.body.strip():
            self._before[line.rank] = line
        return ended

    def settle(self) -> list[Raised]:
        """What has ended, but for more of its message or of its chain."""
        done = [rank for rank, one in self._open.items() if not one.reading and one.idle >= 0]
        return [raised for rank in done for raised in self._close(rank)]

    def finish(self) -> list[Raised]:
        """What was still open when the log ended."""
        ended: list[Raised] = []
        for rank, one in list(self._open.items()):
            if one.reading and one.lines > 0 and not one.chain:
                one.chain.append(
                    Raised("", "", one.number, "Traceback, cut off", caught=one.caught, faint=one.faint)
                )
            ended += self._close(rank)
        return ended

    def _begin(self, line: Line, at: int, one: _Open | None) -> Iterator[Raised]:
        before = self._before.get(line.rank)
        ended: list[Raised] = []
        if one is not None and (one.idle < 0 or one.reading):
            one.reading, one.lines, one.idle = True, 0, 0
            return iter(())
        if one is not None:
            ended = self._close(line.rank)
        head = line.body[:at].strip(" │╭─┃+|-\"'")
        # A worker's traceback stands within another's, and a logger may write one behind its message.
        if head and not re.search(r"Original|Remote|[:\]>-]$|\b(rror|xception)\b", head) and not line.level:
            self.glued = self.glued or bool(re.search(r"[\w.]$", head))
        if before is not None and (before.number < line.number - 2 or printed_in(before.body) is not None):
            before = None  # a loop's line has nothing to do with it
        said = " ".join(text.body for text in (before, line) if text is not None)
        quiet = _QUIET.search(said)
        warned = line.level in ("WARNING", "INFO", "DEBUG") or (
            before is not None and before.level == "WARNING"
        )
        caught = bool(quiet) or warned or bool(CAUGHT.search(said))
        self._open[line.rank] = _Open(
            number=line.number, caught=caught, faint=bool(_FAINT_START.search(said))
        )
        if quiet:
            self._open[line.rank].lines = -1  # it says nothing of the run
        return iter(ended)

    def _read(self, line: Line, one: _Open) -> Iterator[Raised]:
        if one.lines >= 0:
            one.lines += 1
        body = line.body
        if _BODY.match(body):
            return iter(self._close(line.rank) if one.lines > _MOST_LINES else ())
        found = _RAISED.match(body) or _LIKELY.match(body) or _LOWER.match(body)
        if found is None:
            return iter(())
        name, message = found["name"], found["message"] or ""
        if _WRAPPER.search(message) or (name.endswith("ProcessRaisedException")):
            one.reading, one.idle = True, 0
            return iter(())
        if one.lines == -1:
            del self._open[line.rank]
            return iter(())
        one.chain.append(_raised(name, message, line, one))
        one.reading, one.idle = False, 0
        return iter(())

    def _continues(self, line: Line, one: _Open) -> bool:
        """Whether a line after an exception's first still belongs to its message."""
        last = one.chain[-1]
        if one.idle > 40 or not last.name:
            return False
        # Messages of several lines: PyTorch's advice after a CUDA error, NCCL's last error.
        if re.match(
            r"\s|For debugging|Compile with|CUDA kernel errors|Last error|nccl[A-Z]\w+|Cuda failure"
            r"|Exception "
            r"raised from|frame #",
            line.body,
        ):
            more = line.body.strip()
            if len(last.message) < 600:
                one.chain[-1] = replace(last, message=f"{last.message} {more}")
            return True
        if (
            (not last.message or last.message.endswith(":"))
            and not last.echo
            and not line.level
            and one.idle < 3
        ):
            one.chain[-1] = replace(last, message=f"{last.message} {line.body.strip()}".strip())
            return True
        return False

    def _close(self, rank: str) -> list[Raised]:
        one = self._open.pop(rank)
        if not one.chain or one.lines == -1:
            return []
        if one.chain[-1].interrupt:
            return [one.chain[-1]]
        telling = [r for r in one.chain if not r.echo and not r.interrupt] or one.chain[-1:]
        special = [r for r in telling if cause_of_exception(r.name, r.message) not in GENERIC]
        return [(special or telling)[0]]

    def _bare(self, line: Line) -> Raised | None:
        """An exception without its traceback, as of a log that was cut or a program that prints ``repr(error)``."""
        if line.level in ("WARNING", "INFO", "DEBUG", "NOTICE"):
            return None
        found = _LIKELY.match(line.body)
        if found is None or _WRAPPER.search(found["message"]):
            return None
        caught = bool(CAUGHT.search(line.body))
        return _raised(found["name"], found["message"], line, _Open(caught=caught))


def _raised(name: str, message: str, line: Line, one: _Open) -> Raised:
    return Raised(
        name,
        message[:2000],
        line.number,
        line.raw,
        echo=bool(_ECHO.search(name) or _ECHO_MESSAGE.search(message)),
        caught=one.caught,
        faint=one.faint,
        interrupt=bool(_INTERRUPT.search(name)),
    )
