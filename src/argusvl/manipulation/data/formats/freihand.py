"""FreiHAND: right hands in pictures of 224 × 224 pixels, each training sample with four backgrounds.

The folder holds ``training/rgb/NNNNNNNN.jpg`` and ``evaluation/rgb/…``, and beside them lists in JSON:
``training_K.json`` (3 × 3) and ``training_xyz.json`` (21 × 3, metres). The pictures of version v of sample k have the
number ``k + v · samples``. The data are for research, not for commercial use.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from argusvl.core.errors import DataError
from argusvl.manipulation.data.formats import base
from argusvl.manipulation.data.formats.base import HandData
from argusvl.manipulation.data.records import HandRecord

Part = Literal["training", "evaluation"]

VERSIONS = ("gs", "hom", "sample", "auto")
"""Backgrounds of the training pictures: green screen, harmonised, coloured from samples, coloured freely."""

SIZE = (224, 224)


class FreiHand(HandData):
    """A part of FreiHAND: all samples of the first version, then of the next.

    Args:
        root: The folder with ``training_K.json``, or ``evaluation_K.json``.
        part: ``training``, or ``evaluation``, whose joints were published later.
        versions: Which backgrounds; ``evaluation`` has ``gs`` alone.

    Raises:
        DataError: The folder is another, or its lists are of unequal length.
    """

    def __init__(
        self, root: str | Path, part: Part = "training", *, versions: tuple[str, ...] = ("gs",)
    ) -> None:
        base.one_of(part, ("training", "evaluation"), "part", root)
        expected = f"{part}_K.json, {part}_xyz.json and {part}/rgb/"
        self.root = base.find_root(root, lambda folder: (folder / f"{part}_K.json").is_file(), expected)
        if not isinstance(versions, tuple):
            raise base.bad_field(root, "versions", versions, f"a list of {', '.join(VERSIONS)}")
        for version in versions:
            base.one_of(version, VERSIONS if part == "training" else VERSIONS[:1], "versions", self.root)
        if not (self.root / part / "rgb").is_dir():
            remedy = "unpack the pictures beside the lists"
            raise DataError(f"no {part}/rgb/", where=self.root, remedy=remedy, slug="hand-data-wrong-folder")
        self._part, self._versions = part, versions
        self._lists = {name: self._list(name) for name in ("K", "xyz")}
        lengths = {name: len(values) for name, values in self._lists.items()}
        if len(set(lengths.values())) != 1:
            told = ", ".join(f"{count} in {part}_{name}.json" for name, count in lengths.items())
            what, remedy = f"samples do not belong together: {told}", "take all lists from the same release"
            raise DataError(what, where=self.root, remedy=remedy, slug="malformed-hand-record")
        self._samples = len(self._lists["K"])

    def __len__(self) -> int:
        return self._samples * len(self._versions)

    def _record(self, index: int) -> HandRecord:
        version, sample = divmod(index, self._samples)
        number = sample + VERSIONS.index(self._versions[version]) * self._samples
        image = self.root / self._part / "rgb" / f"{number:08d}.jpg"
        source = f"{self.root / self._part}_xyz.json[{sample}]"
        base.require_size(SIZE, size := base.picture_size(image), image)
        of_camera = f"{self.root / self._part}_K.json[{sample}]"
        camera = base.parse_camera(self._lists["K"][sample], of_camera, "centre")
        written = base.numbers(self._lists["xyz"][sample], (21, 3), "xyz", source)
        joints, valid = base.parse_joints(written, base.ALL_KNOWN, source, unit="m", order="openpose")
        return HandRecord(
            image=image,
            size=size,
            camera=camera,
            side="right",
            joints_m=joints,
            joint_valid=valid,
            source=source,
            box_xyxy_px=base.box_of_joints(joints, valid, camera, size),
            box_given=False,
        )

    def _list(self, name: str) -> list[Any]:
        path = self.root / f"{self._part}_{name}.json"
        value = base.load_json(path)
        if not isinstance(value, list) or not value:
            raise base.bad_field(path, name, value, "a list with an entry for each sample")
        return value
