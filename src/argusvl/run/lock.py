"""One run, one folder: a lock that a process holds as long as it lives."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from argusvl.core.errors import ConfigError
from argusvl.core.files import cannot_write, lock_file, read_bytes
from argusvl.run.layout import CONFIG_FILE, ENVIRONMENT_FILE, EVENTS_FILE, LOG_FILE, TRAINER_STATE

LOCK_FILE = "run.lock"

_held: dict[Path, int] = {}
"""Folders that this process owns, with the descriptors of their lock files."""


def _close_in_child() -> None:
    """A data worker that outlives a killed run must not hold its folder."""
    for descriptor in _held.values():
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


def refuse_foreign(folder: Path) -> None:
    """Refuses a folder in which a run would write over files that no run has written.

    Raises:
        ConfigError: It holds such a file, or a configuration with comments, which somebody has written by hand.
    """
    names = (CONFIG_FILE, ENVIRONMENT_FILE, EVENTS_FILE, LOG_FILE)
    is_run = (folder / LOCK_FILE).exists() or any(folder.glob(f"checkpoint-*/{TRAINER_STATE}"))
    there = [] if is_run else [name for name in names if os.path.lexists(folder / name)]
    if not there and (folder / CONFIG_FILE).is_file():
        lines = read_bytes(folder / CONFIG_FILE).splitlines()
        there = [CONFIG_FILE] if any(line.lstrip().startswith(b"#") for line in lines) else []
    if there:
        raise ConfigError(
            f"{folder / there[0]} is of no run, and this one would write over it",
            where="output_dir",
            remedy="set it to a folder of the run's own, e.g. "
            f"output_dir={folder / 'run'}, or move that file away; nothing was changed",
        )


def is_moved(folder: Path) -> bool:
    """Whether a folder that this process owns has another name now; one that was removed can be made again."""
    descriptor = _held.get(folder.resolve())
    if descriptor is None or os.fstat(descriptor).st_nlink == 0:
        return False
    try:
        return not os.path.samestat((folder / LOCK_FILE).stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return True
    except OSError:  # a file system that does not answer just now
        return False


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """In the body this process owns the run's folder. Nested calls in one process are one ownership.

    Raises:
        ConfigError: Another process trains there; nothing was touched.
        ArgusError: The folder cannot be written to.
    """
    key = folder.resolve()
    if key in _held:
        yield
        return
    path = folder / LOCK_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        if not lock_file(descriptor):
            raise ConfigError(
                f"another run is training in {folder}",
                where="output_dir",
                remedy="wait for it, stop it, or set another output_dir; nothing was changed",
            )
        _held[key] = descriptor
        yield
    finally:
        _held.pop(key, None)
        with contextlib.suppress(OSError):  # closed already, in a process that was forked in the body
            os.close(descriptor)
