"""Figures of hands: joints, by how well they stand absolutely, relative to the wrist, and after the best similarity.

Metres go in, millimetres come out. Definitions are those of the public evaluators of FreiHAND and DexYCB: errors and
PCK are means over hands for each joint, then over joints; the area under PCK is that of 100 thresholds from 0 to 50 mm,
both included. Beside each figure stands that of the mean pose of the training data, which answers the same for every
picture: a model that does not beat it has collapsed, or has learned nothing from the pictures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from argusvl.core.errors import DataError
from argusvl.core.figures import SPREAD, FigureSpec
from argusvl.manipulation.data.checking import Bools, Floats
from argusvl.manipulation.data.joints import JOINTS, WRIST

MM = 1000.0
THRESHOLDS_MM = np.linspace(0.0, 50.0, 100)

LEAST_GAIN = 0.05
"""Share by which the mean pose must be beaten: another constant answer, such as the median pose that an L1 loss leads
to, or one with a little noise, beats it by a few percent too."""

MEASURED: dict[str, FigureSpec] = {
    "mpjpe": FigureSpec("mean error of the joints in the camera's frame", "lower", "mm"),
    "mpjpe_root": FigureSpec("mean error of the joints relative to the wrist", "lower", "mm"),
    "mpjpe_pa": FigureSpec("mean error of the joints after the best similarity", "lower", "mm"),
    "auc": FigureSpec("area under PCK from 0 to 50 mm in the camera's frame", "higher"),
    "auc_root": FigureSpec("area under PCK from 0 to 50 mm relative to the wrist", "higher"),
    "auc_pa": FigureSpec("area under PCK from 0 to 50 mm after the best similarity", "higher"),
}
"""What :func:`evaluate_hands` gives."""

COMPARED = ("mpjpe_root", "mpjpe_pa")
"""Beside these stand those of the coarse joints and of the mean pose."""

FIGURES: dict[str, FigureSpec] = {
    **MEASURED,
    **{
        f"{name}_coarse": FigureSpec(f"{MEASURED[name].meaning}, before refinement", "lower", "mm")
        for name in COMPARED
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
"""All of an evaluation; ``object_add_s`` and ``contact_f1`` where the data know objects and contact."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure beside that of the mean pose.

    Attributes:
        value: Of the predictions; ``nan`` where no hand could be measured.
        mean_pose: What the mean pose of the training data reaches on the same hands.
        higher_is_better: Which way is better; if so, the figure is a share from 0 to 1.
    """

    value: float
    mean_pose: float
    higher_is_better: bool

    @property
    def collapsed(self) -> bool:
        """Whether the mean pose is as good, or better, or worse by less than :data:`LEAST_GAIN`."""
        if math.isnan(self.value) or math.isnan(self.mean_pose):
            return False
        if self.higher_is_better:
            # Where the mean pose already has nearly all of a share, only what is left can be gained.
            return self.value <= self.mean_pose + LEAST_GAIN * min(self.mean_pose, 1 - self.mean_pose)
        return self.value >= (1 - LEAST_GAIN) * self.mean_pose

    def __str__(self) -> str:
        text = f"{self.value:.4g} (mean pose {self.mean_pose:.4g})"
        return f"{text}, collapse: not better than the mean pose" if self.collapsed else text


@dataclass(frozen=True, slots=True)
class HandFigures:
    """What an evaluation of hands gives.

    Attributes:
        hands: How many had a joint that is known.
        figures: By the names of :data:`MEASURED`.
        per_joint_mm: Joint → mean error relative to the wrist; ``nan`` where it is never known.
    """

    hands: int
    figures: Mapping[str, Measured]
    per_joint_mm: Mapping[str, float]

    @property
    def collapsed(self) -> tuple[str, ...]:
        """The figures in which the mean pose is not beaten."""
        return tuple(name for name, one in self.figures.items() if one.collapsed)

    def worst_joints(self, most: int = 5) -> list[tuple[str, float]]:
        """The joints with the largest errors, worst first."""
        known = [(name, error) for name, error in self.per_joint_mm.items() if not math.isnan(error)]
        return sorted(known, key=lambda one: -one[1])[:most]


def mean_pose(joints_m: Floats, valid: Bools) -> Floats:
    """``[21, 3]``: the mean of each joint over the hands ``[N, 21, 3]`` in which it is known: the baseline.

    Relative to its wrist it is the mean of the relative poses, where all joints are known in all hands.

    Raises:
        DataError: A joint is never known.
    """
    known = valid.sum(0)
    if (known == 0).any():
        raise DataError(
            f"{JOINTS[int(np.argmin(known))]} is known in none of {len(valid)} hands",
            where="mean pose",
            remedy="take it from training data in which each joint is known at least once",
        )
    return np.asarray(np.where(valid[..., None], joints_m, 0).sum(0) / known[:, None])


def evaluate_hands(
    predicted_m: Floats, true_m: Floats, valid: Bools, baseline_m: Floats, *, reflection: bool = False
) -> HandFigures:
    """Scores predicted joints against the true ones.

    Args:
        predicted_m: ``[N, 21, 3]`` in the camera's frame, every one a finite number.
        true_m: ``[N, 21, 3]``; what is not valid is not read.
        valid: ``[N, 21]``. A hand counts relative to the wrist where the wrist is known, and after a similarity where
            three joints are.
        baseline_m: ``[21, 3]``: :func:`mean_pose` of the training data.
        reflection: As the public evaluators have it; see :func:`align_by_similarity`.

    Raises:
        DataError: Shapes contradict each other, or a prediction is no finite number.
    """
    shape = true_m.shape
    if len(shape) != 3 or shape[1:] != (21, 3) or predicted_m.shape != shape or valid.shape != shape[:2]:
        raise DataError(
            f"expected [N, 21, 3] twice and [N, 21], got {predicted_m.shape}, {shape} and {valid.shape}",
            where="evaluate_hands",
            remedy="give as many predictions as hands",
        )
    broken = ~np.isfinite(predicted_m).reshape(len(predicted_m), -1).all(axis=1)
    if broken.any():
        raise DataError(
            f"{broken.sum()} of {len(predicted_m)} predictions are no finite numbers, the first that of hand "
            f"{int(np.argmax(broken))}",
            where="evaluate_hands",
            remedy="look into the model: its figures would mean nothing",
        )
    truth = np.where(valid[..., None], true_m, 0.0)
    ours = _errors(predicted_m, truth, valid, reflection)
    mean = _errors(np.broadcast_to(baseline_m, shape), truth, valid, reflection)
    figures = {}
    for suffix in ("", "_root", "_pa"):
        for name, measure in (("mpjpe", mpjpe), ("auc", area_under_pck)):
            values = measure(ours[suffix]), measure(mean[suffix])
            figures[f"{name}{suffix}"] = Measured(*values, higher_is_better=name == "auc")
    return HandFigures(
        hands=int(valid.any(1).sum()),
        figures={name: figures[name] for name in MEASURED},
        per_joint_mm=dict(zip(JOINTS, _over_hands(ours["_root"]).tolist(), strict=True)),
    )


def mpjpe(errors_mm: Floats) -> float:
    """Mean of errors ``[N, 21]``, ``nan`` where a joint is not known: over the hands, then over the joints."""
    return _mean(_over_hands(errors_mm))


def pck(errors_mm: Floats, thresholds_mm: Floats = THRESHOLDS_MM) -> Floats:
    """``[T]``: the share of joints that are at most so far off, over hands, then over joints, as :func:`mpjpe`."""
    known = ~np.isnan(errors_mm)
    # One threshold after the other: all at once would hold a hundred times the errors.
    per_joint = [_over_hands(np.where(known, errors_mm <= one, np.nan)) for one in thresholds_mm]
    return np.array([_mean(shares) for shares in per_joint])


def area_under_pck(errors_mm: Floats) -> float:
    """Area under :func:`pck` from 0 to 50 mm by trapezoids, as a share of the whole: 1 if every error is 0."""
    return float(np.trapezoid(pck(errors_mm), THRESHOLDS_MM) / np.ptp(THRESHOLDS_MM))


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


def add(predicted: Floats, true: Floats, points_m: Floats) -> float:
    """Mean distance, mm, between where each point of an object is and where the pose puts it.

    ADD of Hinterstoisser et al. (2012). Poses are ``[3, 4]``, camera from object; ``points_m`` is ``[V, 3]``.
    """
    return float(np.linalg.norm(_placed(predicted, points_m) - _placed(true, points_m), axis=-1).mean() * MM)


def add_s(predicted: Floats, true: Floats, points_m: Floats) -> float:
    """Mean distance, mm, from each true point to the nearest that the pose gives: symmetries cost nothing."""
    distances, _ = cKDTree(_placed(predicted, points_m)).query(_placed(true, points_m))
    return float(distances.mean() * MM)


def _placed(pose: Floats, points_m: Floats) -> Floats:
    return np.asarray(points_m @ pose[:, :3].T + pose[:, 3])


def _errors(predicted: Floats, truth: Floats, valid: Bools, reflection: bool) -> dict[str, Floats]:
    """Millimetres ``[N, 21]`` by alignment, ``nan`` where they cannot be told."""
    rooted = valid & valid[:, [WRIST]]
    alignable = valid & (valid.sum(1, keepdims=True) >= 3)
    aligned = align_by_similarity(predicted, truth, alignable, reflection=reflection)
    roots = predicted[:, [WRIST]], truth[:, [WRIST]]
    pairs = {
        "": (predicted, truth, valid),
        "_root": (predicted - roots[0], truth - roots[1], rooted),
        "_pa": (aligned, truth, alignable),
    }
    return {
        name: np.where(known, np.linalg.norm(a - b, axis=-1) * MM, np.nan)
        for name, (a, b, known) in pairs.items()
    }


def _over_hands(values: Floats) -> Floats:
    """``[N, J]`` → ``[J]``: the mean of what is known, ``nan`` where nothing is."""
    known = ~np.isnan(values)
    counts, unknown = known.sum(0), np.full(values.shape[1], np.nan)
    return np.divide(np.where(known, values, 0).sum(0), counts, out=unknown, where=counts > 0)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
