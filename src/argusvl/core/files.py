"""The one place where files are opened that a user names, and where files that matter are written.

Reading takes ordinary files only: a pipe may never give anything, a device may never end. Whatever the locale says,
text is UTF-8. Errors of reading are Python's own, ``OSError`` and ``ValueError``: what a file is for, and so what to do
about it, the caller knows.

Writing loses nothing to an interruption: a reader sees the old content or the new, never a part. What is written goes
to a temporary name in the same folder, reaches the disk, and is renamed over the target. When anything fails before the
rename (a full disk, Ctrl-C, an error in the caller's code), the target is as it was.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeVar

from argusvl.core.errors import ArgusError, CheckpointError, DataError
from argusvl.core.strict_json import decode_json
from argusvl.core.wording import listed, printable

E = TypeVar("E", bound=ArgusError)

REMEDIES: dict[int | None, str] = {
    errno.EACCES: "check the permissions, or name another place",
    errno.EDQUOT: "free space in your quota, or name another place",
    errno.EFBIG: "neither the file system nor a limit (ulimit -f) allows a larger file: name another place",
    errno.EINVAL: "name an ordinary file; what a pipe gives, write into a file first",
    errno.EIO: "the disk or the network fails: try another place",
    errno.EISDIR: "name a file",
    errno.ELOOP: "the link leads back to itself: correct or remove it",
    errno.ENAMETOOLONG: "name a shorter path",
    errno.ENOSPC: "free space on the disk, or name another place",
    errno.ENOTDIR: "a part of the path is a file and no folder: check the path",
    errno.EPERM: "check the permissions, or name another place",
    errno.EROFS: "the file system cannot be written: name another place",
}
"""Errors of the system that are no mistake in a program, and what mends them."""


# --- paths ----------------------------------------------------------------------------------------------------------


def user_path(text: str | Path) -> Path:
    """A path as a user has written it, or an option's default; ``~`` stands for a home folder, as in a shell.

    Raises:
        ArgusError: The text is empty, which a file system would take for the current folder; it is no path.
    """
    text = str(text)
    if not text:
        raise ArgusError("a path is empty", remedy="write a path; the current folder is .")
    if "\0" in text:
        raise ArgusError(f"{text!r} is no path: it holds a NUL character", remedy="write another path")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ArgusError(
            "there is no such user, or no home folder",
            where=text,
            remedy="write the folder itself, without ~",
        ) from None


def path_inside(
    folder: Path,
    name: str,
    *,
    stated_in: object,
    links: bool = True,
    error: type[ArgusError] = CheckpointError,
    remedy: str = "it was changed by hand, or is not to be trusted: take the folder from its source again",
) -> Path:
    """What a file of ours names below its own folder. Such a file may come from anyone, and must not lead elsewhere.

    Args:
        folder: The folder.
        name: A relative path in it, as it was read.
        stated_in: The file that it was read from.
        links: Whether a symbolic link may lead out of the folder, as in the cache of a hub, where all files of a
            model are links. Files of a data set may be pictures of anything: there it may not.
        error: What to raise.
        remedy: What to do.

    Raises:
        CheckpointError: Or ``error``: the name leads out of the folder.
    """
    path = Path(name)
    outside = path.anchor or ".." in path.parts or not path.parts
    if outside or not (links or is_inside(folder, folder / path)):
        raise error(f"names {name!r}, which is not in the folder", where=stated_in, remedy=remedy)
    return folder / path


def is_inside(folder: Path, path: Path) -> bool:
    """Whether a path leads into a folder when ``..`` and links are followed; what is missing may lie there."""
    try:
        real = real_path(path)
    except ValueError:  # a name that no file has leads nowhere
        return True
    return real_path(folder) in (real, *real.parents)


def link_to_nothing(path: str | Path) -> str | None:
    """What to tell of a link to what is not there; ``None`` of any other path."""
    link = Path(path)
    if link.exists() or not link.is_symlink():
        return None
    return f"the link points nowhere: there is no {str(link.readlink())!r}"


def refuse_replacing(
    *targets: Path | None,
    overwrite: bool | None,
    inputs: Iterable[Path] = (),
    ours: Callable[[Path], bool] | None = None,
) -> None:
    """The one rule of what a command may write over: asked before the work, and not after it.

    Args:
        targets: Files to be written; of ``None`` nothing is asked.
        overwrite: Whether the user has allowed to replace what is there; ``None`` where the command has no such option.
        inputs: Files that the command reads; they are not replaced even so.
        ours: Tells what an earlier command has written and this one makes anew: it is replaced unasked.

    Raises:
        ArgusError: A target is there already, is an input, or is no ordinary file.
    """
    there = [target for target in targets if target is not None and os.path.lexists(target)]
    read = {_identity(file) for file in inputs} - {None} if there else set()
    for target in there:
        if _identity(target) in read:
            raise ArgusError("is what the command reads", where=target, remedy="name another file")
        if target.exists() and not target.is_file():
            what = "is a folder" if target.is_dir() else "is a pipe or a device"
            raise ArgusError(what, where=target, remedy="name a file")
        if not overwrite and not (ours is not None and ours(target)):
            raise already_there(target, overwrite)


def refuse_losing(
    folder: Path, is_written: Callable[[str], bool], kind: type[ArgusError] = ArgusError
) -> None:
    """The same of a folder that is replaced whole: what no earlier run wrote into it would be lost.

    Args:
        folder: The folder.
        is_written: Tells by a path below it, with ``/``, what an earlier run has written.
        kind: What to raise.

    Raises:
        ArgusError: Or ``kind``: it holds something else.
    """
    entries = (Path(root, name) for root, *names in os.walk(folder) for name in (*names[0], *names[1]))
    files = (entry for entry in entries if entry.is_symlink() or not entry.is_dir())
    theirs = sorted(name for file in files if not is_written(name := file.relative_to(folder).as_posix()))
    if theirs:
        shown = listed([printable(name) for name in theirs], 3)
        what = f"holds what no earlier run wrote, and would lose it: {shown}"
        remedy = "move it elsewhere, or name another folder; nothing was changed"
        raise kind(what, where=folder, remedy=remedy)


def already_there(
    target: Path, overwrite: bool | None = False, kind: type[ArgusError] = ArgusError
) -> ArgusError:
    """What to tell of something that is not replaced unasked."""
    own = "remove it yourself" if overwrite is None else "add --overwrite to replace it"
    return kind("is there already", where=target, remedy=f"{own}, or name another place")


def _identity(path: Path) -> tuple[int, int] | None:
    """What two names of one file share: links lead to it."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def is_file(path: Path) -> bool:
    """Whether there is such a file; of a name that no file can have, which ``Path.is_file`` fails at, there is none."""
    return os.path.isfile(path)  # noqa: PTH113


def real_path(path: str | Path) -> Path:
    """The absolute path without links; of a link that leads back to itself, the link (``resolve`` fails there)."""
    return Path(os.path.realpath(path))


# --- reading --------------------------------------------------------------------------------------------------------


def open_file(path: str | Path) -> io.BufferedReader:
    """Opens an ordinary file for reading.

    Raises:
        OSError: It cannot be opened, or is a folder, a pipe or a device; ``strerror`` says which.
    """
    return os.fdopen(_open_ordinary(path, os.O_RDONLY), "rb")


def open_to_append(path: str | Path, *, buffering: int = -1) -> BinaryIO:
    """Opens an ordinary file to read it and to append to it; it is made where it is missing.

    Raises:
        OSError: As :func:`open_file`.
    """
    descriptor = _open_ordinary(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    return os.fdopen(descriptor, "a+b", buffering=buffering)


def _open_ordinary(path: str | Path, flags: int) -> int:
    """The descriptor of an ordinary file; what is none is neither waited for nor read."""
    try:
        # Without O_NONBLOCK, opening a pipe waits for someone to write into it.
        flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags, 0o666)
    except ValueError:  # a NUL, or a character that names of files cannot have here
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from None
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, link_to_nothing(path) or error.strerror, str(path)) from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "a folder, not a file", str(path))
    raise OSError(errno.EINVAL, f"{'a pipe' if stat.S_ISFIFO(mode) else 'a device'}, not a file", str(path))


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copies an ordinary file's content to a name that is new, or in a folder that nobody else sees yet.

    Raises:
        OSError: As :func:`open_file`; the target cannot be written.
    """
    with open_file(source) as stream, Path(target).open("wb") as copy:
        shutil.copyfileobj(stream, copy)


def read_bytes(path: str | Path, *, most_bytes: int | None = None) -> bytes:
    """The content of an ordinary file; a larger one than ``most_bytes`` is refused unread.

    Raises:
        OSError: As :func:`open_file`; it is too large.
    """
    with open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if most_bytes is not None and size > most_bytes:
            raise OSError(errno.EFBIG, f"the file has {size} bytes, more than {most_bytes}", str(path))
        return stream.read()


def read_text(path: str | Path, *, most_bytes: int | None = None) -> str:
    """The text of an ordinary file, without the byte-order mark that some editors begin it with.

    Raises:
        OSError: As :func:`read_bytes`.
        UnicodeDecodeError: It is not UTF-8.
    """
    return read_bytes(path, most_bytes=most_bytes).decode("utf-8-sig")


def read_lines(path: str | Path, *, remedy: str) -> list[tuple[str, str]]:
    """The lines of a text file that hold something, each with its place, ``FILE:NUMBER``.

    Raises:
        DataError: It cannot be read, or is not UTF-8.
    """
    try:
        lines = read_text(path).splitlines()
    except UnicodeDecodeError:
        raise DataError("is no text in UTF-8", where=path, remedy=remedy) from None
    except OSError as error:
        raise cannot_read(path, error, DataError) from None
    return [(f"{path}:{number}", line) for number, line in enumerate(lines, 1) if line.strip()]


def read_json(path: str | Path) -> Any:
    """The value that a JSON file holds.

    Raises:
        OSError: As :func:`open_file`.
        ValueError: It is not JSON in UTF-8, or not JSON that says one thing.
    """
    return decode_json(read_text(path))


def read_json_object(
    path: str | Path, *, remedy: str, error: type[ArgusError] = CheckpointError
) -> dict[str, Any]:
    """The object that a JSON file holds, where it is plain what to do (``remedy``) about one that is damaged.

    Raises:
        CheckpointError: Or ``error``: it cannot be read, is not JSON, or holds something else.
    """
    try:
        value = read_json(path)
    except OSError as problem:
        raise cannot_read(path, problem, error, remedy) from None
    except UnicodeDecodeError as problem:
        raise error(f"is damaged: not UTF-8: {problem}", where=path, remedy=remedy) from None
    except ValueError as problem:
        raise error(f"is damaged: {problem}", where=path, remedy=remedy) from None
    if not isinstance(value, dict):
        raise error("is damaged: it holds no JSON object", where=path, remedy=remedy)
    return value


def require_folder(folder: str | Path, *, remedy: str, error: type[ArgusError] = DataError) -> None:
    """Refuses what is no folder.

    Raises:
        DataError: Or ``error``: there is none, or a file of that name.
    """
    if not Path(folder).is_dir():
        what = "a file, not a folder" if os.path.lexists(folder) else "no such folder"
        raise error(what, where=folder, remedy=remedy)


def cannot_read(
    path: str | Path,
    error: OSError,
    kind: type[E],
    remedy: str = "check the path, the file and its permissions",
) -> E:
    """What to tell of a file that cannot be opened; ``remedy`` is for errors that do not say it by themselves."""
    remedy = REMEDIES.get(error.errno, remedy)
    if error.errno == errno.EFBIG:
        remedy = "name the file that is meant: it is far smaller"
    return kind(f"cannot be read: {error.strerror or error}", where=path, remedy=remedy)


# --- writing --------------------------------------------------------------------------------------------------------


def encode_text(text: str) -> bytes:
    r"""UTF-8. A byte of a file's name that is not, which Python holds as a lone surrogate, is written ``\udce9``.

    In JSON that is an escape, and reading gives the name back: ``os.fsencode`` makes the same bytes of it.
    """
    return text.encode("utf-8", "backslashreplace")


def lock_file(stream: BinaryIO | int) -> bool:
    """Locks an open file until it is closed, however the process ends; ``False`` where another process has done so."""
    if sys.platform == "win32":
        return True  # there, nothing warns of two processes that write the same
    import fcntl

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Any other error: a file system without locks.
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def is_locked(file: Path) -> bool:
    """Whether another process holds the lock of a file; ``False`` where there is no such file."""
    try:
        with open_file(file) as stream:
            return not lock_file(stream)
    except OSError:
        return False


def write_bytes_atomically(path: str | Path, data: bytes) -> None:
    """Writes bytes; parent folders are made.

    Raises:
        ArgusError: The file cannot be written (full disk, no permission); what was there is unchanged.
    """
    with _replacing(Path(path)) as stream:
        stream.write(data)


def write_text_atomically(path: str | Path, text: str) -> None:
    """Writes UTF-8 text; raises as :func:`write_bytes_atomically`."""
    write_bytes_atomically(path, encode_text(text))


@contextlib.contextmanager
def atomic_text_file(path: str | Path) -> Iterator[TextIO]:
    """A UTF-8 text file that appears under its name complete, or not at all; for text too long for memory.

    Yields a stream to write to. When the body fails, too, what was there is unchanged.

    Raises:
        ArgusError: As :func:`write_bytes_atomically`.
    """
    with _replacing(Path(path)) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", newline="\n")
        yield text
        text.flush()


def _beside(target: Path) -> str:
    """How a temporary name begins: it tells whose it is, and fits where the name itself is as long as names can be."""
    return f".{target.name[:60]}."


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Makes the parents of what is written in the block; where the system refuses, the error names the target."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise cannot_write(target, error) from error


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    """A stream into a temporary file, which takes the target's name at the end."""
    with _writing(target):
        descriptor, name = tempfile.mkstemp(prefix=_beside(target), suffix=".part", dir=target.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            # mkstemp gives 0600, which would hide the file from others.
            temporary.chmod(_ordinary_mode(0o666))
            temporary.replace(target)
            _sync_folder(target.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A folder that appears under its name complete, or not at all.

    Yields a temporary sibling to fill. At the end its files are brought to the disk and it is renamed onto
    ``path``; a folder that is already there is replaced only then. When the body fails, the temporary folder
    is removed and ``path`` is as it was.

    Raises:
        ArgusError: The folder cannot be written (full disk, no permission); what was there is unchanged.
    """
    target = Path(path)
    with _writing(target):
        temporary = Path(tempfile.mkdtemp(prefix=_beside(target), suffix=".part", dir=target.parent))
        try:
            temporary.chmod(_ordinary_mode(0o777))
            yield temporary
            _sync_tree(temporary)
            _put_in_place(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
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
        aside = Path(tempfile.mkdtemp(prefix=_beside(target), suffix=".old", dir=target.parent))
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


def cannot_write(target: Path, error: OSError, *, kept: str | None = None) -> ArgusError:
    """What to tell of a file that cannot be written.

    ``kept`` is what is on the disk of work that can be resumed; without it, what was there before is unchanged.
    """
    remedy = REMEDIES.get(error.errno, "check the path and the disk")
    state = "give the same command again: it goes on" if kept else "what was there before is unchanged"
    what = f"cannot be written: {error.strerror or error}" + (f"; {kept}" if kept else "")
    return ArgusError(what, where=target, remedy=f"{remedy}; {state}")
