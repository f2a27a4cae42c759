"""One hand in one picture: what is known of it, checked when the record is built; and after a change of the picture.

Metres in the camera's frame (x right, y down, z forward), pixels counted from the picture's corner (see
:mod:`~argusvl.synthetic.hands.camera`), joints in the order of :mod:`~argusvl.manipulation.data.joints`. What is not
known is masked: ``nan`` where a joint is not valid, never a coordinate that might be one.

A change of the picture's pixels changes K, joints, side and object together. What leaves some of it behind (a crop
whose labels stay, a mirror that keeps a right hand) cannot be written with :func:`view_of`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from argus_doctor.findings import catalogue
from argusvl.core.errors import DataError
from argusvl.manipulation.data.checking import (
    Bools,
    Floats,
    Problem,
    Side,
    box_problem,
    camera_problem,
    joints_problem,
    pose_problem,
    reach_problem,
    side_problem,
    view_problem,
)
from argusvl.manipulation.data.joints import NUM_JOINTS
from argusvl.synthetic.hands.camera import PictureMap, project
from argusvl.synthetic.hands.solids import Primitive


@dataclass(frozen=True, slots=True, eq=False)
class ObjectPose:
    """The object that a hand holds.

    Attributes:
        name: E.g. ``003_cracker_box``.
        camera_from_object: ``[3, 4]`` float64: rotation and translation (metres), object's frame → camera's frame.
        shape: Where the object is a simple solid; its kind is the name then. A mirror leaves it as it is.
    """

    name: str
    camera_from_object: Floats
    shape: Primitive | None = None


@dataclass(frozen=True, slots=True, eq=False)
class HandRecord:
    """One hand in one picture.

    Attributes:
        size: ``(width, height)`` of the picture, pixels.
        camera: ``[3, 3]`` float64 K.
        joints_m: ``[21, 3]`` float64, camera's frame; ``nan`` where not valid.
        joint_valid: ``[21]`` bool. All false: the picture shows no hand.
        source: File and line or entry, for messages.
        box_xyxy_px: ``[4]`` float64 inside the picture; ``None`` where no part of a hand is in it.
        joints_px: ``[21, 2]`` float64 where 2-D joints are marked, ``nan`` for those that are not; they may lie
            outside the picture.
        held: The object that it holds.
        contact: ``[21]`` bool: whether the hand's surface near the joint touches what it holds; ``None`` where that is
            not known.
        box_given: Whether the box was annotated, and so can be held against the joints; else it was made of them.

    Raises:
        DataError: It contradicts itself, or what a hand can be; the error names the source and what to do.
    """

    image: Path
    size: tuple[int, int]
    camera: Floats
    side: Side
    joints_m: Floats
    joint_valid: Bools
    source: str
    box_xyxy_px: Floats | None = None
    joints_px: Floats | None = None
    held: ObjectPose | None = None
    contact: Bools | None = None
    box_given: bool = True

    def __post_init__(self) -> None:
        if (problem := self._problem()) is not None:
            raise record_error(problem, self.source)

    @property
    def shows_hand(self) -> bool:
        """Whether any joint is known."""
        return bool(self.joint_valid.any())

    def _problem(self) -> Problem | None:
        joints, valid = self.joints_m, self.joint_valid
        for name, array, shape in (
            ("joints_m", joints, (NUM_JOINTS, 3)),
            ("joint_valid", valid, (NUM_JOINTS,)),
            ("joints_px", self.joints_px, (NUM_JOINTS, 2)),
            ("contact", self.contact, (NUM_JOINTS,)),
        ):
            if array is not None and array.shape != shape:
                return "malformed-hand-record", f"{name}: expected {list(shape)}, got {list(array.shape)}"
        if self.side not in ("left", "right"):
            return "malformed-hand-record", f"side: expected left or right, got {self.side!r}"
        box, pose = self.box_xyxy_px, None if self.held is None else self.held.camera_from_object
        stated = {"joints_px": self.joints_px, "box": box if self.box_given else None}
        return (
            camera_problem(self.camera)
            or (None if box is None else box_problem(box, self.size))
            or joints_problem(joints, valid)
            or view_problem(self.camera, self.size, joints, valid, **stated)
            or side_problem(joints, valid, self.side)
            or (None if pose is None else pose_problem(pose) or reach_problem(pose, joints))
        )


def record_error(problem: Problem, source: object) -> DataError:
    """A problem as the error that names its place and what to do."""
    slug, text = problem
    return DataError(text, where=source, remedy=catalogue()[slug].remedies[0], slug=slug)


@dataclass(frozen=True, slots=True, eq=False)
class HandView:
    """One hand in one changed picture; fields as in :class:`HandRecord`.

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
