"""The training doctor: watches any PyTorch loop, reads logs and scripts, and says what is wrong with a training.

watch = Watch(model, optimizer)
...
watch.step(loss=loss, batch=batch)
...
watch.print()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argus_doctor.watch import Watch

__all__ = ["CATALOGUES", "Watch"]
__version__ = "0.1.0"

CATALOGUES = ["argus_doctor"]
"""Packages with a folder ``catalogue/``; who stands on this one adds their own."""


def __getattr__(name: str) -> Any:
    if name == "Watch":  # PyTorch is imported by those who watch, not by those who look up an ID
        from argus_doctor.watch import Watch

        return Watch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
