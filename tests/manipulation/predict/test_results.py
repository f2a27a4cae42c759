"""Result files have the form that the public evaluators take."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_hands import make_hand

from argusvl.core.errors import DataError
from argusvl.manipulation.predict.results import write_dexycb_results, write_freihand_results


def test_dexycb_has_64_columns_in_millimetres(tmp_path: Path) -> None:
    joints = {7: make_hand(seed=1), 3: make_hand("left", seed=2)}
    write_dexycb_results(tmp_path / "r.txt", joints)
    lines = [line.split(",") for line in (tmp_path / "r.txt").read_text(encoding="utf-8").splitlines()]
    assert [len(line) for line in lines] == [64, 64] and [line[0] for line in lines] == ["7", "3"]
    assert float(lines[0][3]) == pytest.approx(joints[7][0, 2] * 1000, abs=1e-3) and float(lines[0][3]) > 300
    for number, *values in lines:
        written = np.array(values, float).reshape(21, 3) / 1000
        np.testing.assert_allclose(written, joints[int(number)], atol=1e-6)


def test_freihand_has_joints_and_vertices_in_metres(tmp_path: Path) -> None:
    joints = np.stack([make_hand(seed=k) for k in range(3)])
    write_freihand_results(tmp_path / "pred.json", joints)
    written, vertices = json.loads((tmp_path / "pred.json").read_text(encoding="utf-8"))
    np.testing.assert_allclose(written, joints, atol=1e-6)
    assert np.shape(vertices) == (3, 778, 3)
    with pytest.raises(DataError, match="no finite number"):
        write_freihand_results(tmp_path / "pred.json", joints * np.nan)
