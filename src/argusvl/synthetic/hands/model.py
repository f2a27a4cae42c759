"""The baked hand: its shape varied, its bones turned, its skin carried along (linear blend skinning).

The hand's frame: the wrist in the origin, x to the thumb, y to the middle knuckle, z out of the palm; metres; a right
hand. The joints are wrist, then thumb, index, middle, ring and little finger, each from the palm to its tip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from argusvl.synthetic.hands.arrays import Floats, Indices

NUM_BONES = 19
FOREARM, HAND, RING_METACARPAL, LITTLE_METACARPAL = range(4)
FIRST_PHALANX = (4, 7, 10, 13, 16)
"""The first of three bones of thumb, index, middle, ring and little finger."""

_THUMB_AXIS = np.array([0.0, -0.58, 0.81]) / np.hypot(0.58, 0.81)

_JOINT_BONES = tuple(bone + part for bone in FIRST_PHALANX for part in range(3))
_PLACES = tuple(4 * finger + 1 + part for finger in range(5) for part in range(3))
_TIP_PLACES = tuple(4 * finger + 4 for finger in range(5))


@dataclass(frozen=True, slots=True, eq=False)
class HandShape:
    """One person's hand at rest.

    Attributes:
        vertices: ``[V, 3]``.
        heads: ``[19, 3]`` where each bone begins and turns.
        tips: ``[5, 3]``.
        axes: ``[19, 3]`` about which a finger's bone bends, palm-wards where positive.
        rest: ``[19]`` radians by which it is bent at rest, against the bone before it.
        spread: ``[5]`` radians by which a finger at rest points thumb-wards of y; the thumb's is 0.
    """

    vertices: Floats
    heads: Floats
    tips: Floats
    axes: Floats
    rest: Floats
    spread: Floats


class HandModel:
    """The asset. One is enough: :func:`hand_model`."""

    def __init__(self) -> None:
        with (
            files("argusvl.assets").joinpath("hand", "hand.npz").open("rb") as stream,
            np.load(stream, allow_pickle=False) as asset,
        ):
            data = {name: asset[name] for name in asset.files}
        self.faces: Indices = data["faces"].astype(np.int64)
        self.parents: tuple[int, ...] = tuple(int(parent) for parent in data["parents"])
        self.num_shapes = len(data["vertex_shapes"])
        self._mean = [data[name].astype(np.float64) for name in ("vertices", "heads", "tips")]
        shapes = ("vertex_shapes", "head_shapes", "tip_shapes")
        self._shapes = [data[name].astype(np.float64) for name in shapes]
        self.weights: Floats = np.zeros((len(self._mean[0]), NUM_BONES))
        bones, weights = data["weight_bones"].astype(np.int64), data["weights"].astype(np.float64)
        np.put_along_axis(self.weights, bones, weights, axis=1)
        self.weights /= self.weights.sum(1, keepdims=True)
        self.order = sorted(range(NUM_BONES), key=lambda bone: self._depth(bone))

    def shape(self, coefficients: Floats, scale: float) -> HandShape:
        """A person's hand.

        Args:
            coefficients: ``[num_shapes]`` in standard deviations of adults.
            scale: Of the whole; 1 is an adult between the sexes.
        """
        vertices, heads, tips = (
            scale * (mean + np.tensordot(coefficients, shapes, 1))
            for mean, shapes in zip(self._mean, self._shapes, strict=True)
        )
        axes, rest, spread = _bending(heads, tips)
        return HandShape(vertices, heads, tips, axes, rest, spread)

    def place(self, shape: HandShape, turns: Floats) -> tuple[Floats, Floats]:
        """Where bones come to lie when each is turned about its head, in the frame of the hand at rest.

        ``turns`` are ``[..., 19, 3, 3]``; of the root, the whole hand's. Rotations ``[..., 19, 3, 3]`` and translations
        ``[..., 19, 3]`` say where a point of the bone at rest goes.
        """
        rotations, moves = np.empty_like(turns), np.empty(turns.shape[:-1])
        for bone in self.order:
            head, parent = shape.heads[bone], self.parents[bone]
            own = turns[..., bone, :, :]
            offset = head - own @ head
            if parent < 0:
                rotations[..., bone, :, :], moves[..., bone, :] = own, offset
            else:
                before = rotations[..., parent, :, :]
                rotations[..., bone, :, :] = before @ own
                moves[..., bone, :] = (before @ offset[..., None])[..., 0] + moves[..., parent, :]
        return rotations, moves

    def joints(self, shape: HandShape, placed: tuple[Floats, Floats]) -> Floats:
        """``[..., 21, 3]``."""
        rotations, moves = placed
        joints = np.empty((*moves.shape[:-2], 21, 3))
        joints[..., 0, :] = shape.heads[HAND]
        bones, last = list(_JOINT_BONES), [bone + 2 for bone in FIRST_PHALANX]
        for places, own, points in ((_PLACES, bones, shape.heads[bones]), (_TIP_PLACES, last, shape.tips)):
            turned = (rotations[..., own, :, :] @ points[..., None])[..., 0]
            joints[..., places, :] = turned + moves[..., own, :]
        return joints

    def skin(self, shape: HandShape, placed: tuple[Floats, Floats]) -> Floats:
        """``[V, 3]`` the vertices of one hand."""
        rotations, moves = placed
        blended = (self.weights @ rotations.reshape(NUM_BONES, 9)).reshape(-1, 3, 3)
        return np.asarray((blended @ shape.vertices[..., None])[..., 0] + self.weights @ moves)

    def _depth(self, bone: int) -> int:
        return 0 if self.parents[bone] < 0 else 1 + self._depth(self.parents[bone])


@cache
def hand_model() -> HandModel:
    """The hand, read once for a process."""
    return HandModel()


def rotation_about(axes: Floats, angles: Floats) -> Floats:
    """``[..., 3]`` unit axes and ``[...]`` radians → ``[..., 3, 3]`` (Rodrigues' formula)."""
    angles = np.asarray(angles)
    axes = np.broadcast_to(axes, (*angles.shape, 3))
    x, y, z, zero = axes[..., 0], axes[..., 1], axes[..., 2], np.zeros(angles.shape)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*angles.shape, 3, 3)
    sin, cos = np.sin(angles)[..., None, None], np.cos(angles)[..., None, None]
    return np.asarray(cos * np.eye(3) + sin * cross + (1 - cos) * axes[..., :, None] * axes[..., None, :])


def _bending(heads: Floats, tips: Floats) -> tuple[Floats, Floats, Floats]:
    """The axes, rest angles and spread of :class:`HandShape`."""
    first = FIRST_PHALANX[0]
    ends = np.concatenate([heads[first:].reshape(5, 3, 3), tips[:, None]], axis=1)
    along = _unit(np.diff(ends, axis=1))  # [5, 3, 3]
    x, y = (ends[:, 3, k] - ends[:, 0, k] for k in (0, 1))
    spread = np.arctan2(x, y)
    axis = _unit(np.stack([y, -x, 0 * x], axis=1))  # across the finger, in the plane of the palm
    before = np.stack([np.sin(spread), np.cos(spread), 0 * x], axis=1)
    # The thumb's nail does not look as those of the fingers do: its axis was measured on the mesh.
    axis[0], before[0], spread[0] = _THUMB_AXIS, along[0, 0], 0
    before = np.concatenate([before[:, None], along[:, :2]], axis=1)
    sines = (np.cross(before, along) * axis[:, None]).sum(-1)
    axes, rest = np.zeros((NUM_BONES, 3)), np.zeros(NUM_BONES)
    axes[first:] = np.repeat(axis, 3, axis=0)
    rest[first:] = np.arctan2(sines, (before * along).sum(-1)).ravel()
    return axes, rest, spread


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
