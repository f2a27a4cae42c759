"""Fingers as rows of balls: a quick way to tell what goes through what."""

from __future__ import annotations

import numpy as np

from argusvl.synthetic.hands.arrays import Floats

_RADII_M = np.array(
    [
        [0.0105, 0.0095, 0.0085],
        [0.0085, 0.0075, 0.0068],
        [0.0088, 0.0078, 0.0070],
        [0.0082, 0.0072, 0.0066],
        [0.0072, 0.0064, 0.0058],
    ]
)
"""Of each phalanx of an adult's hand: a little less than the skin's, which gives way."""

_PALM_M, _TIP_M = 0.0115, 0.006
_ALONG = np.array([0.1, 0.45, 0.8])
_KNUCKLES = [5, 9, 13, 17]
_ALONG_PALM = np.array([0.35, 0.6, 0.85])


def balls(joints: Floats) -> tuple[Floats, Floats]:
    """Phalanges as balls along their bones: ``[N, 21, 3]`` joints → centres and radii.

    Centres are ``[N, 5, 3, 3, 3]`` by finger, phalanx and place along it, radii ``[5, 3, 1]``.
    """
    fingers = joints[..., 1:, :].reshape(*joints.shape[:-2], 5, 4, 3)
    start, end = fingers[..., :3, None, :], fingers[..., 1:, None, :]
    return start + _ALONG[:, None] * (end - start), _RADII_M[..., None]


def overlap(joints: Floats) -> Floats:
    """``[N, 21, 3]`` → ``[N]`` metres by which the worst ball of a finger is inside one of another, or of the palm."""
    centres = balls(joints)[0].reshape(-1, 5, 9, 3)
    radii = _RADII_M.repeat(3, axis=1)
    worst = np.zeros(len(joints))
    for finger in range(4):
        for other in range(finger + 1, 5):
            first = 3 if other == finger + 1 else 0  # neighbours are one flesh at their roots
            one, two = ((centres[:, k, first:], radii[k, first:]) for k in (finger, other))
            worst = np.maximum(worst, _inside(*one, *two))
    wrist, knuckles = joints[:, None, :1], joints[:, None, _KNUCKLES]
    palm = (wrist + _ALONG_PALM[:, None, None] * (knuckles - wrist)).reshape(len(joints), -1, 3)
    thick = np.full(palm.shape[1], _PALM_M)
    worst = np.maximum(worst, _inside(centres[:, 0, 3:], radii[0, 3:], palm, thick))
    tips = centres[:, 1:, 6:].reshape(len(joints), -1, 3)
    return np.maximum(worst, _inside(tips, np.full(tips.shape[1], _TIP_M), palm, thick))


def _inside(first: Floats, first_radii: Floats, second: Floats, second_radii: Floats) -> Floats:
    """``[N, A, 3]`` and ``[N, B, 3]`` balls → ``[N]`` by how much the worst two are in each other."""
    apart = np.linalg.norm(first[:, :, None] - second[:, None], axis=-1)
    return np.asarray((first_radii[:, None] + second_radii - apart).max((1, 2)))
