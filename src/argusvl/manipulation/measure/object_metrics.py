"""Figures of the poses of objects: ADD (Hinterstoisser et al., 2012), and ADD-S for objects with symmetries.

Metres go in, millimetres come out.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from argusvl.manipulation.data.checking import Floats
from argusvl.manipulation.measure.metrics import MM


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
