"""What lines, messages and exceptions of a log tell: of a death, of its opposite, or of neither.

All that is known is the table ``signs.toml``: its causes, with the finding that each becomes, and its patterns.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import IntEnum
from importlib import resources
from typing import Any

Cause = str
"""A key of the table's ``cause``; or ``none``."""


class Grade(IntEnum):
    """How much a sign is the cause itself."""

    HARD = 0  # of the kernel or the scheduler: it stands even after a request to stop
    ROOT = 1
    PEER = 2  # another process may have died first
    ECHO = 3  # an exit code, a summary
    FAINT = 4  # caught, or in a helper's thread


@dataclass(frozen=True, slots=True)
class Sign:
    """A pattern, and what it means; no cause: what the message itself says. ``whole``: prefixes are part of it."""

    cause: Cause | None
    grade: Grade
    pattern: re.Pattern[str]
    whole: bool = False


def _any(patterns: list[str], flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    return re.compile("|".join(patterns), flags)


_TABLE: dict[str, Any] = tomllib.loads(
    (resources.files("argus_doctor.logs") / "signs.toml").read_text(encoding="utf-8")
)
SLUGS: dict[Cause, str] = _TABLE["cause"]
"""Cause → its entry in the catalogue."""
CAUSES: tuple[Cause, ...] = (*SLUGS, "none")
GENERIC = frozenset({"runtime_error", "traceback", "assertion"})
"""Causes that say little: a special one in the same chain, or a loss that had been no number, says more."""
QUIET_LEVELS = frozenset({"WARNING", "INFO", "DEBUG", "NOTICE"})
"""Of loggers: a run does not die of what is said there."""
SIGNS = tuple(
    Sign(one.get("cause"), Grade[one["grade"].upper()], _any(one["patterns"]), one.get("whole", False))
    for one in _TABLE["line"]
)
"""In order: the first that matches is what a line means."""
_MESSAGES = [(one["cause"], _any(one["patterns"], re.IGNORECASE)) for one in _TABLE["message"]]
_TALK = {kind: _any(patterns, re.IGNORECASE) for kind, patterns in _TABLE["talk"].items()}
_TALK |= {kind: _any(patterns) for kind, patterns in _TABLE["exact"].items()}
_CLASSES = {name: cause for cause, names in _TABLE["class"].items() for name in names}
_ALLOWED: dict[str, list[Cause]] = {one: [] for one in _TABLE["allowed"]["nothing"]} | _TABLE["allowed"]


def says(kind: str, text: str) -> bool:
    """Whether a text is talk of a kind: a key of the table's ``talk`` or ``exact``."""
    return _TALK[kind].search(text) is not None


def cause_of_exception(name: str, message: str) -> Cause:
    """What an exception is as a cause of death.

    Args:
        name: Its class, with or without modules; ``RayTaskError(OutOfMemoryError)`` is what is in the brackets.
        message: What it says.
    """
    inner = re.search(r"\((\w[\w.]*)\)$", name)
    short = (inner[1] if inner else name).rsplit(".", 1)[-1]
    if short == "OutOfMemoryError" and name.startswith("ray.") and inner is None:
        return "oom_killer"
    if short == "FileNotFoundError" and "shared object file" in message:
        return "missing_module"
    # What the message of a general class may make of it; of others, anything.
    allowed = _ALLOWED.get(short, CAUSES)
    by_message = cause_of_message(message) if allowed else None
    if by_message is not None and by_message in allowed:
        return by_message
    known = "runtime_error" if short.endswith("RuntimeError") else "traceback"
    return "nccl" if short.startswith("nccl") else _CLASSES.get(short, known)


def cause_of_message(message: str) -> Cause | None:
    """What a message is known to mean, whatever said it; ``None`` where it says nothing special."""
    return next((cause for cause, pattern in _MESSAGES if pattern.search(message)), None)
