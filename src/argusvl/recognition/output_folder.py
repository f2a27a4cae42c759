"""The folder that a command fills: a header says what it is, nothing of others lies in it, and one process writes into
it at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from argusvl.core.errors import DataError
from argusvl.core.files import cannot_write, lock_file, open_to_append, read_json_object
from argusvl.core.schemas import checked
from argusvl.core.wording import listed

S = TypeVar("S")


class StoreBusyError(DataError):
    """Another process is writing into the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            "another process is writing into this store", where=folder, remedy="wait until it has ended"
        )


def read_header(
    file: Path, schema: type[S], version: int, *, what: str, make: str, remedy: str, **beside: Any
) -> S:
    """What the header of a folder says.

    Args:
        file: The header: an object with ``format``, the version of the format.
        schema: What it holds, with what is known ``beside`` it.
        version: Which is read here.
        what: The folder is, and
        make: What makes one, for messages.
        remedy: What to do about a header that is damaged or of another version.
        beside: Fields of the schema that the file does not hold.

    Raises:
        DataError: There is no such file, it is damaged, or it is of another version of the format.
    """
    if not file.is_file():
        raise DataError(f"not {what}: there is no {file.name}", where=file.parent, remedy=f"make one: {make}")
    values = read_json_object(file, remedy=remedy, error=DataError)
    if (found := values.get("format")) != version:
        raise DataError(
            f"the format of the folder is {found}, this Argus reads {version}",
            where=file,
            remedy=f"use the version of Argus that made it, or {remedy}",
        )
    return checked(values | beside, schema, file, remedy=remedy, error=DataError)


def refuse_other_files(folder: Path, header: str, is_beginning: Callable[[Path], bool]) -> None:
    """Refuses a folder that holds files of others.

    Args:
        folder: Where a command is to write; it may be missing.
        header: Name of the file that says that it is the command's own.
        is_beginning: Whether an entry may be what a kill has left before that file was there.

    Raises:
        DataError: There is no such file, and there are others.
    """
    if (folder / header).exists() or not folder.is_dir():
        return
    others = sorted(entry.name for entry in folder.iterdir() if not is_beginning(entry))
    if others:
        raise DataError(
            f"there is no {header}, and the folder holds other files ({listed(others, 3)})",
            where=folder,
            remedy="name a new or an empty folder, or that of an interrupted command",
        )


@contextmanager
def only_writer(folder: Path, lock: str) -> Iterator[None]:
    """Makes the folder where it is missing; while the file ``lock`` in it is held, no other process writes.

    Raises:
        StoreBusyError: Another one does.
        ArgusError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = open_to_append(folder / lock)
    except OSError as error:
        raise cannot_write(folder, error) from error
    with stream:
        if not lock_file(stream):
            raise StoreBusyError(folder)
        yield
