"""Writing so that an interruption loses nothing: a reader sees the old content or the new, never a part.

What is written goes to a temporary name in the same folder, reaches the disk, and is renamed over the
target. When anything fails before the rename (a full disk, Ctrl-C, an error in the caller's code), the target
is as it was.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from argusvl.core.errors import ArgusError


def write_text_atomically(path: str | Path, text: str) -> None:
    """Writes UTF-8 text; parent folders are made.

    Raises:
        ArgusError: The file cannot be written (full disk, no permission); what was there is unchanged.
    """
    write_bytes_atomically(path, text.encode("utf-8"))


def write_bytes_atomically(path: str | Path, data: bytes) -> None:
    """Writes bytes; parent folders are made.

    Raises:
        ArgusError: The file cannot be written (full disk, no permission); what was there is unchanged.
    """
    target = Path(path)
    temporary: str | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(
            _ordinary_mode(0o666)
        )  # mkstemp gives 0600, which would hide the file from others
        Path(temporary).replace(target)
        _sync_folder(target.parent)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _cannot_write(target, error) from error
        raise


@contextlib.contextmanager
def atomic_text_file(path: str | Path) -> Iterator[TextIO]:
    """A UTF-8 text file that appears under its name complete, or not at all; for text too long for memory.

    Yields a stream to write to. When the body fails, what was there is unchanged.

    Raises:
        ArgusError: The file cannot be written (full disk, no permission); what was there is unchanged.
    """
    target = Path(path)
    temporary: str | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(_ordinary_mode(0o666))
        Path(temporary).replace(target)
        _sync_folder(target.parent)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _cannot_write(target, error) from error
        raise


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A folder that appears under its name complete, or not at all.

    Yields a temporary sibling to fill. At the end its files are brought to the disk and it is renamed onto
    ``path``; a folder that is already there is replaced only then. When the body fails, the temporary folder
    is removed and ``path`` is as it was.

    Args:
        path: The folder to make or replace.

    Raises:
        ArgusError: The folder cannot be written (full disk, no permission); what was there is unchanged.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        temporary.chmod(_ordinary_mode(0o777))
    except OSError as error:
        raise _cannot_write(target, error) from error
    try:
        yield temporary
        _sync_tree(temporary)
        _put_in_place(temporary, target)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise _cannot_write(target, error) from error
        raise


def _put_in_place(new: Path, target: Path) -> None:
    """Gives ``new`` the name ``target``; what stood there is removed afterwards."""
    if not target.exists():
        new.rename(target)
    elif _exchange(new, target):
        shutil.rmtree(new, ignore_errors=True)  # the old folder, under the temporary name now
    else:
        # A folder that is not empty cannot be renamed over. Between these two renames the target's name is
        # missing, but both folders are whole on the disk, the old one inside `.<name>.….old`.
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
        target.rename(aside / target.name)
        try:
            new.rename(target)
        except BaseException:
            (aside / target.name).rename(target)
            aside.rmdir()
            raise
        shutil.rmtree(aside, ignore_errors=True)
    _sync_folder(target.parent)


def _exchange(first: Path, second: Path) -> bool:
    """Swaps two names in one step; ``False`` where the system or the file system has no such call."""
    if not sys.platform.startswith("linux"):
        return False
    current_folder, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of renameat2(2)
    try:
        rename = ctypes.CDLL(None).renameat2
    except AttributeError:
        return False
    done = rename(current_folder, os.fsencode(first), current_folder, os.fsencode(second), exchange)
    return bool(done == 0)


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            entry = Path(root) / name
            if entry.is_file() and not entry.is_symlink():
                with entry.open("rb") as stream:
                    os.fsync(stream.fileno())
        _sync_folder(Path(root))


def _sync_folder(folder: Path) -> None:
    """Brings a folder's entries to the disk, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems refuse fsync of a folder; the rename itself is still atomic there.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def _ordinary_mode(mode: int) -> int:
    """The mode that a plain ``open`` or ``mkdir`` would have given."""
    mask = os.umask(0)
    os.umask(mask)
    return mode & ~mask


def _cannot_write(target: Path, error: OSError) -> ArgusError:
    remedies = {
        errno.ENOSPC: "free space on the disk or write elsewhere; what was there before is unchanged",
        errno.EDQUOT: "your disk quota is used up: write elsewhere; what was there before is unchanged",
        errno.EACCES: "choose a folder that you may write to",
        errno.EROFS: "the file system is read-only: write elsewhere",
    }
    reason = error.strerror or str(error)
    remedy = remedies.get(error.errno or 0, "check the path and the disk; what was there before is unchanged")
    return ArgusError(f"cannot be written: {reason}", where=target, remedy=remedy)
