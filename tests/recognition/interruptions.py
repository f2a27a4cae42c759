"""What cuts writing off: a kill at a chosen line of the program, a full disk; and what it must leave as it is."""

from __future__ import annotations

import contextlib
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


def failing_after(calls: int, error: OSError) -> Callable[..., Any]:
    """``os.fsync`` of a disk that is full from some call on."""
    left = calls

    def fsync(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise error

    return fsync


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of each file of a folder, at any depth, by its name there."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }
