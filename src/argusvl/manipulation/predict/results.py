"""Predicted hands in the files that the public evaluators of DexYCB and FreiHAND take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from argusvl.core.errors import DataError
from argusvl.core.files import write_text_atomically
from argusvl.manipulation.data.checking import Floats
from argusvl.manipulation.measure.metrics import MM


def write_dexycb_results(path: str | Path, joints_m: Mapping[int, Floats]) -> None:
    """Writes DexYCB's text: a line for each image, its id and 63 millimetres, between commas.

    ``joints_m`` has ``[21, 3]`` metres in the camera's frame by image id, the index of the reader of DexYCB.
    """
    lines = []
    for image, joints in joints_m.items():
        values = _finite(joints, f"image {image}") * MM
        lines.append(",".join([str(image), *(f"{value:.4f}" for value in values.ravel())]) + "\n")
    write_text_atomically(path, "".join(lines))


def write_freihand_results(path: str | Path, joints_m: Floats) -> None:
    """Writes FreiHAND's ``pred.json``: a list of all joints and a list of all vertices, in metres.

    ``joints_m`` is ``[N, 21, 3]``, of all samples of the evaluation part, in its order. That evaluator asks for both:
    of the vertices, which are not predicted, zeros are written.
    """
    value = [_finite(joints_m, "joints").round(7).tolist(), np.zeros((len(joints_m), 778, 3)).tolist()]
    write_text_atomically(path, json.dumps(value))


def _finite(values: Floats, where: object) -> Floats:
    if not np.isfinite(values).all():
        raise DataError("a coordinate is no finite number", where=where, remedy="look into the model")
    return values
