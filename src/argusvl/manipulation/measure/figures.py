"""Figures of an evaluation of hands: those of :mod:`~argusvl.manipulation.measure.metrics`, coarse and refined."""

from __future__ import annotations

from argusvl.core.figures import SPREAD, FigureSpec
from argusvl.manipulation.measure import metrics

_COARSE = {"mpjpe_root": "before refinement", "mpjpe_pa": "before refinement"}

FIGURES: dict[str, FigureSpec] = {
    **metrics.FIGURES,
    **{
        f"{name}_coarse": FigureSpec(f"{metrics.FIGURES[name].meaning}, {when}", "lower", "mm")
        for name, when in _COARSE.items()
    },
    "mpjpe_2d": FigureSpec("mean error of the joints in the crop", "lower", "px"),
    "mean_pose_mpjpe_root": FigureSpec("what the mean pose reaches, relative to the wrist", "lower", "mm"),
    "mean_pose_mpjpe_pa": FigureSpec("what the mean pose reaches after the best similarity", "lower", "mm"),
    SPREAD: FigureSpec(
        "deviation of the predicted joints between pictures, relative to the truth's", "higher"
    ),
    "object_add_s": FigureSpec("mean distance of the object's surface points to the nearest", "lower", "mm"),
    "contact_f1": FigureSpec("joints in contact with the object, at 0.5", "higher"),
}
"""By name; ``object_add_s`` and ``contact_f1`` where the data know objects and contact."""
