"""Logging: a level for each module, files that rotate, and debug detail only when something crashed (L-001).

What is at or above its module's level goes to the terminal and to the log file. The last few thousand lines
of every level are kept in memory and reach the file only when :func:`write_crash_detail` is called: so the file
of a run of weeks stays small, and still tells what happened just before a crash.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

from argusvl.core.errors import ConfigError

ROOT = "argusvl"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_RING_LINES = 2000
_RING_LINE_CHARACTERS = 2000
_FILE_BYTES = 10_000_000
_FILE_BACKUPS = 3

_LINE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def get_logger(name: str) -> logging.Logger:
    """The logger of a module: ``get_logger(__name__)``."""
    return logging.getLogger(name if name == ROOT or name.startswith(f"{ROOT}.") else f"{ROOT}.{name}")


def parse_levels(text: str) -> tuple[str, dict[str, str]]:
    """``"info,training=debug"`` → ``("info", {"argusvl.training": "debug"})``.

    Raises:
        ConfigError: A level or the form is unknown.
    """
    level, per_module = "info", {}
    for part in text.split(","):
        module, separator, value = part.strip().rpartition("=")
        _level(value)
        if separator:
            per_module[get_logger(module).name] = value.lower()
        else:
            level = value.lower()
    return level, per_module


def configure_logging(
    level: str, per_module: Mapping[str, str] | None = None, file: str | Path | None = None
) -> None:
    """Sends our records to stderr, and to a rotating file where one is given.

    May be called again (the command line first, a run with its own file later): the handlers are replaced,
    the lines in memory are kept. Under a launcher, ranks other than 0 show only warnings and write
    ``<file>.rank<N>``.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        per_module: Levels of single modules (or packages) by name, with or without the leading ``argusvl.``.
        file: The log file; 10 MB, then rotated, three old ones are kept.

    Raises:
        ConfigError: A level is unknown, or the file cannot be opened.
    """
    levels = _Levels(_level(level), {get_logger(m).name: _level(v) for m, v in (per_module or {}).items()})
    rank = int(os.environ.get("RANK", "0"))
    terminal = _TerminalHandler()
    terminal.setLevel(logging.WARNING if rank > 0 else logging.NOTSET)
    handlers: list[logging.Handler] = [terminal]
    if file is not None:
        path = Path(file) if rank == 0 else Path(f"{file}.rank{rank}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(_FileHandler(path))
        except OSError as error:
            raise ConfigError(
                f"the log file cannot be opened: {error.strerror}",
                where=path,
                remedy="choose a folder that you may write to",
            ) from error

    root = logging.getLogger(ROOT)
    for handler in list(root.handlers):
        if isinstance(handler, _TerminalHandler | _FileHandler | _Ring):
            root.removeHandler(handler)
            if handler is not _RING:
                handler.close()
    for handler in handlers:
        handler.setFormatter(logging.Formatter(_LINE, datefmt="%Y-%m-%d %H:%M:%S"))
        handler.addFilter(levels)
        root.addHandler(handler)
    root.addHandler(_RING)
    root.setLevel(logging.DEBUG)  # everything reaches the ring; the handlers filter


def keep_libraries_in_log() -> None:
    """What libraries say, which tells a user nothing, goes where a crash's detail comes from.

    These are their warnings, and files that a thread of theirs cannot write: whoever waits for that thread, as for
    TensorBoard's, is told.
    """
    threading.excepthook = _thread_failed
    if not sys.warnoptions:  # by which somebody has asked for them
        logging.captureWarnings(True)
        logging.getLogger("py.warnings").addHandler(_RING)


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    if isinstance(failure.exc_value, OSError):
        get_logger(__name__).debug("a thread ended: %s", failure.exc_value)
    else:
        threading.__excepthook__(failure)


def write_crash_detail(error: BaseException) -> Path | None:
    """Writes the lines kept in memory and the traceback of ``error`` to the log file.

    Returns:
        The log file, or ``None`` where no file is configured.
    """
    for handler in logging.getLogger(ROOT).handlers:
        if isinstance(handler, _FileHandler):
            lines = ["---- crash: the last lines of every level ----", *_RING.lines]
            lines += traceback.format_exception(error)
            handler.write_lines([line.rstrip("\n") for line in lines])
            _RING.lines.clear()
            return Path(handler.baseFilename)
    return None


def _level(name: str) -> int:
    try:
        return LEVELS[name.lower()]
    except KeyError:
        raise ConfigError(
            f"unknown log level {name!r}", remedy=f"use one of {', '.join(LEVELS)}, e.g. info,training=debug"
        ) from None


class _Levels(logging.Filter):
    """Lets a record pass by the level of the nearest enclosing module that has one."""

    def __init__(self, default: int, per_module: Mapping[str, int]) -> None:
        super().__init__()
        self._default = default
        self._per_module = dict(per_module)

    def filter(self, record: logging.LogRecord) -> bool:
        name = record.name
        while name:
            if name in self._per_module:
                return record.levelno >= self._per_module[name]
            name = name.rpartition(".")[0]
        return record.levelno >= self._default


class _TerminalHandler(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is at that moment: a progress bar replaces it while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _FileHandler(RotatingFileHandler):
    """Rotates only in the process that opened the file; forked data workers just append."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=_FILE_BYTES, backupCount=_FILE_BACKUPS, encoding="utf-8")
        self._owner = os.getpid()

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - the parent's name
        return os.getpid() == self._owner and bool(super().shouldRollover(record))

    def write_lines(self, lines: list[str]) -> None:
        self.acquire()
        try:
            if self.stream is None:
                self.stream = self._open()
            self.stream.write("\n".join(lines) + "\n")
            self.flush()
        finally:
            self.release()


class _Ring(logging.Handler):
    """The last lines of every level, formatted at once: a kept record would keep its tensors alive."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=_RING_LINES)
        self.setFormatter(logging.Formatter(_LINE))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.lines.append(self.format(record)[:_RING_LINE_CHARACTERS])
        except Exception:  # noqa: BLE001 - logging's own convention: a failure to log never stops the program
            self.handleError(record)


_RING = _Ring()
os.register_at_fork(after_in_child=_RING.lines.clear)
