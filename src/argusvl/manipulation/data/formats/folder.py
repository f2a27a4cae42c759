"""A folder of pictures with one ``hands.json``, for data of one's own.

    {"unit": "mm", "joint_order": "openpose", "pixel_origin": "corner",
     "K": [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], "K_size": [width, height],
     "hands": [{"image": "a.jpg", "side": "right", "box": [left, top, right, bottom], "joints": [[x, y, z], …]}]}

``K`` with the size of the pictures that it is for may stand at the top, for all, or in a hand; ``joints`` are 21 in the
camera's frame, ``null`` for one that is not known. A hand may have ``joints_px`` (21 × 2, ``null`` likewise),
``contact`` (21 booleans: whether the hand touches what it holds near that joint) and ``held``
(``{"name": …, "pose": [R | t] as 3 × 4, t in the declared unit}``). A held object that is a simple solid has its kind
as name and a ``size``, in the declared unit too (see :mod:`~argusvl.synthetic.hands.solids`). Unknown fields are
errors.

:mod:`argusvl.synthetic.hands.folder` writes such folders.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from argusvl.config.messages import did_you_mean
from argusvl.core.errors import DataError, ImageError
from argusvl.core.files import path_inside
from argusvl.manipulation.data.checking import Bools
from argusvl.manipulation.data.formats.base import (
    METRES,
    HandData,
    bad_field,
    find_root,
    joint_rows,
    load_json,
    needed,
    numbers,
    one_of,
    parse_camera,
    parse_joints,
    picture_size,
    require_size,
    shift_pixels,
)
from argusvl.manipulation.data.joints import places, to_our_order
from argusvl.manipulation.data.records import HandRecord, ObjectPose
from argusvl.synthetic.hands.folder import FILE
from argusvl.synthetic.hands.solids import Primitive

TOP_KEYS = {"unit", "joint_order", "pixel_origin", "K", "K_size", "hands"}
HAND_KEYS = {"image", "side", "box", "joints", "joints_px", "K", "K_size", "held", "contact"}
HELD_KEYS = {"name", "pose", "size"}
LARGEST_HELD_M = 2.0
_UNIT_OF_HELD = "write size and the translation of pose in the unit that the file declares"


class HandFolder(HandData):
    """The hands of a folder's ``hands.json``, in its order.

    Args:
        root: The folder.

    Raises:
        DataError: The folder has no such file, or the file does not declare what it must.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = find_root(root, lambda folder: (folder / FILE).is_file(), FILE)
        self.path = self.root / FILE
        self._top = load_json(self.path)
        self._hands = needed(self._top, "hands", self.path, "a list of hands")
        if not isinstance(self._hands, list):
            raise bad_field(self.path, "hands", self._hands, "a list of hands")
        _refuse_unknown(self._top, TOP_KEYS, self.path)
        self._unit = one_of(self._top.get("unit"), METRES, "unit", self.path)
        self._origin = one_of(self._top.get("pixel_origin"), ("corner", "centre"), "pixel_origin", self.path)
        self._order = str(needed(self._top, "joint_order", self.path, "the name of an order"))
        places(self._order)

    def __len__(self) -> int:
        return len(self._hands)

    def record(self, index: int) -> HandRecord:
        """The record at an index from 0."""
        source, hand = f"{self.path}: hands[{index}]", self._hands[index]
        name = needed(hand, "image", source, "the picture's path in this folder")
        _refuse_unknown(hand, HAND_KEYS, source)
        image, size = self._image(name, source)
        rows, known = joint_rows(needed(hand, "joints", source, "21 × 3 numbers"), "joints", source)
        joints, valid = parse_joints(rows, known, source, unit=self._unit, order=self._order)
        marks = hand.get("joints_px")
        if marks is not None:
            marks = to_our_order(numbers(marks, (21, 2), "joints_px", source), self._order)
            marks = shift_pixels(marks, self._origin)
        return HandRecord(
            image=image,
            size=size,
            camera=self._camera(hand, size, source),
            side=one_of(hand.get("side"), ("left", "right"), "side", source),
            joints_m=joints,
            joint_valid=valid,
            source=source,
            box_xyxy_px=numbers(
                needed(hand, "box", source, "[left, top, right, bottom]"), (4,), "box", source
            ),
            joints_px=marks,
            held=self._held(hand.get("held"), source),
            contact=self._contact(hand.get("contact"), source),
        )

    def _image(self, name: Any, source: str) -> tuple[Path, tuple[int, int]]:
        if not isinstance(name, str):
            raise bad_field(source, "image", name, "the picture's path in this folder")
        inside = "put the pictures into this folder, and write their paths relative to it"
        image = path_inside(self.root, name, stated_in=source, error=DataError, remedy=inside)
        try:
            return image, picture_size(image)
        except ImageError as error:
            raise ImageError(
                error.what, where=f"{source}, {image}", remedy=error.remedy, slug=error.slug
            ) from None

    def _camera(self, hand: dict[str, Any], size: tuple[int, int], source: str) -> Any:
        place = hand if hand.get("K") is not None else self._top
        camera = parse_camera(place.get("K"), source, self._origin)
        width, height = numbers(
            needed(place, "K_size", source, "[width, height] of the pictures that K is for"),
            (2,),
            "K_size",
            source,
        )
        require_size((int(width), int(height)), size, source)
        return camera

    def _held(self, held: Any, source: str) -> ObjectPose | None:
        if held is None:
            return None
        name = needed(held, "name", f"{source}.held", "the object's name")
        _refuse_unknown(held, HELD_KEYS, f"{source}.held")
        pose = numbers(needed(held, "pose", f"{source}.held", "3 × 4 numbers"), (3, 4), "held.pose", source)
        pose[:, 3] *= METRES[self._unit]
        return ObjectPose(str(name), pose, self._shape(name, held.get("size"), f"{source}.held"))

    def _shape(self, name: Any, size: Any, source: str) -> Primitive | None:
        if size is None:
            return None
        metres = numbers(size, (-1,), "size", source) * METRES[self._unit]
        if metres.max() > LARGEST_HELD_M:
            told = f"an object of {metres.max():.3g} m, in the declared unit {self._unit}"
            raise DataError(told, where=source, remedy=_UNIT_OF_HELD, slug="malformed-hand-record")
        try:
            return Primitive(name, tuple(metres))
        except DataError as error:
            raise DataError(
                error.what, where=source, remedy=error.remedy, slug="malformed-hand-record"
            ) from None

    def _contact(self, contact: Any, source: str) -> Bools | None:
        if contact is None:
            return None
        if (
            not isinstance(contact, list)
            or len(contact) != 21
            or any(not isinstance(c, bool) for c in contact)
        ):
            raise bad_field(source, "contact", contact, "21 of true or false")
        return to_our_order(np.array(contact), self._order)


def _refuse_unknown(entry: dict[str, Any], known: set[str], source: object) -> None:
    for key in entry:
        if key not in known:
            raise DataError(
                f"unknown field '{key}'{did_you_mean(key, known)}",
                where=source,
                remedy=f"the fields here are {', '.join(sorted(known))}",
                slug="malformed-hand-record",
            )
