"""What is wrong with a record of a hand is told by its name; what is right, or cannot be told, passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_hands import make_hand

from argusvl.core.errors import DataError
from argusvl.manipulation.data.checking import told_side
from argusvl.manipulation.data.joints import BONES, JOINTS, ORDERS, PARENTS, TIPS, to_our_order
from argusvl.manipulation.data.records import HandRecord, ObjectPose
from argusvl.synthetic.hands.camera import PictureMap, camera_matrix, project

SIZE = (320, 240)
K = camera_matrix(400, 400, 160, 120)
ALL = np.ones(21, dtype=bool)
MALFORMED = "malformed-hand-record"
POSE = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.6]])


def record(joints_m: np.ndarray, **changes: Any) -> HandRecord:
    values: dict[str, Any] = {
        "image": Path("a.jpg"),
        "size": SIZE,
        "camera": K,
        "side": "right",
        "joints_m": joints_m,
        "joint_valid": ALL,
        "source": "hands.json: hands[3]",
    }
    return HandRecord(**values | changes)


def test_a_good_hand_passes_and_a_picture_without_one() -> None:
    joints = make_hand()
    seen = project(joints, K)
    around, held = box(*seen.min(0), *seen.max(0)), ObjectPose("can", POSE)
    assert record(joints, box_xyxy_px=around, joints_px=seen, held=held).shows_hand
    assert not record(np.full((21, 3), np.nan), joint_valid=~ALL).shows_hand


def box(*corners: float) -> np.ndarray:
    return np.array(corners, float)


def one_joint(joints: np.ndarray, value: Any) -> np.ndarray:
    joints = joints.copy()
    joints[7] = value
    return joints


@pytest.mark.parametrize(
    ("slug", "said", "changes"),
    [
        ("camera-malformed", "singular", lambda hand: {"camera": np.zeros((3, 3))}),
        ("camera-malformed", "fx, fy > 0", lambda hand: {"camera": K.T.copy()}),
        ("camera-malformed", "fx, fy > 0", lambda hand: {"camera": K * [[-1, 1, 1]]}),
        ("camera-malformed", "finite", lambda hand: {"camera": K * np.nan}),
        ("camera-malformed", "3 × 3", lambda hand: {"camera": np.eye(3, 4)}),
        ("box-out-of-bounds", "image of 320×240", lambda hand: {"box_xyxy_px": box(9, 9, 321, 99)}),
        ("box-inverted", "no area", lambda hand: {"box_xyxy_px": box(90, 9, 20, 99)}),
        ("box-not-a-number", "finite", lambda hand: {"box_xyxy_px": box(9, 9, np.nan, 99)}),
        ("joints-not-a-number", "index_dip", lambda hand: {"joints_m": one_joint(hand, [0, np.nan, 1])}),
        ("joints-not-a-number", "index_dip", lambda hand: {"joints_m": one_joint(hand, np.inf)}),
        ("joints-behind-camera", "index_dip", lambda hand: {"joints_m": one_joint(hand, [0, 0, -0.5])}),
        ("joints-behind-camera", "before the camera", lambda hand: {"joints_m": hand - hand[0]}),
        # OpenGL's axes
        ("joints-behind-camera", "all joints", lambda hand: {"joints_m": hand * [1, -1, -1]}),
        ("joints-other-unit", "millimetres read as metres", lambda hand: {"joints_m": hand * 1000}),
        ("joints-other-unit", "centimetres read as metres", lambda hand: {"joints_m": hand * 100}),
        ("joints-other-unit", "millimetres read as centimetres", lambda hand: {"joints_m": hand * 10}),
        ("joints-other-unit", "metres read as millimetres", lambda hand: {"joints_m": hand / 1000}),
        ("hand-other-side", "declared a left hand", lambda hand: {"side": "left"}),
        (MALFORMED, "expected left or right", lambda hand: {"side": "Right"}),
        (MALFORMED, "expected [21, 3], got [20, 3]", lambda hand: {"joints_m": hand[:20]}),
        (MALFORMED, "a mirror", lambda hand: {"held": ObjectPose("can", POSE * [[-1], [1], [1]])}),
        (MALFORMED, "stretched", lambda hand: {"held": ObjectPose("can", POSE * 2)}),
        (MALFORMED, "not before the camera", lambda hand: {"held": ObjectPose("can", POSE * [1, 1, 1, -1])}),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_what_to_do(
    slug: str, said: str, changes: Callable[[np.ndarray], dict[str, Any]]
) -> None:
    joints = make_hand()
    with pytest.raises(DataError) as caught:
        record(**{"joints_m": joints} | changes(joints))
    assert caught.value.slug == slug and said in caught.value.what
    assert caught.value.where == "hands.json: hands[3]" and caught.value.remedy


@pytest.mark.parametrize("scale", [0.5, 2.0, 4.0])
def test_a_camera_of_another_resolution_is_found_by_marked_joints_or_a_given_box(scale: float) -> None:
    joints = make_hand()
    seen = project(joints, K)
    camera = PictureMap.resize(SIZE, (round(320 * scale), round(240 * scale))).camera(K)[0]
    for known, said in (
        ({"joints_px": seen}, f"{1 / scale:g} times K would fit"),
        ({"box_xyxy_px": box(*seen.min(0), *seen.max(0))}, "times as large as its box"),
    ):
        with pytest.raises(DataError, match=said) as caught:
            record(joints, camera=camera, **known)
        assert caught.value.slug == "camera-other-resolution"


@pytest.mark.parametrize("inside", [0.2, 0.35, 0.45, 0.7])
def test_a_hand_that_reaches_out_of_its_picture_passes_with_the_box_of_the_part_that_is_seen(
    inside: float,
) -> None:
    joints = make_hand()
    seen = project(joints, K)
    low, high = seen.min(0), seen.max(0)
    for axis in (0, 1):
        moved = joints.copy()
        moved[:, axis] += (SIZE[axis] - low[axis] - inside * (high - low)[axis]) / K[axis, axis] * 0.6
        there = project(moved, K)
        about = np.clip([there.min(0), there.max(0)], 0, SIZE).ravel()
        assert record(moved, box_xyxy_px=about).shows_hand
        with pytest.raises(DataError, match="as large as its box"):
            record(moved, box_xyxy_px=about, camera=K * [[0.5], [0.5], [1]])


def test_and_by_the_picture_alone_only_if_it_is_too_large() -> None:
    large, small = camera_matrix(1600, 1600, 640, 480), camera_matrix(200, 200, 80, 60)
    with pytest.raises(DataError, match="outside the image"):
        record(make_hand(), camera=large)
    record(make_hand(), camera=small)  # the limit that the documentation states


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("bend", [10, 30, 60, 85])
def test_the_side_is_told_however_the_hand_is_turned(side: str, bend: float) -> None:
    for seed in range(20):
        joints = make_hand(side, bend=bend, seed=seed)
        noise = np.random.default_rng(seed).normal(0, 0.001, joints.shape)
        assert told_side(joints + noise, ALL) in ((side,) if bend > 20 else (side, None))


def test_the_side_of_a_flat_hand_or_of_a_few_joints_is_not_guessed() -> None:
    assert told_side(make_hand(bend=3), ALL) is None
    assert told_side(make_hand(), ALL & (np.arange(21) != 5)) is None
    record(make_hand("left", bend=3))
    no_fingers = ALL & np.isin(np.arange(21), [0, 5, 9, 13, 17])
    assert told_side(make_hand(), no_fingers) is None


def test_joints_and_their_orders_name_each_joint_once() -> None:
    assert all(sorted(order) == list(range(21)) for order in ORDERS.values())
    assert len(JOINTS) == len(set(JOINTS)) == 21 and JOINTS[8] == "index_tip"
    assert [JOINTS[k] for k in TIPS] == ["thumb_tip", "index_tip", "middle_tip", "ring_tip", "little_tip"]
    assert PARENTS[5] == 0 and PARENTS[8] == 7 and len(BONES) == 20


def test_orders_bring_each_joint_to_its_place() -> None:
    fingers = ["thumb", "index", "middle", "ring", "little"]
    names = {finger: [name for name in JOINTS if name.startswith(finger)] for finger in fingers}
    mano = ["wrist", *(name for f in ("index", "middle", "little", "ring", "thumb") for name in names[f][:3])]
    mano += [names[finger][3] for finger in fingers]
    interhand = [name for finger in fingers for name in names[finger][::-1]] + ["wrist"]
    rhd = ["wrist", *interhand[:-1]]
    for order, written in {"mano": mano, "interhand": interhand, "rhd": rhd, "openpose": JOINTS}.items():
        assert tuple(to_our_order(np.array(written), order)) == JOINTS
    with pytest.raises(DataError, match="did you mean 'openpose'"):
        to_our_order(np.arange(21), "openpos")
