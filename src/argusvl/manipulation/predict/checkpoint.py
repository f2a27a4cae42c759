"""What a checkpoint holds beside the weights, so that prediction meets the conditions of training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field

from argusvl.core.errors import CheckpointError
from argusvl.core.files import read_json_object, write_text_atomically
from argusvl.core.schemas import Number, Size, checked
from argusvl.manipulation.data.checking import Floats
from argusvl.manipulation.data.dataset import CropSettings
from argusvl.manipulation.data.joints import NUM_JOINTS
from argusvl.manipulation.measure.predictions import AS_IT_IS, TURNED
from argusvl.task_parts import ASSETS_FILE

_REMEDY = "name a checkpoint that `argus train` wrote for the task manipulation, or argus-hand"
_AGAIN = "copy the checkpoint again, or use another one"


_Point = Annotated[list[Number], Field(min_length=3, max_length=3)]


@dataclass(frozen=True, slots=True, eq=False)
class HandAssets:
    """The conditions of training that prediction must meet.

    Attributes:
        image_size: Side of the crop, pixels.
        box_margin: Factor of the longer side of a hand's box.
        mean_pose_m: ``[21][3]``: the mean of the training crops, which every figure stands beside.
        config: The run's configuration, for the record; nothing is read from it.
        quarter_turns: Whether hands were turned by up to a quarter in training: prediction looks at them so, too.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    image_size: Size
    box_margin: Annotated[Number, Field(ge=1)]
    mean_pose_m: Annotated[list[_Point], Field(min_length=NUM_JOINTS, max_length=NUM_JOINTS)]
    config: Mapping[str, Any] = field(default_factory=dict)
    quarter_turns: Annotated[bool, Field(strict=True)] = False

    @property
    def turns(self) -> tuple[int, ...]:
        """Quarter turns that prediction looks at a crop in."""
        return TURNED if self.quarter_turns else AS_IT_IS

    @property
    def crop(self) -> CropSettings:
        """How hands are cut out."""
        return CropSettings(self.image_size, self.box_margin)

    @property
    def mean_pose(self) -> Floats:
        """``[21, 3]`` metres."""
        return np.array(self.mean_pose_m, dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Writes ``argus.json`` into a checkpoint folder."""
        text = json.dumps({"task": "manipulation", **asdict(self)}, ensure_ascii=False, indent=2) + "\n"
        write_text_atomically(folder / ASSETS_FILE, text)

    @classmethod
    def load(cls, folder: Path) -> HandAssets:
        """Inverse of :meth:`save`.

        Raises:
            CheckpointError: The folder is missing, no checkpoint of a hand model, or its file is damaged.
        """
        file = folder / ASSETS_FILE
        if not file.is_file():
            what = "no checkpoint: it holds no argus.json" if folder.is_dir() else "no such checkpoint folder"
            raise CheckpointError(what, where=folder, remedy=_REMEDY)
        value = read_json_object(file, remedy=_AGAIN)
        if value.pop("task", None) != "manipulation":
            raise CheckpointError("a checkpoint of another task", where=folder, remedy=_REMEDY)
        return checked(value, cls, file, remedy=_AGAIN)
