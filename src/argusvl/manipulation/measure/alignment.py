"""The similarity (rotation, scale, translation) that brings points best onto others, by least squares."""

from __future__ import annotations

import numpy as np

from argusvl.manipulation.data.checking import Bools, Floats


def align_by_similarity(
    moved: Floats, fixed: Floats, valid: Bools | None = None, *, reflection: bool = False
) -> Floats:
    """Brings each set of points onto the other as well as a similarity can (Umeyama, 1991).

    A reflection is no motion: with one, a left hand would pass for a right one. The evaluators of FreiHAND and DexYCB
    permit it, which changes their figure where a prediction is mirrored, or nearly flat; ``reflection`` does so too.

    Args:
        moved: ``[N, P, 3]``, any unit.
        fixed: ``[N, P, 3]``.
        valid: ``[N, P]``: the points that count; all when ``None``. Of fewer than three nothing can be said.
        reflection: Whether the best orthogonal matrix is taken even if it mirrors.

    Returns:
        ``[N, P, 3]``: ``moved``, brought onto ``fixed``; points that do not count are moved along.
    """
    weights = np.ones(moved.shape[:-1]) if valid is None else valid.astype(np.float64)
    shares = (weights / np.maximum(weights.sum(-1, keepdims=True), 1))[..., None]  # [N, P, 1]
    counted = weights[..., None] > 0
    moved_mean = np.where(counted, shares * moved, 0).sum(-2, keepdims=True)
    fixed_mean = np.where(counted, shares * fixed, 0).sum(-2, keepdims=True)
    a, b = np.where(counted, moved - moved_mean, 0), np.where(counted, fixed - fixed_mean, 0)
    u, stretch, vt = np.linalg.svd(np.swapaxes(b, -1, -2) @ a)  # [N, 3, 3]: b ≈ s · R a
    if not reflection:
        mirrored = np.linalg.det(u) * np.linalg.det(vt) < 0
        u[mirrored, :, 2] *= -1
        stretch[mirrored, 2] *= -1
    rotation = u @ vt
    spread = (a**2).sum((-1, -2))
    # All points in one place have no size: they are brought to the other's middle.
    scale = np.divide(stretch.sum(-1), spread, out=np.zeros_like(spread), where=spread > 0)
    aligned: Floats = scale[:, None, None] * (moved - moved_mean) @ np.swapaxes(rotation, -1, -2) + fixed_mean
    return aligned
