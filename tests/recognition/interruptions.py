"""What cuts work off: a kill at a chosen line of the program, a full disk, anything at a chosen batch of a network; and
what it must leave as it is.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any


def lines_run(action: Callable[[], object], modules: Iterable[ModuleType], kill_at: int | None = None) -> int:
    """Runs an action, counting the lines of some modules; the process is gone at the line asked for."""
    traced = {module.__file__ for module in modules}
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in traced:
            return None
        if event == "line":
            count += 1
            if count == kill_at:
                os._exit(9)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


def in_child(action: Callable[[], object]) -> int:
    """Runs an action in a copy of this process; its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            action()
            code = 0
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def full_after(calls: int, real: Callable[[Any, bytes], object] | None = None) -> Callable[..., None]:
    """``os.fsync`` of a disk that is full from some call on; with the real one, ``write_all``, which writes half."""
    numbers = itertools.count()

    def call(stream: Any, data: bytes = b"") -> None:
        full = next(numbers) >= calls
        if real is not None:
            real(stream, data[: len(data) // 2] if full else data)
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")

    return call


def interrupted_by(action: Callable[[], object], network: Any, batch: int = 0) -> Any:
    """The network; before it takes one of its batches something else happens."""
    real, numbers = network.embed, itertools.count()

    def embed(pixels: Any) -> Any:
        if next(numbers) == batch:
            action()
        return real(pixels)

    network.embed = embed
    return network


class StoppedError(Exception):
    """Ends an extraction."""


def stop() -> None:
    raise StoppedError


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of each file of a folder, at any depth, by its name there."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }
