"""The figures of detection, in the order in which they are read."""

from __future__ import annotations

from argusvl.core.figures import FigureSpec

FIGURES: dict[str, FigureSpec] = {
    "AP50": FigureSpec("mean over classes, IoU 0.50", "higher"),
    "AP": FigureSpec("mean over classes and IoU 0.50 to 0.95", "higher"),
    "caption_exact": FigureSpec("found objects described to the character", "higher"),
    "dense_caption_mAP_chrf": FigureSpec(
        "objects found and described: mean over IoU 0.3 to 0.7 and chrF 0 to 0.25", "higher"
    ),
    "dense_caption_mAP_meteor": FigureSpec("the same by METEOR 0 to 0.25, for English", "higher"),
    "recall": FigureSpec("objects with a box at IoU 0.50, whatever its score", "higher"),
    "AP75": FigureSpec("mean over classes, IoU 0.75", "higher"),
    "AR100": FigureSpec("recall over IoU 0.50 to 0.95, at most 100 boxes an image", "higher"),
    "AP50_agnostic": FigureSpec("all classes taken as one, IoU 0.50", "higher"),
    "ece": FigureSpec("calibration error: how far scores are from the share that is right", "lower"),
    "boxes_per_second": FigureSpec("boxes shown in a second, reading the images included", "higher"),
}
