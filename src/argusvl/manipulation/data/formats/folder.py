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

from argusvl.core.errors import DataError, ImageError
from argusvl.core.files import path_inside
from argusvl.manipulation.data.checking import Bools, Floats
from argusvl.manipulation.data.formats import base
from argusvl.manipulation.data.formats.base import Fields, HandData
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

    Raises:
        DataError: The folder has no such file, or the file does not declare what it must.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = base.find_root(root, lambda folder: (folder / FILE).is_file(), FILE)
        self.path = self.root / FILE
        self._top = Fields(base.load_json(self.path), self.path, TOP_KEYS)
        self._hands = self._top.needed("hands", "a list of hands", list)
        self._unit = self._top.one_of("unit", base.METRES)
        self._origin = self._top.one_of("pixel_origin", ("corner", "centre"))
        self._order = str(self._top.needed("joint_order", "the name of an order"))
        places(self._order)

    def __len__(self) -> int:
        return len(self._hands)

    def _record(self, index: int) -> HandRecord:
        source = f"{self.path}: hands[{index}]"
        hand = Fields(self._hands[index], source, HAND_KEYS)
        image, size = self._image(hand.needed("image", "the picture's path in this folder", str), source)
        rows, known = hand.joints("joints", "21 × 3 numbers")
        joints, valid = base.parse_joints(rows, known, source, unit=self._unit, order=self._order)
        marks = None
        if hand.get("joints_px") is not None:
            marks = hand.numbers("joints_px", (21, 2))
            marks = base.parse_marks(marks, origin=self._origin, order=self._order)
        return HandRecord(
            image=image,
            size=size,
            camera=self._camera(hand, size),
            side=hand.one_of("side", ("left", "right")),
            joints_m=joints,
            joint_valid=valid,
            source=source,
            box_xyxy_px=hand.numbers("box", (4,), "[left, top, right, bottom]"),
            joints_px=marks,
            held=self._held(hand.get("held"), source),
            contact=self._contact(hand.get("contact"), source),
        )

    def _image(self, name: str, source: str) -> tuple[Path, tuple[int, int]]:
        inside = "put the pictures into this folder, and write their paths relative to it"
        image = path_inside(self.root, name, stated_in=source, links=False, error=DataError, remedy=inside)
        try:
            return image, base.picture_size(image)
        except ImageError as error:
            where = f"{source}, {image}"
            raise ImageError(error.what, where=where, remedy=error.remedy, slug=error.slug) from None

    def _camera(self, hand: Fields, size: tuple[int, int]) -> Floats:
        place = hand if hand.get("K") is not None else self._top
        camera = base.parse_camera(place.get("K"), hand.source, self._origin)
        width, height = place.numbers("K_size", (2,), "[width, height] of the pictures that K is for")
        base.require_size((width, height), size, hand.source)
        return camera

    def _held(self, held: Any, source: str) -> ObjectPose | None:
        if held is None:
            return None
        thing = Fields(held, f"{source}.held", HELD_KEYS)
        name = str(thing.needed("name", "the object's name"))
        pose = thing.numbers("pose", (3, 4), "3 × 4 numbers")
        pose[:, 3] *= base.METRES[self._unit]
        return ObjectPose(name, pose, None if thing.get("size") is None else self._shape(name, thing))

    def _shape(self, name: str, thing: Fields) -> Primitive:
        source, metres = thing.source, thing.numbers("size", (-1,)) * base.METRES[self._unit]
        if metres.max() > LARGEST_HELD_M:
            told = f"an object of {metres.max():.3g} m, in the declared unit {self._unit}"
            raise DataError(told, where=source, remedy=_UNIT_OF_HELD, slug="malformed-hand-record")
        try:
            return Primitive(name, tuple(metres))
        except DataError as error:
            what, remedy = error.what, error.remedy
            raise DataError(what, where=source, remedy=remedy, slug="malformed-hand-record") from None

    def _contact(self, contact: Any, source: str) -> Bools | None:
        if contact is None:
            return None
        right = isinstance(contact, list) and len(contact) == 21 and {*map(type, contact)} == {bool}
        if not right:
            raise base.bad_field(source, "contact", contact, "21 of true or false")
        return to_our_order(np.array(contact), self._order)
