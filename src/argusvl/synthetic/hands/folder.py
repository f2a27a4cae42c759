"""Writing ``hands.json``, the annotations of a folder of pictures with hands.

The fields are those of :mod:`argusvl.manipulation.data.formats.folder`, which reads them. It lies here because what
draws hands knows no task.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from argusvl.core.files import write_text_atomically
from argusvl.synthetic.hands.arrays import Bools, Floats
from argusvl.synthetic.hands.solids import Primitive

FILE = "hands.json"
DIGITS_M = 6  # micrometres
DIGITS_PX = 3
DIGITS_ROTATION = 8


def hand_entry(
    image: str,
    size: tuple[int, int],
    camera: Floats,
    side: str,
    box_xyxy_px: Floats,
    joints_m: Floats,
    *,
    contact: Bools | None = None,
    held: tuple[str, Floats] | None = None,
    shape: Primitive | None = None,
) -> dict[str, Any]:
    """One hand as it stands in the file, with its picture's path in the folder, size and K.

    The box ``[4]`` lies inside the picture. Joints ``[21, 3]`` are in the order of OpenPose, camera's frame, ``nan``
    for one that is not known. ``held`` is the name and the pose ``[3, 4]`` (camera from object) of what it holds; if
    that is a simple solid, ``shape``, the name is its kind.
    """
    entry: dict[str, Any] = {
        "image": image,
        "side": side,
        "box": _rounded(box_xyxy_px, DIGITS_PX),
        "K": _rounded(camera, DIGITS_PX),
        "K_size": list(size),
        "joints": [_rounded(row, DIGITS_M) if np.isfinite(row).all() else None for row in joints_m],
    }
    if contact is not None:
        entry["contact"] = [bool(touches) for touches in contact]
    if held is not None:
        name, pose = held
        entry["held"] = {"name": name, "pose": _rounded(pose, DIGITS_ROTATION)}
        if shape is not None:
            entry["held"]["size"] = _rounded(np.array(shape.size), DIGITS_M)
    return entry


def write_hands(folder: str | Path, entries: Iterable[dict[str, Any]]) -> None:
    """Writes the file, in metres, joints in the order of OpenPose, pixels from the picture's corner.

    Raises:
        ArgusError: It cannot be written.
    """
    top = {"unit": "m", "joint_order": "openpose", "pixel_origin": "corner"}
    # A hand a line: such files are read by people too, and compared by lines.
    lines = ",\n  ".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    head = json.dumps(top)[:-1]
    write_text_atomically(Path(folder) / FILE, f'{head}, "hands": [\n  {lines}\n]}}\n')


def _rounded(values: Floats, digits: int) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()
