"""After any change of the picture all that a record says still belongs together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_hands import make_hand
from scipy.spatial.transform import Rotation

from argusvl.manipulation.data.checking import pose_problem, told_side
from argusvl.manipulation.data.records import HandRecord, ObjectPose, view_of
from argusvl.synthetic.hands.camera import PictureMap, camera_matrix, project
from argusvl.synthetic.hands.solids import Primitive

SIZE = (320, 240)
K = camera_matrix(410, 430, 155, 128)
MODEL = np.random.default_rng(0).uniform(-0.04, 0.04, (50, 3))


def place(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ pose[:, :3].T + pose[:, 3]


@pytest.fixture
def record() -> HandRecord:
    joints = make_hand(seed=5)
    pose = np.concatenate([Rotation.random(random_state=1).as_matrix(), [[0.02], [0.01], [0.6]]], axis=1)
    return HandRecord(
        image=Path("a.png"),
        size=SIZE,
        camera=K,
        side="right",
        joints_m=joints,
        joint_valid=np.ones(21, bool),
        source="a.json: hands[0]",
        joints_px=project(joints, K),
        held=ObjectPose("cylinder", pose, Primitive("cylinder", (0.03, 0.12))),
        contact=np.arange(21) % 4 == 0,
    )


def some_change(seed: int) -> PictureMap:
    generator = np.random.default_rng(seed)
    change = PictureMap.rotation(SIZE, float(generator.uniform(-90, 90)))
    if generator.random() < 0.5:
        change = change.then(PictureMap.mirror(SIZE))
    left, top = generator.uniform(-40, 100, 2)
    side = float(generator.uniform(60, 220))
    return change.then(PictureMap.crop((left, top, left + side, top + side), (96, 96)))


@pytest.mark.parametrize("seed", range(12))
def test_everything_moves_together(record: HandRecord, seed: int) -> None:
    change = some_change(seed)
    view = view_of(record, change)
    assert view.held is not None
    assert np.abs(project(view.joints_m, view.camera) - view.joints_px).max() <= 0.01
    assert view.side == told_side(view.joints_m, view.joint_valid) == ("left" if change.mirrors else "right")
    np.testing.assert_allclose(view.joints_m @ view.turn, record.joints_m, atol=1e-12)  # and back
    np.testing.assert_array_equal(view.contact, record.contact)
    # The object: a proper rotation whose points are seen where the pixels went.
    assert pose_problem(view.held.camera_from_object) is None
    before = change.points_px(project(place(record.held.camera_from_object, MODEL), K))  # type: ignore[union-attr]
    model = MODEL * [-1, 1, 1] if change.mirrors else MODEL
    assert np.abs(project(place(view.held.camera_from_object, model), view.camera) - before).max() <= 0.01
    # A solid is its own mirror image: as far from the joints as before, with no mirrored model.
    gaps = []
    for held, joints in ((record.held, record.joints_m), (view.held, view.joints_m)):
        assert held is not None and held.shape == Primitive("cylinder", (0.03, 0.12))
        gaps.append(
            held.shape.distance((joints - held.camera_from_object[:, 3]) @ held.camera_from_object[:, :3])
        )
    np.testing.assert_allclose(gaps[0], gaps[1], atol=1e-12)


def test_joints_that_are_not_known_stay_so() -> None:
    joints, valid = make_hand(), np.arange(21) != 4
    joints[4] = np.nan
    record = HandRecord(Path("a.png"), SIZE, K, "right", joints, valid, "a.json: hands[0]")
    view = view_of(record, some_change(1))
    assert np.isnan(view.joints_m[4]).all() and np.isnan(view.joints_px[4]).all() and not view.joint_valid[4]
    assert np.isfinite(view.joints_px[valid]).all()
