"""A COCO-style JSON of hands, as several public implementations write it for their data.

``images``: ``id``, ``file_name``, ``width``, ``height`` and, if it is the same for all its hands, ``K`` or
``cam_param``. ``annotations``: ``id``, ``image_id``, ``hand_type``, ``bbox`` [left, top, width, height],
``joints_coord_cam`` 21 × 3 in the camera's frame, and where they are known ``joints_img`` (21 × 2 or × 3),
``joint_valid`` (21) and ``K`` or ``cam_param`` ``{"focal": [fx, fy], "princpt": [cx, cy]}``. What such a file does not
say of itself, its unit, the order of its joints and where its pixels begin, is declared and checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from argusvl.core.errors import DataError
from argusvl.core.files import is_file, path_inside
from argusvl.manipulation.data.checking import Bools, Floats
from argusvl.manipulation.data.formats import base
from argusvl.manipulation.data.formats.base import Fields, HandData, PixelOrigin, Unit
from argusvl.manipulation.data.joints import places
from argusvl.manipulation.data.records import HandRecord


class CocoHands(HandData):
    """The hands of a COCO-style JSON, in the order of its annotations.

    Args:
        file: The JSON.
        images: The folder that ``file_name`` is relative to.
        unit: Of ``joints_coord_cam``.
        joint_order: A name of :data:`~argusvl.manipulation.data.joints.ORDERS`.
        pixel_origin: Where pixel (0, 0) lies, for K, boxes and 2-D joints.

    Raises:
        DataError: The file is not such a JSON, or no picture is found below the folder.
    """

    def __init__(
        self, file: str | Path, images: str | Path, *, unit: Unit, joint_order: str, pixel_origin: PixelOrigin
    ) -> None:
        self.path, self.images = Path(file), Path(images)
        self._unit = base.one_of(unit, base.METRES, "unit", self.path)
        self._origin = base.one_of(pixel_origin, ("corner", "centre"), "pixel_origin", self.path)
        places(joint_order)
        self._order = joint_order
        top, own_number = Fields(base.load_json(self.path), self.path), "a number that no other image has"
        pictures = top.needed("images", "a list", list)
        self._annotations = top.needed("annotations", "a list", list)
        self._pictures: dict[Any, Fields] = {}
        for k, value in enumerate(pictures):
            picture = Fields(value, f"{self.path}: images[{k}]")
            name = picture.needed("id", own_number, int | str)
            if name in self._pictures:
                raise base.bad_field(picture.source, "id", name, own_number)
            self._pictures[name] = picture
        self._refuse_other_folder()

    def __len__(self) -> int:
        return len(self._annotations)

    def _record(self, index: int) -> HandRecord:
        source = f"{self.path}: annotations[{index}]"
        entry = Fields(self._annotations[index], source)
        number = entry.needed("image_id", "the id of an image", int | str)
        picture = self._pictures.get(number)
        if picture is None:
            raise base.bad_field(source, "image_id", number, "the id of an image of this file")
        name = picture.needed("file_name", "a path", str)
        inside = "write paths relative to the folder of the option images, which holds all pictures"
        how: dict[str, Any] = {"stated_in": picture.source, "error": DataError, "remedy": inside}
        image = path_inside(self.images, name, links=False, **how)
        size = base.picture_size(image)
        stated = [picture.needed(side, "pixels", int | float) for side in ("width", "height")]
        width, height = base.numbers(stated, (2,), "width, height", picture.source).tolist()
        base.require_size((width, height), size, picture.source)
        stated_k = (one.get(key) for one in (entry, picture) for key in ("K", "cam_param"))
        given = next((value for value in stated_k if value is not None), None)
        joints, valid = self._joints(entry)
        box = entry.numbers("bbox", (4,), "[left, top, width, height]")
        return HandRecord(
            image=image,
            size=size,
            camera=base.parse_camera(given, source, self._origin),
            side=entry.one_of("hand_type", ("left", "right")),
            joints_m=joints,
            joint_valid=valid,
            source=source,
            # An edge is where a pixel begins or ends in either convention: boxes are not moved.
            box_xyxy_px=np.concatenate([box[:2], box[:2] + box[2:]]),
            joints_px=self._marks(entry),
        )

    def _joints(self, entry: Fields) -> tuple[Floats, Bools]:
        written = "21 × 3 numbers, null for a joint that is not known"
        rows, known = entry.joints("joints_coord_cam", written)
        if (valid := entry.get("joint_valid")) is not None:
            every = valid if isinstance(valid, list) else [valid]
            # Some hold a column.
            flat = [v for row in every for v in (row if isinstance(row, list) else [row])]
            known &= base.numbers(flat, (21,), "joint_valid", entry.source) > 0
        return base.parse_joints(rows, known, entry.source, unit=self._unit, order=self._order)

    def _marks(self, entry: Fields) -> Floats | None:
        if entry.get("joints_img") is None:
            return None
        marks = entry.numbers("joints_img", (21, -1))
        if marks.shape[1] < 2:
            raise base.bad_field(entry.source, "joints_img", entry.get("joints_img"), "x and y of each joint")
        return base.parse_marks(marks[:, :2], origin=self._origin, order=self._order)

    def _refuse_other_folder(self) -> None:
        stated = [str(entry.get("file_name")) for entry in list(self._pictures.values())[:100]]
        names = [name for name in stated if not Path(name).anchor and ".." not in Path(name).parts]
        if not names or any(is_file(self.images / name) for name in names):
            return
        near = [self.images.parent, *(one for one in sorted(self.images.glob("*")) if one.is_dir())]
        right = next((folder for folder in near if any(is_file(folder / name) for name in names)), None)
        raise DataError(
            f"none of the first {len(names)} images of {self.path.name} is here, not even {names[0]}",
            where=self.images,
            remedy="name the folder that file_name is relative to" if right is None else f"name {right}",
            slug="hand-data-wrong-folder",
        )
