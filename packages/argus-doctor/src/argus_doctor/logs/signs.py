"""What lines of a log tell: of a death, of its opposite, or of neither. The patterns are the table ``signs.toml``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from importlib import resources
from typing import Any, Literal, get_args

Cause = Literal[
    "cuda_oom",
    "host_oom",
    "oom_killer",
    "nccl",
    "cuda_runtime",
    "device_mismatch",
    "nan_loss",
    "segfault",
    "missing_module",
    "file_not_found",
    "permission",
    "assertion",
    "div_zero",
    "timeout",
    "interrupted",
    "runtime_error",
    "traceback",
    "none",
]
CAUSES: tuple[Cause, ...] = get_args(Cause)

GENERIC: frozenset[Cause] = frozenset({"runtime_error", "traceback", "assertion"})
"""Causes that say little: a special one in the same chain, or a loss that had been no number, says more."""


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


def _any(patterns: Iterable[str], flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    return re.compile("|".join(patterns), flags)


_TABLE: dict[str, Any] = tomllib.loads(
    (resources.files("argus_doctor.logs") / "signs.toml").read_text(encoding="utf-8")
)
_OTHER: dict[str, list[str]] = _TABLE["other"]

SIGNS: tuple[Sign, ...] = tuple(
    Sign(one.get("cause"), Grade[one["grade"].upper()], _any(one["patterns"]), one.get("whole", False))
    for one in _TABLE["line"]
)
"""In order: the first that matches is what a line means."""
MESSAGES: tuple[tuple[Cause, re.Pattern[str]], ...] = tuple(
    (one["cause"], _any(one["patterns"], re.IGNORECASE)) for one in _TABLE["message"]
)
"""The same of messages, whatever said them."""
CLASSES: dict[str, Cause] = _TABLE["class"]
"""Exception → what it means where its message says nothing special."""

LAUNCHER = _any(_OTHER["launcher"])
"""What launchers and libraries say beside it."""
RESTARTED = _any(_OTHER["restarted"], re.IGNORECASE)
INTERRUPTED = _any(_OTHER["interrupted"], re.IGNORECASE)
TIME_LIMIT = _any(_OTHER["time_limit"], re.IGNORECASE)
"""Of what interrupts a run: its time was up."""
ENDED = _any(_OTHER["ended"], re.IGNORECASE)

TROUBLE = re.compile(
    r"error|fail|kill|fault|abort|fatal|signal|exit|nan\b|\binf\b|finit|memory|oom|nccl|died|terminat|interrupt|cancel"
    r"|preempt|restart|resum|requeue|sig[kistbu]|dumped|xid|assert|no module|not found|denied|no such|exception"
    r"|invalid|instruction|evict|watchdog|what\(\)|free\(\)|alloc|corrupt|attempt|smash|exhausted|crash|time limit"
    r"|graceful|double free"
)
"""Small letters of which every line below has some; most lines of a log have none."""

CAUGHT = re.compile(
    r"\b(skip(ping|ped)?|ignor(ing|ed)|retry(ing)?|continu(e|ing)|fall(ing)?[ -]?back|recover(ed"
    r"|ing)?|roll(ed|ing)? back"
    r"|caught|trying \d+|will be (ignored|skipped)|disabl(ed|ing)|non-?fatal|attempt(ing)? loss scale"
    r"|reduc(ing"
    r"|ed)( the)? (loss scale|batch))\b",
    re.IGNORECASE,
)

FAREWELL = ("train", "finish", "done", "complet", "stop", "exit", "max_", "final", "epochs")
"""The same of the lines that say that a run ended well."""
