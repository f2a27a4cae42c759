"""FreiHAND: four versions of each sample, lists that belong together, folders that are not it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_hands import make_hand
from PIL import Image

from argusvl.core.errors import DataError
from argusvl.manipulation.data.formats.freihand import FreiHand
from argusvl.manipulation.data.reading import open_hands
from argusvl.synthetic.hands.camera import project

K = [[480.0, 0, 111.5], [0, 480.0, 111.5], [0, 0, 1]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    hands = [make_hand(seed=k) for k in range(3)]
    values = {"K": [K] * 3, "xyz": [hand.tolist() for hand in hands]}
    root = tmp_path / "FreiHAND_xyz"  # a name that a file of it has, too
    for part, versions in (("training", 4), ("evaluation", 1)):
        (root / part / "rgb").mkdir(parents=True)
        for number in range(3 * versions):
            Image.new("RGB", (224, 224), (number, 0, 0)).save(root / part / "rgb" / f"{number:08d}.jpg")
        for name, value in values.items():
            (root / f"{part}_{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return root


def test_a_sample_is_read_in_our_terms(root: Path) -> None:
    record = FreiHand(root)[1]
    np.testing.assert_array_equal(record.joints_m, make_hand(seed=1))
    assert record.image.name == "00000001.jpg" and record.side == "right" and record.joint_valid.all()
    assert record.camera[:2, 2].tolist() == [112, 112]
    seen = project(record.joints_m, record.camera)
    assert record.box_xyxy_px is not None
    np.testing.assert_allclose(record.box_xyxy_px, np.clip([*seen.min(0), *seen.max(0)], 0, 224))


def test_versions_are_the_same_samples_before_other_backgrounds(root: Path) -> None:
    data = FreiHand(root, versions=("hom", "auto"))
    assert [record.image.stem.lstrip("0") for record in data] == ["3", "4", "5", "9", "10", "11"]
    np.testing.assert_array_equal(data[0].joints_m, data[3].joints_m)
    assert len(FreiHand(root, "evaluation")) == 3
    assert len(open_hands(root, "freihand", {"versions": "hom,auto"})) == 6  # as on the command line
    with pytest.raises(DataError, match="field 'versions'"):
        FreiHand(root, "evaluation", versions=("hom",))
    with pytest.raises(DataError, match="field 'versions': found 1"):
        FreiHand(root, versions=1)


def rewrite(path: Path, change: Callable[[list], object]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(value)), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "slug", "change"),
    [
        ("K", "camera-missing", lambda k: [None, *k[1:]]),
        ("K", "camera-malformed", lambda k: [np.transpose(k[0]).tolist(), *k[1:]]),
        ("K", "camera-other-resolution", lambda k: [(np.array(k[0]) * [[4], [4], [1]]).tolist(), *k[1:]]),
        ("xyz", "joints-other-unit", lambda xyz: [(np.array(xyz[0]) * 1000).tolist(), *xyz[1:]]),
        ("xyz", "joints-placeholder", lambda xyz: [[[-1, -1, -1], *xyz[0][1:]], *xyz[1:]]),
        ("xyz", "malformed-hand-record", lambda xyz: [xyz[0][:20], *xyz[1:]]),
        ("xyz", "malformed-hand-record", lambda xyz: [[["a", 0, 1], *xyz[0][1:]], *xyz[1:]]),
        ("xyz", "malformed-hand-record", lambda xyz: xyz[:2]),
        ("xyz", "malformed-hand-record", lambda xyz: {}),
    ],
)
def test_a_bad_list_is_an_error_that_names_it(
    root: Path, name: str, slug: str, change: Callable[[list], object]
) -> None:
    rewrite(root / f"training_{name}.json", change)
    with pytest.raises(DataError) as caught:
        FreiHand(root)[0]
    assert caught.value.slug == slug and caught.value.remedy
    assert str(caught.value.where).startswith(str(root))


def test_pictures_that_were_resized_are_found(root: Path) -> None:
    Image.new("RGB", (256, 256)).save(root / "training" / "rgb" / "00000000.jpg")
    with pytest.raises(DataError, match="K is for pictures of 224×224, but the image has 256×256"):
        FreiHand(root)[0]


def test_a_folder_of_another_level_is_told_which_to_name(root: Path, tmp_path: Path) -> None:
    for wrong in (tmp_path, root / "training", root / "training" / "rgb"):
        with pytest.raises(DataError) as caught:
            FreiHand(wrong)
        assert caught.value.slug == "hand-data-wrong-folder" and caught.value.remedy == f"name {root}"
    (root / "training" / "rgb").rename(root / "training" / "pictures")
    with pytest.raises(DataError, match="no training/rgb/"):
        FreiHand(root)


def test_a_missing_list_and_a_cut_one_are_errors(root: Path) -> None:
    (root / "training_xyz.json").write_text("[[1, 2", encoding="utf-8")
    with pytest.raises(DataError, match="malformed JSON"):
        FreiHand(root)
    (root / "training_xyz.json").unlink()
    with pytest.raises(DataError, match="no such file"):
        FreiHand(root)
