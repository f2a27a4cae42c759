"""DexYCB: ten people who grasp one of 20 objects each a hundred times, before eight cameras.

The folder holds ``YYYYMMDD-subject-NN/`` for each of ten subjects with 100 sequences each, ``calibration/`` and
``models/``. A sequence has ``meta.yml`` and a folder of each camera with ``color_NNNNNN.jpg`` and
``labels_NNNNNN.npz``: ``joint_3d`` [1, 21, 3] in metres and ``joint_2d`` [1, 21, 2] in pixels, both -1 throughout
where the frame shows no hand, and ``pose_y`` [objects, 3, 4], zero throughout where an object is not there.

A record's index is the image id of DexYCB's own evaluators. The data are for non-commercial use (CC BY-NC 4.0).
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from argusvl.config.yaml_text import yaml_problem
from argusvl.core.errors import DataError
from argusvl.core.files import open_file, read_text
from argusvl.manipulation.data.checking import Floats
from argusvl.manipulation.data.formats import base
from argusvl.manipulation.data.formats.base import Fields, HandData
from argusvl.manipulation.data.records import HandRecord, ObjectPose

Setup = Literal["s0", "s1", "s2", "s3"]
Split = Literal["train", "val", "test"]

SIZE = (640, 480)
SEQUENCES = 100
"""Of each subject; splits count them in the order of their names."""

SERIALS = (
    *("836212060125", "839512060362", "840412060917", "841412060263"),
    *("932122060857", "932122060861", "932122061900", "932122062010"),
)
"""The cameras, in the order in which splits count them."""

YCB = (
    *("002_master_chef_can", "003_cracker_box", "004_sugar_box", "005_tomato_soup_can", "006_mustard_bottle"),
    *("007_tuna_fish_can", "008_pudding_box", "009_gelatin_box", "010_potted_meat_can", "011_banana"),
    *("019_pitcher_base", "021_bleach_cleanser", "024_bowl", "025_mug", "035_power_drill", "036_wood_block"),
    *("037_scissors", "040_large_marker", "051_large_clamp", "052_extra_large_clamp", "061_foam_brick"),
)
"""The objects; the ids of ``meta.yml`` count from 1."""

_SUBJECT = re.compile(r"\d{8}-\w+(-\d+)?")
_EVERYONE, _EVERY_CAMERA, _EVERY_SEQUENCE = tuple(range(10)), tuple(range(8)), tuple(range(SEQUENCES))
_FIFTH = tuple(k for k in _EVERY_SEQUENCE if k % 5 == 4)


def _of_objects(*grasped: int) -> tuple[int, ...]:
    # Five sequences in a row grasp the same object.
    return tuple(k for k in _EVERY_SEQUENCE if k // 5 in grasped)


SPLITS: dict[tuple[str, str], tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    ("s0", "train"): (_EVERYONE, _EVERY_CAMERA, tuple(k for k in _EVERY_SEQUENCE if k % 5 != 4)),
    ("s0", "val"): ((0, 1), _EVERY_CAMERA, _FIFTH),
    ("s0", "test"): (_EVERYONE[2:], _EVERY_CAMERA, _FIFTH),
    ("s1", "train"): ((0, 1, 2, 3, 4, 5, 9), _EVERY_CAMERA, _EVERY_SEQUENCE),
    ("s1", "val"): ((6,), _EVERY_CAMERA, _EVERY_SEQUENCE),
    ("s1", "test"): ((7, 8), _EVERY_CAMERA, _EVERY_SEQUENCE),
    ("s2", "train"): (_EVERYONE, _EVERY_CAMERA[:6], _EVERY_SEQUENCE),
    ("s2", "val"): (_EVERYONE, (6,), _EVERY_SEQUENCE),
    ("s2", "test"): (_EVERYONE, (7,), _EVERY_SEQUENCE),
    ("s3", "train"): (_EVERYONE, _EVERY_CAMERA, _of_objects(*({*range(20)} - {3, 7, 11, 15, 19}))),
    ("s3", "val"): (_EVERYONE, _EVERY_CAMERA, _of_objects(3, 19)),
    ("s3", "test"): (_EVERYONE, _EVERY_CAMERA, _of_objects(7, 11, 15)),
}
"""Setup and split → numbers of subjects, cameras and sequences. s0: all seen; s1: subjects, s2: views, s3: objects
that were not seen in training."""


class DexYcb(HandData):
    """A split of DexYCB, by sequence, then camera, then frame, of the folder with the subjects and ``calibration/``.

    Raises:
        DataError: The folder is another, or lacks a subject, a sequence or a calibration that the split needs.
    """

    def __init__(self, root: str | Path, setup: Setup, split: Split) -> None:
        self.root = base.find_root(root, _is_root, "calibration/ beside a folder of each subject")
        base.one_of(setup, ("s0", "s1", "s2", "s3"), "setup", self.root)
        base.one_of(split, ("train", "val", "test"), "split", self.root)
        subjects, cameras, sequences = SPLITS[setup, split]
        folders = _sequences(self.root)
        self._cameras = [SERIALS[k] for k in cameras]
        self.sequences = [folders[subject][k] for subject in subjects for k in sequences]
        self._calibrations = [self._calibration(serial) for serial in self._cameras]
        self._metas = [_meta(folder) for folder in self.sequences]
        self._ends = np.cumsum([meta["num_frames"] * len(cameras) for meta in self._metas])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _record(self, index: int) -> HandRecord:
        number = int(np.searchsorted(self._ends, index, side="right"))
        meta, before = self._metas[number], int(self._ends[number - 1]) if number else 0
        camera_number, frame = divmod(index - before, meta["num_frames"])
        folder = self.sequences[number] / self._cameras[camera_number]
        camera = self._calibrations[camera_number]
        source, image = folder / f"labels_{frame:06d}.npz", folder / f"color_{frame:06d}.jpg"
        base.require_size(SIZE, base.picture_size(image), image)
        label = _load_npz(source)
        written, marked = label.numbers("joint_3d", (1, 21, 3))[0], label.numbers("joint_2d", (1, 21, 2))[0]
        if (written == -1).all():
            joints, valid, pixels = np.full((21, 3), np.nan), ~base.ALL_KNOWN, None
        else:
            joints, valid = base.parse_joints(written, base.ALL_KNOWN, source, unit="m", order="openpose")
            pixels = base.parse_marks(marked, origin="centre", order="openpose")
        ids, grasped = meta["ycb_ids"], meta["ycb_grasp_ind"]
        pose = label.numbers("pose_y", (len(ids), 3, 4))[grasped]
        held = ObjectPose(YCB[ids[grasped] - 1], pose) if pose.any() else None
        return HandRecord(
            image=image,
            size=SIZE,
            camera=camera,
            side=meta["mano_sides"][0],
            joints_m=joints,
            joint_valid=valid,
            source=str(source),
            box_xyxy_px=base.box_of_joints(joints, valid, camera, SIZE),
            joints_px=pixels,
            held=held,
            box_given=False,
        )

    def _calibration(self, serial: str) -> Floats:
        path = self.root / "calibration" / "intrinsics" / f"{serial}_{SIZE[0]}x{SIZE[1]}.yml"
        of_camera = Fields(_load_yaml(path), path).needed("color", "fx, fy, ppx and ppy of the colour camera")
        color = Fields(of_camera, f"{path}: color")
        fx, fy, cx, cy = (color.needed(name, "a number") for name in ("fx", "fy", "ppx", "ppy"))
        return base.parse_camera({"focal": [fx, fy], "princpt": [cx, cy]}, path, "centre", "color")


def _is_root(folder: Path) -> bool:
    return (folder / "calibration").is_dir() and bool(_subjects(folder))


def _subjects(root: Path) -> list[Path]:
    return sorted(one for one in root.iterdir() if one.is_dir() and _SUBJECT.fullmatch(one.name))


def _sequences(root: Path) -> list[list[Path]]:
    """The folders of each subject's sequences; the splits count both, so that none may be missing."""
    subjects = _subjects(root)
    if len(subjects) != len(_EVERYONE):
        what = f"{len(subjects)} subjects, where the splits count {len(_EVERYONE)}"
        remedy = "unpack all subjects into this folder"
        raise DataError(what, where=root, remedy=remedy, slug="hand-data-wrong-folder")
    folders = [sorted(one for one in subject.iterdir() if one.is_dir()) for subject in subjects]
    for subject, found in zip(subjects, folders, strict=True):
        if len(found) != SEQUENCES:
            raise DataError(
                f"{len(found)} sequences, where the splits count {SEQUENCES}",
                where=subject,
                remedy="unpack the subject again; where its folder holds another of its name, move that one up",
                slug="hand-data-wrong-folder",
            )
    return folders


def _meta(folder: Path) -> dict[str, Any]:
    path = folder / "meta.yml"
    meta = Fields(_load_yaml(path), path)
    ids = meta.needed("ycb_ids", "the objects' ids, from 1 to 21", list)
    grasped = meta.needed("ycb_grasp_ind", "which of ycb_ids is grasped, from 0", int)
    if meta.needed("num_frames", "how many frames the sequence has", int) < 1:
        raise base.bad_field(path, "num_frames", meta.get("num_frames"), "a whole number from 1")
    if not all(isinstance(k, int) and 1 <= k <= len(YCB) for k in ids):
        raise base.bad_field(path, "ycb_ids", ids, "a list of whole numbers from 1 to 21")
    if not 0 <= grasped < len(ids):
        raise base.bad_field(path, "ycb_grasp_ind", grasped, "a place in ycb_ids, from 0")
    if (sides := meta.get("mano_sides")) not in (["left"], ["right"]):
        raise base.bad_field(path, "mano_sides", sides, "[right] or [left]")
    return meta.value


# A thousand files are read before the first frame: libyaml takes a tenth of the time where PyYAML has it.
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _load_yaml(path: Path) -> Any:
    with base.needed_file(path, "unpack the data set again, calibration included"):
        try:
            return yaml.load(read_text(path), Loader=_YAML)
        except (ValueError, yaml.YAMLError) as error:
            (what, where), remedy = yaml_problem(error, path), "take the file from its source again"
            raise DataError(what, where=where, remedy=remedy, slug="malformed-hand-record") from None


def _load_npz(path: Path) -> Fields:
    with base.needed_file(
        path, "unpack the sequence again: its meta.yml counts this frame", "malformed-hand-record"
    ):
        try:
            with open_file(path) as stream, np.load(stream, allow_pickle=False) as arrays:
                wanted = ("joint_3d", "joint_2d", "pose_y")
                return Fields({name: arrays[name] for name in wanted if name in arrays}, path)
        except (ValueError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
            what, remedy = f"is damaged: {error}", "unpack the sequence again"
            raise DataError(what, where=path, remedy=remedy, slug="malformed-hand-record") from None
