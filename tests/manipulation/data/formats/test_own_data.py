"""A COCO-style JSON and a folder with hands.json: what they declare is checked against the hands."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_hands import make_hand
from PIL import Image

from argusvl.core.errors import DataError
from argusvl.manipulation.data.formats.coco import CocoHands
from argusvl.manipulation.data.formats.folder import HandFolder
from argusvl.manipulation.data.joints import ORDERS
from argusvl.synthetic.hands.folder import hand_entry, write_hands
from argusvl.synthetic.hands.solids import Primitive

K = np.array([[400.0, 0, 160], [0, 400, 120], [0, 0, 1]])
MALFORMED = "malformed-hand-record"
DECLARED: dict[str, Any] = {"unit": "m", "joint_order": "openpose", "pixel_origin": "corner"}


def seen(joints: np.ndarray) -> np.ndarray:
    return joints[:, :2] / joints[:, 2:] * 400 + [160, 120]


def box(joints: np.ndarray) -> np.ndarray:
    pixels = seen(joints)
    return np.concatenate([pixels.min(0) - 5, pixels.max(0) + 5])


def in_order(joints: np.ndarray, order: str) -> np.ndarray:
    written = np.zeros_like(joints)
    written[list(ORDERS[order])] = joints
    return written


def read_folder(root: Path, value: Any) -> HandFolder:
    (root / "rgb").mkdir(exist_ok=True)
    Image.new("RGB", (320, 240)).save(root / "rgb" / "a.png")
    (root / "hands.json").write_text(json.dumps(value), encoding="utf-8")
    return HandFolder(root)


def folder_json(joints: np.ndarray) -> dict[str, Any]:
    hand = {
        "image": "rgb/a.png",
        "side": "right",
        "box": box(joints).tolist(),
        "joints": (joints * 1000).tolist(),
        "joints_px": seen(joints).tolist(),
        "held": {"name": "cup", "pose": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 620]]},
    }
    return DECLARED | {"unit": "mm", "K": K.tolist(), "K_size": [320, 240], "hands": [hand]}


def test_a_folder_is_read_in_our_terms(tmp_path: Path) -> None:
    joints = make_hand()
    value = folder_json(joints)
    (record,) = read_folder(tmp_path, value)
    np.testing.assert_allclose(record.joints_m, joints)
    np.testing.assert_allclose(record.joints_px, seen(joints))
    assert record.held is not None and record.held.camera_from_object[2, 3] == 0.62
    value |= {"unit": "cm", "joint_order": "mano", "pixel_origin": "centre"}
    hand = value["hands"][0]
    hand |= {
        "joints": in_order(joints * 100, "mano").tolist(),
        "joints_px": in_order(seen(joints) - 0.5, "mano").tolist(),
    }
    value["K"] = (K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]).tolist()
    del hand["held"]
    (again,) = read_folder(tmp_path, value)
    np.testing.assert_allclose(again.joints_m, joints)
    np.testing.assert_allclose(again.joints_px, seen(joints))
    np.testing.assert_allclose(again.camera, K)


def test_contact_and_the_size_of_a_solid_are_read(tmp_path: Path) -> None:
    value = folder_json(make_hand())
    touching = np.arange(21) % 3 == 0
    hand = value["hands"][0]
    hand["held"] |= {"name": "cylinder", "size": [30, 120]}
    value["joint_order"] = "mano"
    hand |= {name: in_order(np.array(hand[name]), "mano").tolist() for name in ("joints", "joints_px")}
    hand["contact"] = [bool(touches) for touches in in_order(touching, "mano")]
    (record,) = read_folder(tmp_path, value)
    np.testing.assert_array_equal(record.contact, touching)
    assert record.held is not None and record.held.shape == Primitive("cylinder", (0.03, 0.12))


def test_a_folder_that_was_written_is_read_as_it_was(tmp_path: Path) -> None:
    joints, valid = make_hand(seed=3), np.arange(21) != 7
    turn = np.column_stack([np.eye(3)[[1, 2, 0]], [0.01, 0.02, 0.6]])
    solid, touching = Primitive("cone", (0.02, 0.1)), np.arange(21) < 4
    known = np.where(valid[:, None], joints, np.nan)
    marks = np.clip(box(joints), 0, [320, 240, 320, 240])
    first_of = partial(hand_entry, "a.png", (320, 240), K, "right", marks)
    entries = [
        first_of(known, contact=touching, held=("cone", turn), shape=solid),
        first_of(joints, held=("003_cracker_box", turn)),
        first_of(joints),
    ]
    Image.new("RGB", (320, 240)).save(tmp_path / "a.png")
    write_hands(tmp_path, entries)
    first, second, third = HandFolder(tmp_path)
    np.testing.assert_allclose(first.joints_m, known, atol=1e-6)
    np.testing.assert_array_equal(first.joint_valid, valid)
    np.testing.assert_array_equal(first.contact, touching)
    np.testing.assert_allclose(first.camera, K, atol=1e-3)
    assert first.held is not None and (first.held.name, first.held.shape) == ("cone", solid)
    np.testing.assert_allclose(first.held.camera_from_object, turn, atol=1e-8)
    assert second.held is not None and second.held.shape is None and second.contact is None
    assert third.held is None


def put(path: str, new: Any) -> Callable[[dict[str, Any]], None]:
    """Sets a field of the first hand, or at the top; `None` takes it away."""
    place, _, key = path.rpartition(".")

    def change(value: dict[str, Any]) -> None:
        entry = value["hands"][0] if place else value
        if new is None:
            entry.pop(key, None)
        else:
            entry[key] = new(entry.get(key)) if callable(new) else new

    return change


def joint(new: Any) -> Callable[[dict[str, Any]], None]:
    return put("hand.joints", lambda old: [*old[:6], new, *old[7:]])


def held(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return put("hand.held", lambda old: old | fields)


@pytest.mark.parametrize(
    ("slug", "said", "change"),
    [
        ("camera-missing", "no K", put("K", None)),
        (MALFORMED, "expected shape [3, 3], got [2, 2]", put("K", [[1, 0], [0, 1]])),
        ("camera-other-resolution", "K is for pictures of 640×480", put("K_size", [640, 480])),
        ("camera-other-resolution", "K is for pictures of inf×nan", put("K_size", [math.inf, math.nan])),
        ("camera-other-resolution", "2 times K", put("K", (K * [[0.5], [0.5], [1]]).tolist())),
        (MALFORMED, "'K_size': missing", put("K_size", None)),
        (MALFORMED, "'contact'", put("hand.contact", [True, False])),
        (MALFORMED, "'contact'", put("hand.contact", [1] * 21)),
        (MALFORMED, "no solid is known as 'cup'", held(size=[1, 2])),
        (MALFORMED, "no size of a box", held(name="box", size=[1, 2])),
        (MALFORMED, "120 m, in the declared unit mm", held(name="cylinder", size=[30_000, 120_000])),
        (MALFORMED, "in another unit?", held(pose=[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 620_000]])),
        (MALFORMED, "'box'", put("hand.box", [1, 2, 3])),
        ("joints-placeholder", "index_pip", joint([-1, -1, -1])),
        ("joints-not-a-number", "index_pip", joint([0, math.nan, 600])),
        (MALFORMED, "'joints'", put("hand.joints", lambda old: old[:20])),
        (MALFORMED, "'joints'", joint([1, 2])),
        (MALFORMED, "'joints'", joint(["1", 2, 3])),
        ("joints-other-unit", "millimetres read as metres", put("unit", "m")),
        (MALFORMED, "'unit': found \"inch\"", put("unit", "inch")),
        (MALFORMED, "'unit': missing", put("unit", None)),
        (MALFORMED, "'pixel_origin': missing", put("pixel_origin", None)),
        (MALFORMED, "did you mean 'openpose'", put("joint_order", "openpos")),
        ("hand-other-side", "declared a right hand", put("joint_order", "interhand")),  # that of another file
        ("hand-other-side", "declared a left hand", put("hand.side", "left")),
        (MALFORMED, "'side': missing", put("hand.side", None)),
        (MALFORMED, "unknown field 'joint'; did you mean 'joints'", put("hand.joint", [])),
        (MALFORMED, "unknown field 'units'; did you mean 'unit'", put("units", "m")),
        (MALFORMED, "'image': found 5", put("hand.image", 5)),
        ("missing-image", "no such image", put("hand.image", "rgb/b.png")),
    ],
)
def test_a_bad_folder_is_an_error_that_says_what_to_do(
    tmp_path: Path, slug: str, said: str, change: Callable[[dict[str, Any]], None]
) -> None:
    value = folder_json(make_hand())
    change(value)
    with pytest.raises(DataError) as caught:
        read_folder(tmp_path, value)[0]
    assert caught.value.slug == slug and said in caught.value.what, str(caught.value)
    assert caught.value.remedy and caught.value.where
    assert slug != "missing-image" or "hands[0]" in str(caught.value.where)


def test_a_path_out_of_the_folder_and_another_level_are_refused(tmp_path: Path) -> None:
    value, root = folder_json(make_hand()), tmp_path / "mine"
    root.mkdir()
    read_folder(root, value)
    for wrong in (root / "rgb", tmp_path):
        with pytest.raises(DataError) as caught:
            HandFolder(wrong)
        assert caught.value.slug == "hand-data-wrong-folder" and caught.value.remedy == f"name {root}"
    value["hands"][0]["image"] = "../a.png"
    with pytest.raises(DataError, match="not in the folder") as caught:
        read_folder(root, value)[0]
    assert "relative to it" in str(caught.value.remedy) and "hands[0]" in str(caught.value.where)
    (tmp_path / "other").mkdir()
    read_folder(tmp_path / "other", value)
    with pytest.raises(DataError) as caught:
        HandFolder(tmp_path)
    assert caught.value.remedy == f"name one of {root}, {tmp_path / 'other'}"
    with pytest.raises(DataError, match="a file, not a folder"):
        HandFolder(root / "hands.json")


def coco_json(joints: np.ndarray) -> dict[str, Any]:
    x1, y1, x2, y2 = box(joints).tolist()
    annotation = {
        "id": 7,
        "image_id": 3,
        "hand_type": "right",
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "joints_coord_cam": joints.tolist(),
        "joints_img": np.concatenate([seen(joints), joints[:, 2:]], axis=1).tolist(),
        "cam_param": {"focal": [400.0, 400.0], "princpt": [160.0, 120.0]},
        "mano_param": {},
    }
    images = [{"id": 3, "file_name": "s/a.png", "width": 320, "height": 240}]
    return {"images": images, "annotations": [annotation]}


def read_coco(root: Path, value: Any, **declared: Any) -> CocoHands:
    (root / "data" / "s").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (320, 240)).save(root / "data" / "s" / "a.png")
    (root / "train.json").write_text(json.dumps(value), encoding="utf-8")
    return CocoHands(root / "train.json", root / "data", **DECLARED | declared)


def test_a_coco_json_is_read_in_our_terms(tmp_path: Path) -> None:
    joints = make_hand()
    value = coco_json(joints)
    (record,) = read_coco(tmp_path, value)
    np.testing.assert_allclose(record.joints_m, joints)
    np.testing.assert_allclose(record.box_xyxy_px, box(joints))
    np.testing.assert_array_equal(record.camera, K)
    assert record.source.endswith("train.json: annotations[0]")
    # K once for all hands of a picture, in millimetres, some joints unknown.
    del value["annotations"][0]["cam_param"]
    value["images"][0]["K"] = K.tolist()
    value["annotations"][0]["joints_coord_cam"] = (joints * 1000).tolist()
    value["annotations"][0]["joint_valid"] = [int(k != 4) for k in range(21)]
    (record,) = read_coco(tmp_path, value, unit="mm")
    assert np.flatnonzero(~record.joint_valid).tolist() == [4]


@pytest.mark.parametrize(
    ("slug", "said", "place", "new"),
    [
        ("camera-missing", "no K", "cam_param", None),
        (MALFORMED, "'focal': missing", "cam_param", {"princpt": [1, 2]}),
        ("camera-other-resolution", "0.5 times K", "cam_param", {"focal": [800, 800], "princpt": [320, 240]}),
        (MALFORMED, "'image_id': found 99", "image_id", 99),
        (MALFORMED, "'image_id': found [3]", "image_id", [3]),
        (MALFORMED, "'hand_type'", "hand_type", "interacting"),
        (MALFORMED, "'joints_coord_cam': missing", "joints_coord_cam", None),
        (MALFORMED, "'joint_valid'", "joint_valid", [1, 1]),
        (MALFORMED, "'joint_valid'", "joint_valid", [1, [1, 1]]),
        (MALFORMED, "'joints_img'", "joints_img", [[1]] * 21),
    ],
)
def test_a_bad_annotation_is_an_error_that_names_it(
    tmp_path: Path, slug: str, said: str, place: str, new: Any
) -> None:
    value = coco_json(make_hand())
    value["annotations"][0][place] = new
    with pytest.raises(DataError) as caught:
        read_coco(tmp_path, value)[0]
    assert caught.value.slug == slug and said in caught.value.what, str(caught.value)
    assert "annotations[0]" in str(caught.value.where) and caught.value.remedy


@pytest.mark.parametrize("name", ["../outside.png", "/etc/passwd", "data/../../outside.png", "link.png"])
def test_no_picture_outside_of_the_images_folder_is_read(tmp_path: Path, name: str) -> None:
    value = coco_json(make_hand())
    Image.new("RGB", (320, 240)).save(tmp_path / "outside.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link.png").symlink_to("../outside.png")
    value["images"].append(value["images"][0] | {"id": 4, "file_name": name})
    value["annotations"][0]["image_id"] = 4
    with pytest.raises(DataError, match="not in the folder") as caught:
        read_coco(tmp_path, value)[0]
    assert "images[1]" in str(caught.value.where)


def test_pictures_of_another_size_than_stated_are_found(tmp_path: Path) -> None:
    value = coco_json(make_hand())
    value["images"][0] |= {"width": 640, "height": 480}
    with pytest.raises(DataError, match=r"images\[0\]: K is for pictures of 640×480, but the image has 320"):
        read_coco(tmp_path, value)[0]
    for field, wrong in (("width", 10**400), ("file_name", "a" * 5000)):
        with pytest.raises(DataError):
            read_coco(tmp_path, value | {"images": [value["images"][0] | {field: wrong}]})[0]


def test_the_wrong_folder_of_pictures_is_told_which_to_name(tmp_path: Path) -> None:
    value = coco_json(make_hand())
    read_coco(tmp_path, value)
    for wrong in (tmp_path, tmp_path / "data" / "s"):
        with pytest.raises(DataError, match="none of the first 1 images") as caught:
            CocoHands(tmp_path / "train.json", wrong, **DECLARED)
        assert caught.value.slug == "hand-data-wrong-folder"
        assert caught.value.remedy == f"name {tmp_path / 'data'}"


def test_a_file_that_is_no_such_json_is_refused(tmp_path: Path) -> None:
    for value, said in (([], "'images': missing"), ({"images": []}, "'annotations': missing")):
        with pytest.raises(DataError, match=said):
            read_coco(tmp_path, value)
    unhashable, twice = coco_json(make_hand()), coco_json(make_hand())
    unhashable["images"][0]["id"] = [3]
    with pytest.raises(DataError, match=r"images\[0\]: field 'id': found \[3\]"):
        read_coco(tmp_path, unhashable)
    twice["images"] *= 2
    with pytest.raises(DataError, match=r"images\[1\]: field 'id': found 3"):
        read_coco(tmp_path, twice)
