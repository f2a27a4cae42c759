"""Predicted hands in the files that the public evaluators of DexYCB and FreiHAND take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from argusvl.core.errors import DataError
from argusvl.core.files import cannot_read, read_text, write_text_atomically
from argusvl.manipulation.data.checking import Floats
from argusvl.manipulation.data.joints import NUM_JOINTS
from argusvl.manipulation.measure.metrics import MM

_COLUMNS = 1 + 3 * NUM_JOINTS


def write_dexycb_results(path: str | Path, joints_m: Mapping[int, Floats]) -> None:
    """Writes DexYCB's text: a line for each image, its id and 63 millimetres, between commas.

    Args:
        path: The file.
        joints_m: Image id (the index of :class:`~argusvl.manipulation.data.formats.dexycb.DexYcb`) → ``[21, 3]``
            metres in the camera's frame.
    """
    lines = []
    for image, joints in joints_m.items():
        values = _finite(joints, f"image {image}") * MM
        lines.append(",".join([str(image), *(f"{value:.4f}" for value in values.ravel())]) + "\n")
    write_text_atomically(path, "".join(lines))


def read_dexycb_results(path: str | Path) -> dict[int, Floats]:
    """Inverse of :func:`write_dexycb_results`: image id → ``[21, 3]`` metres.

    Raises:
        DataError: The file cannot be read, or a line has not 64 columns, is no number, or is of an image that was
            there before.
    """
    try:
        text = read_text(path)
    except OSError as error:
        raise cannot_read(path, error, DataError) from None
    except ValueError as error:
        raise DataError(str(error), where=path, remedy="write it as UTF-8") from None
    found: dict[int, Floats] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        where, columns = f"{path}:{number}", line.split(",")
        remedy = "write an image id and 63 numbers, millimetres, between commas"
        if len(columns) != _COLUMNS:
            raise DataError(f"{len(columns)} columns, not {_COLUMNS}", where=where, remedy=remedy)
        try:
            image, joints = int(columns[0]), np.array(columns[1:], dtype=np.float64).reshape(NUM_JOINTS, 3)
        except ValueError as error:
            raise DataError(str(error), where=where, remedy=remedy) from None
        if image in found:
            raise DataError(
                f"image {image} stands in an earlier line too", where=where, remedy="write each once"
            )
        found[image] = _finite(joints, where) / MM
    return found


def write_freihand_results(path: str | Path, joints_m: Floats, vertices_m: Floats | None = None) -> None:
    """Writes FreiHAND's ``pred.json``: a list of all joints and a list of all vertices, in metres.

    Args:
        path: The file.
        joints_m: ``[N, 21, 3]`` of all samples of the evaluation part, in its order.
        vertices_m: ``[N, V, 3]``; where none are predicted, zeros are written, as that evaluator asks for both.
    """
    vertices = np.zeros((len(joints_m), 778, 3)) if vertices_m is None else _finite(vertices_m, "vertices")
    value = [_finite(joints_m, "joints").round(7).tolist(), vertices.round(7).tolist()]
    write_text_atomically(path, json.dumps(value))


def _finite(values: Floats, where: object) -> Floats:
    if not np.isfinite(values).all():
        raise DataError("a coordinate is no finite number", where=where, remedy="look into the model")
    return values
