"""A checkpoint and pictures → hands in the caller's terms: :class:`HandPredictor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argusvl.manipulation.predict.predictor import HandPredictor, HandQuery

__all__ = ["HandPredictor", "HandQuery"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # PyTorch is imported by those who predict
        from argusvl.manipulation.predict import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
