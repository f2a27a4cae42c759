"""Small data sets in the exact layout of the public ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

SUBJECTS = (
    *("20200709-subject-01", "20200813-subject-02", "20200820-subject-03", "20200903-subject-04"),
    *("20200908-subject-05", "20200918-subject-06", "20200928-subject-07", "20201002-subject-08"),
    *("20201015-subject-09", "20201022-subject-10"),
)
CAMERAS = (
    *("836212060125", "839512060362", "840412060917", "841412060263"),
    *("932122060857", "932122060861", "932122061900", "932122062010"),
)


def picture(path: Path, size: tuple[int, int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 60)).save(path)
    return path


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def pixels_by_centre(joints: np.ndarray, fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    return np.stack([fx * joints[:, 0] / joints[:, 2] + cx, fy * joints[:, 1] / joints[:, 2] + cy], axis=-1)


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
        picture(folder / f"color_{number:06d}.jpg", changes.pop("size", (640, 480)))
        none = joints is None
        pose = np.concatenate([np.eye(3), [[0.0], [0.0], [0.7]]], axis=1)
        arrays = {
            "seg": np.zeros((480, 640), np.uint8),
            "pose_y": np.stack([pose, pose]).astype(np.float32),
            "pose_m": np.zeros((1, 51), np.float32),
            "joint_3d": np.full((1, 21, 3), -1.0, np.float32) if none else joints[None].astype(np.float32),
            "joint_2d": np.full((1, 21, 2), -1.0, np.float32)
            if none
            else pixels_by_centre(joints, 600, 610, 319.5, 239.5)[None].astype(np.float32),
        }
        path = folder / f"labels_{number:06d}.npz"
        np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
        return path

    return write
