"""What a report shows of hands: figures beside the mean pose, errors of each joint, pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from argusvl.core.errors import DataError
from argusvl.core.files import read_bytes, read_json, write_text_atomically
from argusvl.manipulation.measure.metrics import COMPARED, FIGURES, Measured
from argusvl.visual.page import page_environment
from argusvl.visual.pictures import data_uri, jpeg_uri
from argusvl.visual.sections import RunFolder, Section, TaskReport

if TYPE_CHECKING:
    from torch import nn

    from argusvl.manipulation.data.dataset import HandDataset
    from argusvl.manipulation.measure.evaluation import HandEvaluation

GALLERY = "hands"
"""Folder of the pictures beside ``figures.json``."""
_LIST, _BARS = "hands.json", "joints.png"


def task_report(run: RunFolder) -> TaskReport:
    """Figures beside the mean pose, and the pictures that ``argus eval --out`` has left.

    Raises:
        DataError: A file of the evaluation is damaged.
    """
    environment = page_environment(__package__)
    sections = []
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "meaning": FIGURES[name].meaning,
            "refined": run.figures.get(name),
            "coarse": run.figures.get(f"{name}_coarse"),
            "mean_pose": run.figures.get(f"mean_pose_{name}"),
        }
        for name in COMPARED
        if isinstance(run.figures.get(name), (int, float))
    ]
    both = [(row["name"], row["refined"], row["mean_pose"]) for row in rows]
    known = [(name, Measured(a, b, False)) for name, a, b in both if isinstance(b, (int, float))]
    collapsed = [name for name, one in known if one.collapsed]
    if rows:
        html = Markup(environment.get_template("figures.html.jinja").render(rows=rows, collapsed=collapsed))
        sections.append(Section("hand-figures", "", html))
    pictures = _pictures(run.evaluated / GALLERY)
    joints = run.evaluated / GALLERY / _BARS
    if pictures:
        template = environment.get_template("hands.html.jinja")
        bars = data_uri("image/png", read_bytes(joints)) if joints.is_file() else None
        html = Markup(template.render(pictures=pictures, joints=bars))
        sections.append(Section("hands", "Hands", html))
    return TaskReport(sections)


def write_gallery(
    out: Path, dataset: HandDataset, found: HandEvaluation, model: nn.Module, most: int = 8
) -> None:
    """Draws ``most`` hands: the worst for half of them, and the rest evenly over the others, best first.

    Beside them stand each joint's errors. All goes into a folder of ``out``, which is that of the evaluation.
    """
    from argusvl.manipulation.measure.evaluation import attention_of
    from argusvl.manipulation.report.drawing import draw_comparison, draw_errors, errors_of

    folder = out / GALLERY
    folder.mkdir(parents=True, exist_ok=True)
    errors_mm = [errors_of(one, view) for one, view in zip(found.predictions, found.views, strict=True)]
    means = np.array([np.nan if np.isnan(e).all() else np.nanmean(e) for e in errors_mm])
    order = [int(k) for k in np.argsort(means) if not np.isnan(means[k])]
    worst = order[::-1][: most // 2]
    rest = order[: len(order) - len(worst)]
    places = np.linspace(0, len(rest) - 1, min(len(rest), most - len(worst))).round().astype(int)
    entries = []
    for number, index in enumerate([*(rest[k] for k in places), *worst[::-1]]):
        name, error, crop = f"{number:02}.jpg", round(float(means[index]), 2), dataset[index]
        drawn = draw_comparison(crop, found.predictions[index], attention_of(model, crop))
        drawn.save(folder / name, quality=88)
        told = {"picture": name, "source": dataset.sample_name(index), "error_mm": error}
        entries.append(told | {"worst": index in worst})
    write_text_atomically(folder / _LIST, json.dumps(entries, ensure_ascii=False, indent=1) + "\n")
    draw_errors(list(found.figures.per_joint_mm.values())).save(folder / _BARS)


def _pictures(folder: Path) -> list[dict[str, Any]]:
    file = folder / _LIST
    if not file.is_file():
        return []
    try:
        entries = read_json(file)
        return [
            {
                "image": jpeg_uri(read_bytes(folder / Path(one["picture"]).name)),
                "source": str(one["source"]),
                "error_mm": float(one["error_mm"]),
                "worst": bool(one["worst"]),
            }
            for one in entries
        ]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"damaged: {error!r}", where=file, remedy="run `argus eval --out` again") from None
