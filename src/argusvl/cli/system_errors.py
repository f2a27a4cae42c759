"""What the system refuses, a full disk or too little memory, is no mistake in Argus: it is told as what it is."""

from __future__ import annotations

import errno

from argusvl.cli.process import STANDARD_OUTPUT
from argusvl.core.errors import ArgusError
from argusvl.core.files import REMEDIES

_DISK = frozenset({errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC})
"""Errors of writing, which need not say the file."""

_MEMORY = (
    "DefaultCPUAllocator",
    "bad_alloc",
    "can't start new thread",
    "could not create a primitive",  # as oneDNN says it
    "failed to map segment",  # of a library that is loaded
    "Cannot allocate memory",
    "CUDA out of memory",
)
"""Of these errors the text alone tells that memory is what was lacking."""

_LONGEST_PLACE = 200
"""Characters of a path that is shown; a system that finds it too long has met more."""


def system_error(error: Exception) -> ArgusError | None:
    """What to tell of an error that is the system's; ``None`` of one that is ours."""
    lacking = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    if lacking or (
        isinstance(error, RuntimeError | ImportError) and any(sign in str(error) for sign in _MEMORY)
    ):
        return ArgusError(
            f"memory is not sufficient: {error or 'an allocation failed'}",
            remedy="give the command more (ulimit -v, a container's limit, other programs), or ask for less at a time",
        )
    if not isinstance(error, OSError):
        return None
    if error.filename is None:
        if error.errno not in _DISK:
            return None
    elif error.errno not in REMEDIES and error.filename != STANDARD_OUTPUT:
        return None
    place = "a file (--debug shows where)" if error.filename is None else str(error.filename)
    return ArgusError(
        str(error.strerror),
        where=place if len(place) <= _LONGEST_PLACE else f"{place[:_LONGEST_PLACE]}…",
        remedy=REMEDIES.get(error.errno, "write elsewhere"),
    )
