"""What can be wrong with a hand's camera, box, joints and side: each question answers ``(slug, text)`` or ``None``.

What cannot be told is not guessed: each function says where its limits are.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from argusvl.manipulation.data.joints import BONES, JOINTS
from argusvl.synthetic.hands.camera import project

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Problem = tuple[str, str]
Side = Literal["left", "right"]

BONE_M = (0.012, 0.07)
"""Metres: what the middle of a hand's 20 bones, by length, can be: a small child's to a very large adult's."""

_MISREAD = {
    1000: "millimetres read as metres",
    100: "centimetres read as metres",
    10: "millimetres read as centimetres",
    0.1: "centimetres read as millimetres",
    0.01: "metres read as centimetres",
    0.001: "metres read as millimetres",
}

_CERTAIN_BEND = 0.2
"""Sine of the mean bend of the fingers, from which on it tells the side: 12 degrees, more than labels shake."""

FARTHEST_HELD_M = 1.0
"""From the origin of a held object's frame to the nearest joint."""

_FAR = 0.15
"""Of the hand's extent in the picture: how far the joints may be seen from where they are marked."""


def camera_problem(camera: Floats) -> Problem | None:
    """Whether K is the matrix of a camera."""
    if camera.shape != (3, 3) or not np.isfinite(camera).all():
        return "camera-malformed", f"K is {_told(camera)}, not 3 × 3 finite numbers"
    if np.linalg.matrix_rank(camera) < 3:
        return "camera-malformed", f"K is singular: {_told(camera)}"
    if camera[0, 0] <= 0 or camera[1, 1] <= 0 or camera[1, 0] != 0 or (camera[2] != [0, 0, 1]).any():
        right = "[[fx, s, cx], [0, fy, cy], [0, 0, 1]] with fx, fy > 0"
        return "camera-malformed", f"K is {_told(camera)}, not {right}"
    return None


def box_problem(box: Floats, size: tuple[int, int]) -> Problem | None:
    """Whether a box ``[left, top, right, bottom]`` has an area and lies in a picture of ``(width, height)``."""
    if box.shape != (4,) or not np.isfinite(box).all():
        return "box-not-a-number", f"box {_told(box)} is not four finite numbers"
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        return "box-inverted", f"box {_told(box)} has no area, or is inverted"
    if x1 < 0 or y1 < 0 or x2 > size[0] or y2 > size[1]:
        return "box-out-of-bounds", f"box {_told(box)} reaches outside the image of {size[0]}×{size[1]}"
    return None


def placeholder_problem(joints: Floats, valid: Bools) -> Problem | None:
    """Whether joints that are said to be known are (-1, -1, -1), as written, which some data sets write for none."""
    placeholders = valid & (joints == -1).all(axis=-1)
    if not placeholders.any():
        return None
    return (
        "joints-placeholder",
        f"{_names(placeholders)}: -1, -1, -1, which stands for a joint that is not known",
    )


def joints_problem(joints_m: Floats, valid: Bools) -> Problem | None:
    """Whether the known joints are numbers, before the camera, and of a hand's size.

    The size tells units ten times apart; it cannot tell one hand from another.
    """
    if (broken := valid & ~np.isfinite(joints_m).all(axis=-1)).any():
        return "joints-not-a-number", f"{_names(broken)}: not a finite number"
    if (behind := valid & (np.nan_to_num(joints_m[:, 2], nan=1.0) <= 0)).any():
        lowest = joints_m[behind, 2].min()
        return "joints-behind-camera", f"{_names(behind)}: not before the camera, z down to {lowest:.4g} m"
    lengths = [np.linalg.norm(joints_m[a] - joints_m[b]) for a, b in BONES if valid[a] and valid[b]]
    if len(lengths) < 3:
        return None
    middle = float(np.median(lengths))
    if BONE_M[0] <= middle <= BONE_M[1]:
        return None
    fits = [text for factor, text in _MISREAD.items() if BONE_M[0] <= middle / factor <= BONE_M[1]]
    told = f"{middle:.4g} m, where a hand has {BONE_M[0]} to {BONE_M[1]}{f': {fits[0]}?' if fits else ''}"
    return "joints-other-unit", f"the middle of the bones' lengths is {told}"


def told_side(joints_m: Floats, valid: Bools) -> Side | None:
    """The side of a hand, by the way in which its fingers bend; ``None`` where that cannot be told.

    Fingers bend towards the palm only: about an axis that points from the little finger to the index in a right hand,
    the other way in a left one. Turning, moving and scaling the hand change nothing. A flat hand (mean bend below 12
    degrees), one of which the knuckles or most fingers are not known, and fingers bent backwards by an object cannot
    be told, or are told wrongly; joints in another order than the declared one are told at random.
    """
    if not (valid[5] and valid[17]):
        return None
    across = joints_m[5] - joints_m[17]
    bends, scale = 0.0, 0.0
    for first in (5, 9, 13, 17):
        for k in (first, first + 1):  # the bend at pip, and at dip; the knuckle itself also bends backwards
            if valid[k : k + 3].all():
                nearer, farther = joints_m[k + 1] - joints_m[k], joints_m[k + 2] - joints_m[k + 1]
                bends += float(np.cross(nearer, farther) @ across)
                scale += float(np.linalg.norm(nearer) * np.linalg.norm(farther) * np.linalg.norm(across))
    if scale == 0 or abs(bends) < _CERTAIN_BEND * scale:
        return None
    return "right" if bends > 0 else "left"


def side_problem(joints_m: Floats, valid: Bools, side: str) -> Problem | None:
    """Whether a hand is the other one than declared, as far as :func:`told_side` knows."""
    told = told_side(joints_m, valid)
    if told is None or told == side:
        return None
    return "hand-other-side", f"declared a {side} hand, but the fingers bend as those of a {told} one"


def view_problem(
    camera: Floats,
    size: tuple[int, int],
    joints_m: Floats,
    valid: Bools,
    *,
    joints_px: Floats | None,
    box: Floats | None,
) -> Problem | None:
    """Whether K sees the hand where it is in the picture; where not, K is likely that of another resolution.

    By the marked 2-D joints, else by a box that was given, else by the picture itself. Marks may be 15 % of the
    hand's extent away. By the picture alone a K that is too small is not noticed: the hand is seen nearer to the
    upper left corner, but still inside.
    """
    if not valid.any():
        return None
    slug, seen = "camera-other-resolution", project(joints_m[valid], camera)
    if joints_px is not None:
        marked = joints_px[valid]
        both = np.isfinite(marked).all(axis=-1)
        if both.sum() >= 3:
            return _marks_problem(seen[both], marked[both])
    if box is not None:
        centre, extent = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max()
        middle = (seen.min(0) + seen.max(0)) / 2
        ratio = (seen.max(0) - seen.min(0)).max() / extent
        fits = valid.sum() < len(valid) / 2 or 0.2 <= ratio <= 2
        if fits and np.abs(middle - centre).max() <= extent / 2:
            return None
        if _iou(np.clip([seen.min(0), seen.max(0)], 0, size), box.reshape(2, 2)) >= 0.5:
            return None  # a hand that reaches out of the picture, about whose visible part the box lies
        told = f"{_told(middle)}, {ratio:.2g} times as large as its box {_told(box)}"
        return slug, f"K sees the hand's middle at {told}"
    inside = ((seen >= 0) & (seen <= size)).all(axis=-1)
    if inside.mean() >= 0.5:
        return None
    outside = f"{(~inside).sum()} of {len(seen)} joints outside the image of {size[0]}×{size[1]}"
    return slug, f"K sees {outside}"


def _iou(a: Floats, b: Floats) -> float:
    """Of two boxes ``[2, 2]``, corners from the upper left one."""
    common, areas = (
        np.minimum(a[1], b[1]) - np.maximum(a[0], b[0]),
        [np.prod(box[1] - box[0]) for box in (a, b)],
    )
    shared = float(np.prod(common.clip(min=0)))
    return shared / (sum(areas) - shared)


def _marks_problem(seen: Floats, marked: Floats) -> Problem | None:
    extent = max(1.0, float((marked.max(0) - marked.min(0)).max()))
    distance = float(np.median(np.linalg.norm(seen - marked, axis=-1)))
    if distance <= _FAR * extent:
        return None
    scale = float((seen * marked).sum() / (seen * seen).sum())
    left = float(np.median(np.linalg.norm(scale * seen - marked, axis=-1)))
    hint = f"; {scale:.3g} times K would fit" if left <= _FAR * extent / 2 else ""
    told = f"K sees the joints {distance:.0f} pixels from where they are marked{hint}"
    return "camera-other-resolution", told


def pose_problem(pose: Floats) -> Problem | None:
    """Whether ``[3, 4]`` is a rotation beside a translation to a place before the camera."""
    slug = "malformed-hand-record"
    if pose.shape != (3, 4) or not np.isfinite(pose).all():
        return slug, f"held: the object's pose is {_told(pose)}, not 3 × 4 finite numbers"
    rotation = pose[:, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
        return slug, f"held: the object's rotation {_told(rotation)} is none: stretched, or a mirror"
    if pose[2, 3] <= 0:
        return slug, f"held: the object is not before the camera: z is {pose[2, 3]:.4g} m"
    return None


def reach_problem(pose: Floats, joints_m: Floats) -> Problem | None:
    """Whether a held object is where no hand that has the known joints can hold it."""
    off = np.linalg.norm(joints_m - pose[:, 3], axis=-1)
    if np.isfinite(off).any() and (nearest := np.nanmin(off)) > FARTHEST_HELD_M:
        told = f"{nearest:.3g} m from the hand: a translation in another unit?"
        return "malformed-hand-record", f"held: the object's middle is {told}"
    return None


def _told(values: Floats) -> str:
    text = str(np.round(values, 4).tolist())
    return text if len(text) <= 120 else f"{text[:119]}…"


def _names(joints: Bools) -> str:
    return "all joints" if joints.all() else ", ".join(JOINTS[k] for k in np.flatnonzero(joints))
