"""What an exception or a native message is called among the causes."""

from __future__ import annotations

import re

from argus_doctor.logs.signs import CLASSES, MESSAGES, Cause

_SAY_ALL = frozenset(
    {"ModuleNotFoundError", "ImportError", "FileNotFoundError", "PermissionError", "ZeroDivisionError"}
    | {"MemoryError", "_ArrayMemoryError", "GatedRepoError", "PackageNotFoundError", "KeyError", "NameError"}
    | {
        "AttributeError",
        "IndexError",
        "SyntaxError",
        "IndentationError",
        "UnicodeDecodeError",
        "JSONDecodeError",
    }
)
"""Classes whose message changes nothing: a missing file may be called what it likes."""

_OF_NO_PLACE: dict[str, frozenset[Cause]] = {
    "AssertionError": frozenset({"nan_loss", "cuda_runtime"}),
    "ValueError": frozenset({"nan_loss", "device_mismatch", "file_not_found", "cuda_oom"}),
    "TypeError": frozenset({"device_mismatch"}),
}
"""What the message of a general class may make of it; of others, anything."""

_TENSOR_TYPES = re.compile(
    r"(?:Input|weight|bias|expected|argument) type \(?'?(?P<one>[\w.]+)'?\)? .*?type "
    r"\(?'?(?P<other>[\w.]+)'?\)? should be"
)


def cause_of_exception(name: str, message: str) -> Cause:
    """What an exception is as a cause of death.

    Args:
        name: Its class, with or without modules; ``RayTaskError(OutOfMemoryError)`` is what is in the brackets.
        message: What it says.
    """
    inner = re.search(r"\((\w[\w.]*)\)$", name)
    short = (inner[1] if inner else name).rsplit(".", 1)[-1]
    if short in _SAY_ALL:
        known = CLASSES.get(short, "traceback")
        linked = known == "file_not_found" and "shared object file" in message
        return "missing_module" if linked else known
    if short == "OutOfMemoryError" and name.startswith("ray.") and inner is None:
        return "oom_killer"
    by_message = cause_of_message(message)
    allowed = _OF_NO_PLACE.get(short)
    if by_message is not None and (allowed is None or by_message in allowed):
        return by_message
    if short.endswith("RuntimeError"):
        return "runtime_error"
    return "nccl" if short.startswith("nccl") else CLASSES.get(short, "traceback")


def cause_of_message(message: str) -> Cause | None:
    """What a message is known to mean, whatever said it; ``None`` where it says nothing special."""
    if types := _TENSOR_TYPES.search(message):
        on_gpu = {"cuda" in kind.lower() or "mps" in kind.lower() for kind in (types["one"], types["other"])}
        if len(on_gpu) == 2:
            return "device_mismatch"
    # "NCCL error in: …, unhandled cuda error" is NCCL's.
    if "NCCL error in" in message:
        return "nccl"
    return next((cause for cause, pattern in MESSAGES if pattern.search(message)), None)
