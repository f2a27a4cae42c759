"""The doctor: the one vocabulary for what is wrong, of every verb, and :class:`Watch` for any PyTorch loop.

It knows no task, no model and no trainer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argusvl.doctor.watch import Watch

__all__ = ["Watch"]


def __getattr__(name: str) -> Any:
    if name == "Watch":  # PyTorch is imported by those who watch, not by those who look up an ID
        from argusvl.doctor.watch import Watch

        return Watch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
