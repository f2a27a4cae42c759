"""A checkpoint and pictures → what is found in them, in the caller's terms: :class:`Predictor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argusvl.detection.predict.predictor import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    if name == "Predictor":  # who reads a checkpoint's labels alone does not import PyTorch
        from argusvl.detection.predict.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
