"""Figures of the poses of objects: ADD (Hinterstoisser et al., 2012), and ADD-S for objects with symmetries.

Metres go in, millimetres come out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from argusvl.core.errors import DataError
from argusvl.manipulation.data.checking import Floats
from argusvl.manipulation.measure.metrics import MM, Measured


def place(pose: Floats, points_m: Floats) -> Floats:
    """``[V, 3]`` points of an object → the camera's frame, by ``[3, 4]`` rotation and translation."""
    return np.asarray(points_m @ pose[:, :3].T + pose[:, 3])


def add(predicted: Floats, true: Floats, points_m: Floats) -> float:
    """Mean distance, in mm, between where each point of the object is and where the pose puts it."""
    return float(np.linalg.norm(place(predicted, points_m) - place(true, points_m), axis=-1).mean() * MM)


def add_s(predicted: Floats, true: Floats, points_m: Floats) -> float:
    """Mean distance, in mm, from each true point to the nearest one that the pose gives: symmetries cost nothing."""
    distances, _ = cKDTree(place(predicted, points_m)).query(place(true, points_m))
    return float(distances.mean() * MM)


def mean_object_pose(poses: Floats) -> Floats:
    """The mean of the training data's poses: the baseline.

    Args:
        poses: ``[N, 3, 4]`` of one object.

    Returns:
        ``[3, 4]``: the mean translation, and the rotation nearest to the mean of the rotations.
    """
    mean = poses.mean(0)
    u, _, vt = np.linalg.svd(mean[:, :3])
    u[:, 2] *= np.sign(np.linalg.det(u @ vt))
    return np.concatenate([u @ vt, mean[:, 3:]], axis=1)


@dataclass(frozen=True, slots=True)
class ObjectFigures:
    """What an evaluation of one object's poses gives.

    Attributes:
        add: Mean ADD, mm.
        add_s: Mean ADD-S, mm.
        within_tenth: Share of poses whose ADD (ADD-S for a symmetric object) is below a tenth of the diameter.
    """

    add: Measured
    add_s: Measured
    within_tenth: Measured

    @property
    def collapsed(self) -> tuple[str, ...]:
        """The figures in which the mean pose is not beaten."""
        return tuple(name for name in ("add", "add_s", "within_tenth") if getattr(self, name).collapsed)


def evaluate_object(
    predicted: Floats, true: Floats, points_m: Floats, baseline: Floats, *, diameter_m: float, symmetric: bool
) -> ObjectFigures:
    """Scores the poses of one object.

    Args:
        predicted: ``[N, 3, 4]`` rotation and translation, object's frame → camera's frame.
        true: ``[N, 3, 4]``.
        points_m: ``[V, 3]`` of the object's surface, in its own frame.
        baseline: ``[3, 4]``: :func:`mean_object_pose` of the training data.
        diameter_m: The largest distance between two of its points.
        symmetric: Whether it looks alike from several sides.

    Raises:
        DataError: The numbers of poses differ, or there are none.
    """
    if predicted.shape != true.shape or len(true) == 0:
        raise DataError(
            f"expected as many predicted poses as true ones, got {len(predicted)} and {len(true)}",
            where="evaluate_object",
            remedy="give a prediction for each",
        )
    ours = np.array(
        [(add(a, b, points_m), add_s(a, b, points_m)) for a, b in zip(predicted, true, strict=True)]
    )
    mean = np.array([(add(baseline, b, points_m), add_s(baseline, b, points_m)) for b in true])
    decisive = int(symmetric)
    near = [(errors[:, decisive] < 0.1 * diameter_m * MM).mean() for errors in (ours, mean)]
    return ObjectFigures(
        add=Measured(float(ours[:, 0].mean()), float(mean[:, 0].mean()), higher_is_better=False),
        add_s=Measured(float(ours[:, 1].mean()), float(mean[:, 1].mean()), higher_is_better=False),
        within_tenth=Measured(float(near[0]), float(near[1]), higher_is_better=True),
    )
