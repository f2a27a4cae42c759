"""`argus data synth hands`: what is written is read again, passes all checks, and is the same for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argusvl.cli.main import run
from argusvl.core.errors import DataError
from argusvl.manipulation.data.formats.folder import HandFolder
from argusvl.synthetic import draw_set, hands
from argusvl.synthetic.hands.camera import project

IMAGES = 12


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hands") / "set"
    hands.generate(folder, images=IMAGES, seed=2, width=128, height=112)
    return folder


def test_the_set_is_read_again_and_passes_all_checks(drawn: Path) -> None:
    records = HandFolder(drawn)
    assert len(records) == IMAGES and records.read()[1] == []
    for index, record in enumerate(records):
        _, scene, _ = hands.draw(2, index, (128, 112))
        assert record.size == (128, 112) and record.side == scene.side and record.joint_valid.all()
        np.testing.assert_allclose(record.joints_m, scene.joints, atol=1e-6)
        seen = project(record.joints_m, record.camera)
        assert np.abs(seen - project(scene.joints, scene.camera)).max() <= 0.01
        assert record.contact is not None and (record.contact == scene.contact).all()
        if scene.solid is None or scene.pose is None:
            assert record.held is None
        else:
            assert record.held is not None and record.held.shape is not None
            assert record.held.name == record.held.shape.kind == scene.solid.kind
            np.testing.assert_allclose(record.held.shape.size, scene.solid.size)
            np.testing.assert_allclose(record.held.camera_from_object, scene.pose, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"language": "en"}, "no language"),
        ({"backgrounds": "nowhere"}, "no such folder"),
        ({"backgrounds": "."}, "there are no pictures"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], said: str, tmp_path: Path) -> None:
    if "backgrounds" in options:
        options = {"backgrounds": tmp_path / str(options["backgrounds"])}
    with pytest.raises(DataError, match=said):
        draw_set("hands", tmp_path / "out", **{"images": 1, "seed": 1} | options)
    assert not (tmp_path / "out").exists()


def test_backgrounds_are_taken_from_a_folder(tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    (photographs / "rooms").mkdir(parents=True)
    Image.new("RGB", (300, 200), (255, 0, 255)).save(photographs / "rooms" / "a.png")
    hands.generate(tmp_path / "set", images=8, seed=1, width=112, height=112, backgrounds=photographs)
    shares = []
    for file in sorted((tmp_path / "set" / "images").iterdir()):
        red, green, blue = np.moveaxis(np.asarray(Image.open(file)).astype(int), -1, 0)
        shares.append(((red > green + 60) & (blue > green + 60)).mean())
    assert sum(share > 0.2 for share in shares) >= 3


def test_the_command_draws_hands(tmp_path: Path) -> None:
    size = ["--images", "2", "--seed", "1", "--width", "128", "--height", "128"]
    assert run(["data", "synth", "hands", str(tmp_path / "set"), *size]) == 0
    assert len(HandFolder(tmp_path / "set")) == 2
    declared = json.loads((tmp_path / "set" / "manifest.json").read_text())["source"]
    assert declared["path"] == "hands" and declared["options"]["seed"] == 1
