"""DexYCB: its splits, its frames without a hand, its -1, and folders that are not it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from made_hands import make_hand
from PIL import Image

from argusvl.core.errors import DataError
from argusvl.manipulation.data.formats.dexycb import SERIALS, SPLITS, DexYcb
from argusvl.synthetic.hands.camera import project

Frame = Callable[..., Path]
SUBJECTS = (
    *("20200709-subject-01", "20200813-subject-02", "20200820-subject-03", "20200903-subject-04"),
    *("20200908-subject-05", "20200918-subject-06", "20200928-subject-07", "20201002-subject-08"),
    *("20201015-subject-09", "20201022-subject-10"),
)
CAMERAS = (
    *("836212060125", "839512060362", "840412060917", "841412060263"),
    *("932122060857", "932122060861", "932122061900", "932122062010"),
)
FIRST = "20200709-subject-01/20200709_100000"
CAMERA = CAMERAS[0]
NINTH = np.arange(21)[:, None] == 9

# Facts of the published splits, of train, val and test: subjects, sequences of each, cameras.
COUNTS = {
    "s0": ((10, 80, 8), (2, 20, 8), (8, 20, 8)),
    "s1": ((7, 100, 8), (1, 100, 8), (2, 100, 8)),
    "s2": ((10, 100, 6), (10, 100, 1), (10, 100, 1)),
    "s3": ((10, 75, 8), (10, 10, 8), (10, 15, 8)),
}


def pixels_by_centre(joints: np.ndarray, scale: int = 1) -> np.ndarray:
    """As a camera sees them whose pixels are so many times finer."""
    return scale * (joints[:, :2] / joints[:, 2:] * [600, 610] + [319.5, 239.5])


@pytest.fixture(scope="session")
def dexycb_skeleton(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All folders and meta.yml of DexYCB, each sequence of three frames; no frame yet."""
    root = tmp_path_factory.mktemp("dex-ycb")
    for camera in CAMERAS:
        path = root / "calibration" / "intrinsics" / f"{camera}_640x480.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        color = {"fx": 600.0, "fy": 610.0, "ppx": 319.5, "ppy": 239.5}
        path.write_text(yaml.safe_dump({"color": color, "depth": color}), encoding="utf-8")
    (root / "models").mkdir()
    for s, subject in enumerate(SUBJECTS):
        for k in range(100):
            folder = root / subject / f"{subject[:8]}_{100000 + k}"
            folder.mkdir(parents=True)
            side = "left" if k % 2 else "right"
            text = f"serials: []\nnum_frames: 3\nycb_ids: [2, {k // 5 + 1}]\nycb_grasp_ind: 1\nmano_sides: [{side}]\n"
            (folder / "meta.yml").write_text(text + f"mano_calib: [subject-{s + 1:02d}]\n", encoding="utf-8")
    return root


@pytest.fixture
def frame(dexycb_skeleton: Path) -> Callable[..., Path]:
    """Writes one frame; what is not given is as in the data set."""

    def write(sequence: str, camera: str, number: int, joints: np.ndarray | None, **changes: Any) -> Path:
        folder = dexycb_skeleton / sequence / camera
        folder.mkdir(exist_ok=True)
        Image.new("RGB", changes.pop("size", (640, 480))).save(folder / f"color_{number:06d}.jpg")
        hand, marks = np.full((21, 3), -1.0), np.full((21, 2), -1.0)
        if joints is not None:
            hand, marks = joints, pixels_by_centre(joints)
        pose = np.concatenate([np.eye(3), [[0.0], [0.0], [0.7]]], axis=1)
        arrays = {
            "seg": np.zeros((480, 640), np.uint8),
            "pose_y": np.stack([pose, pose]).astype(np.float32),
            "pose_m": np.zeros((1, 51), np.float32),
            "joint_3d": hand[None].astype(np.float32),
            "joint_2d": marks[None].astype(np.float32),
        }
        path = folder / f"labels_{number:06d}.npz"
        np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
        return path

    return write


@pytest.fixture(scope="module")
def data(dexycb_skeleton: Path) -> DexYcb:
    return DexYcb(dexycb_skeleton, "s0", "train")


def test_each_setup_splits_all_sequences_and_views_as_published() -> None:
    for setup, counts in COUNTS.items():
        seen: list[tuple[int, int, int]] = []
        for split, count in zip(("train", "val", "test"), counts, strict=True):
            subjects, cameras, sequences = SPLITS[setup, split]
            assert (len(subjects), len(sequences), len(cameras)) == count
            seen += itertools.product(subjects, cameras, sequences)
        assert len(seen) == len(set(seen)) == 10 * 100 * 8


def test_splits_take_the_published_sequences(dexycb_skeleton: Path, data: DexYcb) -> None:
    assert len(data) == 10 * 80 * 8 * 3 and len(data.sequences) == 10 * 80

    def numbers(setup: str, split: str) -> set[int]:
        return {int(one.name[-6:]) - 100000 for one in DexYcb(dexycb_skeleton, setup, split).sequences}

    assert numbers("s0", "test") == set(range(4, 100, 5))
    assert numbers("s3", "val") == {*range(15, 20), *range(95, 100)}
    assert numbers("s3", "test") == {*range(35, 40), *range(55, 60), *range(75, 80)}
    unseen = DexYcb(dexycb_skeleton, "s1", "test")
    assert {one.parent.name for one in unseen.sequences} == {"20201002-subject-08", "20201015-subject-09"}
    assert len(unseen) == 2 * 100 * 8 * 3
    assert SPLITS["s2", "test"][1] == (7,) and SERIALS[7] == "932122062010"


def test_a_frame_is_read_in_our_terms(data: DexYcb, frame: Frame) -> None:
    joints = make_hand("right", seed=2)
    frame(FIRST, CAMERA, 1, joints)
    record = data[1]
    assert record.image.is_file() and record.size == (640, 480) and record.side == "right"
    np.testing.assert_allclose(record.joints_m, joints, atol=1e-6)
    assert record.camera.tolist() == [[600, 0, 320], [0, 610, 240], [0, 0, 1]]  # a pixel's centre is at .5
    np.testing.assert_allclose(project(record.joints_m, record.camera), record.joints_px, atol=1e-3)
    assert record.held is not None and record.held.name == "002_master_chef_can"
    box = record.box_xyxy_px
    assert box is not None
    np.testing.assert_allclose(box, [*record.joints_px.min(0), *record.joints_px.max(0)], atol=1e-3)


def test_an_index_is_the_image_id_of_the_public_evaluators(data: DexYcb, frame: Frame) -> None:
    # Sequence by sequence, in it camera by camera, in it frame by frame; the second sequence is a left hand.
    frame("20200709-subject-01/20200709_100001", "839512060362", 2, make_hand("left"))
    record = data[3 * 8 + 3 + 2]
    assert record.image.as_posix().endswith("20200709_100001/839512060362/color_000002.jpg")
    assert record.side == "left"


def test_minus_one_throughout_is_no_hand_and_no_coordinate(data: DexYcb, frame: Frame) -> None:
    frame(FIRST, CAMERA, 0, None)
    record = data[0]
    assert not record.shows_hand and np.isnan(record.joints_m).all()
    assert record.box_xyxy_px is None and record.joints_px is None and record.held is not None


def test_an_object_that_is_not_there_has_no_pose(data: DexYcb, frame: Frame) -> None:
    frame(FIRST, CAMERA, 0, make_hand(), pose_y=np.zeros((2, 3, 4), np.float32))
    assert data[0].held is None


@pytest.mark.parametrize(
    ("slug", "said", "change"),
    [
        ("joints-placeholder", "middle_mcp", lambda hand: {"joints": np.where(NINTH, -1, hand)}),
        ("joints-other-unit", "millimetres", lambda hand: {"joints": hand * 1000}),
        ("camera-other-resolution", "320×240", lambda hand: {"size": (320, 240)}),
        ("camera-other-resolution", "2 times K", lambda hand: {"joint_2d": pixels_by_centre(hand, 2)[None]}),
        ("malformed-hand-record", "joint_3d", lambda hand: {"joint_3d": np.zeros((2, 21, 3))}),
        ("malformed-hand-record", "'joint_3d': missing", lambda hand: {"joint_3d": None}),
        ("malformed-hand-record", "pose_y", lambda hand: {"pose_y": np.zeros((3, 3, 4))}),
    ],
)
def test_a_bad_frame_is_an_error_that_names_it(
    data: DexYcb, frame: Frame, slug: str, said: str, change: Callable[[np.ndarray], dict[str, Any]]
) -> None:
    hand = make_hand()
    path = frame(FIRST, CAMERA, 0, **{"joints": hand} | change(hand))
    with pytest.raises(DataError) as caught:
        data[0]
    assert caught.value.slug == slug and said in caught.value.what and caught.value.remedy
    assert str(caught.value.where).startswith(str(path.parent))


def test_frames_that_are_missing_or_damaged_are_errors_and_never_noise(data: DexYcb, frame: Frame) -> None:
    path = frame(FIRST, CAMERA, 2, make_hand())
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(DataError, match="damaged"):
        data[2]
    path.unlink()
    with pytest.raises(DataError, match="no such file"):
        data[2]
    path.with_name("color_000002.jpg").unlink()
    with pytest.raises(DataError, match="no such image") as caught:
        data[2]
    assert caught.value.slug == "missing-image"


def test_another_folder_and_another_setup_are_refused(dexycb_skeleton: Path) -> None:
    with pytest.raises(DataError, match="not the data set's folder") as caught:
        DexYcb(dexycb_skeleton / "20200709-subject-01", "s0", "train")
    assert caught.value.remedy == f"name {dexycb_skeleton}"
    with pytest.raises(DataError, match="no such folder"):
        DexYcb(dexycb_skeleton / "nowhere", "s0", "train")
    with pytest.raises(DataError, match="field 'setup'"):
        DexYcb(dexycb_skeleton, "s4", "train")  # type: ignore[arg-type]


def test_a_part_of_the_data_set_is_not_split_as_if_it_were_all(tmp_path: Path) -> None:
    (tmp_path / "calibration").mkdir()
    (tmp_path / "20200709-subject-01" / "20200709_141754").mkdir(parents=True)
    with pytest.raises(DataError, match="1 subjects, where the splits count 10"):
        DexYcb(tmp_path, "s0", "train")
    for k in range(2, 11):
        (tmp_path / f"20200709-subject-{k:02d}").mkdir()
    with pytest.raises(DataError, match="1 sequences, where the splits count 100"):
        DexYcb(tmp_path, "s0", "train")


def test_a_bad_meta_file_names_the_field(dexycb_skeleton: Path) -> None:
    path = dexycb_skeleton / FIRST / "meta.yml"
    good = path.read_text(encoding="utf-8")
    try:
        for line, field in (
            ("num_frames: none", "num_frames"),
            ("ycb_ids: [99]", "ycb_ids"),
            ("ycb_grasp_ind: 7", "ycb_grasp_ind"),
            ("mano_sides: [both]", "mano_sides"),
        ):
            lines = [line if one.startswith(field) else one for one in good.splitlines()]
            path.write_text("\n".join(lines), encoding="utf-8")
            with pytest.raises(DataError, match=f"field '{field}': found") as caught:
                DexYcb(dexycb_skeleton, "s0", "train")
            assert caught.value.where == str(path)
    finally:
        path.write_text(good, encoding="utf-8")
