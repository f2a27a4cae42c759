"""The process around a command, from its first moment to its last: UTF-8, standard streams, Ctrl-C, the exit code.

While a command works, Ctrl-C raises ``KeyboardInterrupt``, and half-written folders are cleared away. Before and after
there is nothing to clear away: the process ends at once, with the same exit code and without a traceback.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from argusvl.core.errors import INTERRUPTED, USERS_MISTAKE

STANDARD_OUTPUT = "standard output"
"""What an error of writing to it has for a file's name."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""A scheduler's request to stop is a Ctrl-C."""

_IMPORTING = "<frozen importlib._bootstrap>"
"""The file of the frames that are there while a module is imported."""

_AGAIN_SECONDS = 0.05
"""After which an interrupt that came while a module was imported comes once more."""

_Handler = Callable[[int, FrameType | None], Any]


def stop_at_once() -> None:
    """Ends the process at the next Ctrl-C, as long as no command works."""
    _on_request_to_stop(_leave)


def begin() -> None:
    """Prepares the process for a command; may start the interpreter anew, in its UTF-8 mode."""
    stop_at_once()
    _require_utf8()
    _open_standard_streams()
    _require_working_folder()


def run_and_exit(command: Callable[[], int]) -> NoReturn:
    """Runs a command, which may be interrupted, and ends the process with the exit code that it gives."""
    try:
        # Of what is to be called at the end, the first registered is the last: when all else has ended in order, the
        # process leaves with its code, and no signal can change that while the interpreter is taken apart.
        codes: list[int] = []
        atexit.register(_leave_with, codes)
        _on_request_to_stop(_interrupt)
        codes.append(command())
        stop_at_once()
    except KeyboardInterrupt:  # between these lines, or a second one while the first was answered
        _leave()
    sys.exit(codes[0])


def _on_request_to_stop(handler: _Handler) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # whoever started us wants it to go on
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raises ``KeyboardInterrupt``, but into no import: PyTorch aborts there, and what is loaded by halves stays so."""
    while frame is not None and frame.f_code is not run_and_exit.__code__:
        if frame.f_code.co_filename == _IMPORTING:
            # As a signal: what only marks the main thread would wait for the call that it sleeps in.
            again = threading.Timer(_AGAIN_SECONDS, os.kill, [os.getpid(), number])
            again.daemon = True
            again.start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _leave(number: int = signal.SIGINT, frame: FrameType | None = None) -> NoReturn:
    if os.environ.get("RANK", "0") == "0":  # of several processes that train together one speaks
        with contextlib.suppress(OSError):
            os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def _leave_with(codes: list[int]) -> None:
    if codes:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(codes[0])


def _require_utf8() -> None:
    """Under another locale Python could not even name a file 板.png; its UTF-8 mode can only be set at its start."""
    if os.name == "posix" and sys.getfilesystemencoding() != "utf-8" and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _require_working_folder() -> None:
    """Libraries look for their parts there, and abort where it was removed."""
    try:
        os.getcwd()  # noqa: PTH109 - nothing else is imported yet
    except OSError as error:
        os.write(
            2,
            f"error: the working folder: {error.strerror}\n  What to do: cd to one that is there\n".encode(),
        )
        os._exit(USERS_MISTAKE)


def _open_standard_streams() -> None:
    """Opens what was closed, as by ``>&-``: its number would go to the next file that is opened.

    A closed standard output cannot be written, so that data meant for it are not lost without a word. What is said to
    people may be.
    """
    for stream, mode in ((sys.stdin, os.O_RDONLY), (sys.stdout, os.O_RDONLY), (sys.stderr, os.O_WRONLY)):
        if stream is None:
            os.open(os.devnull, mode)
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "wb"), write_through=True)
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        before: Any = sys.stdout
        sys.stdout = _StandardOutput(
            io.BufferedWriter(io.FileIO(1, "wb", closefd=False)),
            line_buffering=getattr(before, "line_buffering", False),
            write_through=getattr(before, "write_through", False),
        )
    for text in (sys.stdout, sys.stderr):
        if isinstance(text, io.TextIOWrapper):
            text.reconfigure(encoding="utf-8", errors="backslashreplace")


class _StandardOutput(io.TextIOWrapper):
    """Names itself in its errors, which otherwise look like those of any file.

    The text does it, not the file below: what is interrupted between a write in Python and its return is buffered
    still, and written once more.
    """

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise _of_standard_output(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _of_standard_output(error) from None


def _of_standard_output(error: OSError) -> OSError:
    reason = "it is closed" if error.errno == errno.EBADF else error.strerror
    return OSError(error.errno, reason, STANDARD_OUTPUT)
