"""The sections of a report that show hands: figures beside the mean pose, errors of each joint, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from argusvl.core.errors import DataError
from argusvl.core.files import read_bytes, read_json
from argusvl.manipulation.measure.metrics import FIGURES, Measured
from argusvl.manipulation.report.gallery import GALLERY, LIST
from argusvl.visual.page import page_environment
from argusvl.visual.pictures import data_uri, jpeg_uri
from argusvl.visual.sections import RunFolder, Section, TaskReport

_BESIDE = {"mpjpe_root": "mean_pose_mpjpe_root", "mpjpe_pa": "mean_pose_mpjpe_pa"}


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
            "mean_pose": run.figures.get(beside),
        }
        for name, beside in _BESIDE.items()
        if isinstance(run.figures.get(name), (int, float))
    ]
    both = [(row["name"], row["refined"], row["mean_pose"]) for row in rows]
    known = [(name, Measured(a, b, False)) for name, a, b in both if isinstance(b, (int, float))]
    collapsed = [name for name, one in known if one.collapsed]
    if rows:
        html = Markup(environment.get_template("figures.html.jinja").render(rows=rows, collapsed=collapsed))
        sections.append(Section("hand-figures", "", html))
    pictures = _pictures(run.evaluated / GALLERY)
    joints = run.evaluated / GALLERY / "joints.png"
    if pictures:
        template = environment.get_template("hands.html.jinja")
        bars = data_uri("image/png", read_bytes(joints)) if joints.is_file() else None
        html = Markup(template.render(pictures=pictures, joints=bars))
        sections.append(Section("hands", "Hands", html))
    return TaskReport(sections)


def _pictures(folder: Path) -> list[dict[str, Any]]:
    file = folder / LIST
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
