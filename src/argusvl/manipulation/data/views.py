"""A record as it is in a changed picture: K, joints, side and object changed by the map of its pixels, together.

What leaves some of it behind (a crop whose labels stay, a mirror that keeps a right hand) cannot be written with this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from argusvl.manipulation.data.checking import Bools, Floats, Side
from argusvl.manipulation.data.records import HandRecord, ObjectPose
from argusvl.synthetic.hands.camera import PictureMap, project


@dataclass(frozen=True, slots=True, eq=False)
class HandView:
    """One hand in one changed picture; fields as in :class:`~argusvl.manipulation.data.records.HandRecord`.

    Attributes:
        camera: ``[3, 3]``: K of the changed picture.
        turn: ``[3, 3]`` orthogonal: old camera's frame → this one's. Its transpose brings predictions back.
        joints_px: ``[21, 2]`` in the changed picture: the marks where there are, else where the joints are seen.
        held: The object, as a rotation of its model; after a mirror, of its model mirrored along its own x.
    """

    camera: Floats
    turn: Floats
    side: Side
    joints_m: Floats
    joint_valid: Bools
    joints_px: Floats
    held: ObjectPose | None
    contact: Bools | None


def view_of(record: HandRecord, change: PictureMap) -> HandView:
    """What a record says after a change of its picture's pixels."""
    camera, turn = change.camera(record.camera)
    joints = record.joints_m @ turn.T
    marks = project(joints, camera) if record.joints_px is None else change.points_px(record.joints_px)
    side, held = record.side, record.held
    if change.mirrors:
        side = "left" if side == "right" else "right"
    if held is not None:
        pose = turn @ held.camera_from_object
        if change.mirrors:  # a mirrored rotation is none: the mirror is given to the model instead
            pose[:, 0] *= -1
        held = replace(held, camera_from_object=pose)
    return HandView(
        camera=camera,
        turn=turn,
        side=side,
        joints_m=joints,
        joint_valid=record.joint_valid,
        joints_px=marks,
        held=held,
        contact=record.contact,
    )
