"""`argus data synth hands`: what is written is read again, passes all checks, and is the same for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from argusvl.cli.main import run
from argusvl.core.errors import DataError
from argusvl.manipulation.data.formats.folder import HandFolder
from argusvl.synthetic import draw_set, hands
from argusvl.synthetic.hands.camera import project

IMAGES = 12


def test_the_set_is_read_again_and_passes_all_checks(tmp_path: Path) -> None:
    size = ["--images", str(IMAGES), "--seed", "2", "--width", "128", "--height", "112"]
    assert run(["data", "synth", "hands", str(tmp_path / "set"), *size]) == 0
    declared = json.loads((tmp_path / "set" / "manifest.json").read_text())["source"]
    assert declared["path"] == "hands" and declared["options"]["seed"] == 2
    records = HandFolder(tmp_path / "set")
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


def test_what_hands_do_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no language"):
        draw_set("hands", tmp_path / "out", images=1, seed=1, language="en")
    assert not (tmp_path / "out").exists()
