"""What the options common to all verbs say, for the verbs that need it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from argusvl.core.logging import configure_logging, parse_levels


@dataclass(frozen=True, slots=True)
class Session:
    """The common options of one call of ``argus``.

    Attributes:
        log_level: As given by ``--log-level``; ``None`` where it was not.
    """

    debug: bool = False
    log_level: str | None = None

    def words(self) -> list[str]:
        """The options as they are written, for a further call of ``argus``."""
        level = [] if self.log_level is None else ["--log-level", self.log_level]
        return [*(["--debug"] if self.debug else []), *level]


_SESSION: ContextVar[Session] = ContextVar("argus_session")


@contextlib.contextmanager
def use_session(session: Session) -> Iterator[None]:
    """Makes a session the current one within the block."""
    token = _SESSION.set(session)
    try:
        yield
    finally:
        _SESSION.reset(token)


def current_session() -> Session:
    """The session of this call; one without options outside of the command line."""
    return _SESSION.get(Session())


def start_run_log(log_level: str, file: str | Path) -> None:
    """Logs a run to the terminal and to its own rotating file; ``--log-level`` wins over the configuration's level.

    Raises:
        ConfigError: The level is unknown, or the file cannot be opened.
    """
    level, per_module = parse_levels(current_session().log_level or log_level)
    configure_logging(level, per_module, file)
