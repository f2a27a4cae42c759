"""`argus eval` for hands: figures beside the mean pose, a table of joints, and what the report shows."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from argusvl.core.errors import ConfigError
from argusvl.core.files import refuse_replacing
from argusvl.manipulation.commands.options import FormatOption, ReaderOption, reader_options
from argusvl.task_parts import Evaluated

if TYPE_CHECKING:
    from argusvl.manipulation.data.records import HandRecord
    from argusvl.manipulation.measure.evaluation import HandEvaluation


def evaluate_checkpoint(
    checkpoint: Path,
    data: Path,
    *,
    device: str,
    batch_size: int,
    for_report: bool,
    format: FormatOption = "folder",  # noqa: A002 - the name of the option
    option: ReaderOption = None,
    max_examples: Annotated[
        int | None, typer.Option(min=1, help="Use only the first so many hands; all by default.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read pictures; 0: this one does.")] = 0,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Also write the joints in the format of the public evaluator of freihand or dexycb."
        ),
    ] = None,
) -> Evaluated:
    """Measure a checkpoint on annotated hands.

    Beside each figure stands that of the mean pose of the training data, which answers the same for every picture: a
    model that does not beat it is reported as collapsed.

    Examples:

        argus eval runs/hands data/hands/test

        argus eval argus-hand DexYCB --format dexycb --option setup=s0 --option split=test --results s0.txt
    """
    from argusvl.manipulation.data.dataset import usable
    from argusvl.manipulation.data.reading import open_hands
    from argusvl.manipulation.predict.checkpoint import HandAssets

    assets = HandAssets.load(checkpoint)
    if results is not None and format not in ("freihand", "dexycb"):
        what = f"no public evaluator is known for {format}"
        raise ConfigError(what, where="--results", remedy="leave it out")
    refuse_replacing(results, overwrite=None)
    every = open_hands(data, format, reader_options(option))[:max_examples]
    records = usable(every)

    from argusvl.manipulation.data.dataset import HandDataset
    from argusvl.manipulation.measure.evaluation import evaluate_dataset
    from argusvl.manipulation.predict.predictor import HandPredictor

    model = HandPredictor.from_pretrained(checkpoint, device=device).model
    dataset = HandDataset(records, assets.crop)
    how: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "progress": True}
    found = evaluate_dataset(model, dataset, assets.mean_pose, turns=assets.turns, **how)
    figures: dict[str, Any] = {
        "task": "manipulation",
        **found.scalars,
        "hands": found.figures.hands,
        "per_joint_mm": {k: None if isnan(v) else v for k, v in found.figures.per_joint_mm.items()},
        "collapsed": list(found.figures.collapsed),
    }
    if results is not None:
        _write_results(results, format, every, found)

    def show(title: str) -> None:
        from rich.table import Table

        from argusvl.core.terminal import console

        table = Table(title=f"{title}, {found.figures.hands} hands", title_justify="left")
        for column in ("figure", "refined", "coarse", "mean pose", ""):
            table.add_column(column, justify="left" if column in ("figure", "") else "right")
        for name, one in found.figures.figures.items():
            coarse = found.coarse.figures[name].value
            said = "collapse: not better than the mean pose" if one.collapsed else ""
            table.add_row(name, f"{one.value:.4g}", f"{coarse:.4g}", f"{one.mean_pose:.4g}", said)
        console().print(table)
        worst = ", ".join(f"{name} {error:.1f}" for name, error in found.figures.worst_joints())
        console().print(f"largest errors relative to the wrist, mm: {worst}")

    def write(out: Path) -> None:
        from argusvl.manipulation.report.sections import write_gallery

        write_gallery(out, dataset, found, model)

    return Evaluated(figures, show, write)


def _write_results(path: Path, format_name: str, every: Sequence[HandRecord], found: HandEvaluation) -> None:
    """Joints in the pictures' own camera frames; a picture without a hand is left out."""
    import numpy as np

    from argusvl.manipulation.predict.results import write_dexycb_results, write_freihand_results

    numbers = [k for k, one in enumerate(every) if one.shows_hand and one.box_xyxy_px is not None]
    found_there = zip(numbers, found.predictions, found.views, strict=True)
    joints = {number: prediction.joints_m @ view.turn for number, prediction, view in found_there}
    if format_name == "dexycb":
        write_dexycb_results(path, joints)
    else:
        write_freihand_results(path, np.stack(list(joints.values())))
