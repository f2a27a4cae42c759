"""Detections of several runs on the same pictures: is the difference chance, which classes, which pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from argusvl.core.appending import read_lines
from argusvl.core.bootstrap import RESAMPLES, SEED, Difference, difference, draw_weights
from argusvl.core.errors import ArgusError, ImageError
from argusvl.core.images import open_image
from argusvl.core.strict_json import decode_json
from argusvl.detection.data.records import RecordFile
from argusvl.detection.measure.evaluation import class_of
from argusvl.detection.measure.pairing import (
    SCORE_THRESHOLD,
    LabelledBox,
    Pair,
    above,
    num_errors,
    pair_up,
)
from argusvl.detection.measure.resampled import average_precisions, shares
from argusvl.detection.report.evaluation_files import PREDICTIONS, predicted_line
from argusvl.detection.report.pictures import source_of
from argusvl.visual.page import page_environment
from argusvl.visual.pictures import jpeg_uri, reduced_jpeg
from argusvl.visual.sections import RunFolder, Section

_MAX_PICTURES = 24
_MAX_BYTES = 3_000_000  # of all pictures together
_FEW = 30  # pictures: below, intervals are rough


@dataclass(frozen=True, slots=True)
class _Changed:
    """A picture, with what became of its objects in each run; ``change``: errors more than the first run has."""

    name: str
    size: tuple[int, int]
    uri: str
    pairs: Sequence[tuple[str, Sequence[Pair]]]
    change: int


def compare(runs: Mapping[str, RunFolder]) -> list[Section]:
    """Figures with intervals, classes and pictures of evaluations on the same data; the first is compared with.

    Where data or predictions are gone, changed or damaged, the section says so in place of figures.
    """
    environment = page_environment(__package__)
    try:
        truth, names, root = _truth(next(iter(runs.values())))
        found = [_predictions(run.evaluated, names) for run in runs.values()]
        if len({len(one) for one in found}) > 1:
            raise ArgusError(
                f"predictions of {' and '.join(str(len(one)) for one in found)} pictures",
                remedy="evaluate all runs on the same records (--max-examples)",
            )
    except ArgusError as error:
        gap = Markup('<p class="lead gap">Pictures are not compared: {}.</p>').format(error)
        return [Section("chance", "Is it chance?", gap)]
    names = names[: len(found[0])]
    truth = truth[: len(names)]
    weights = draw_weights(len(names))
    paired = [
        [pair_up(t, above(p, SCORE_THRESHOLD)) for t, p in zip(truth, boxes, strict=True)] for boxes in found
    ]
    classes = [average_precisions(truth, boxes, weights) for boxes in found]
    figures = [
        {
            "AP50, best class of a box only": _mean(by_class, len(weights)),
            **{
                f"{name}, scores from {SCORE_THRESHOLD:g}": one
                for name, one in shares(pairs, weights).items()
            },
        }
        for by_class, pairs in zip(classes, paired, strict=True)
    ]
    pictures, left_out = _changed(list(runs), names, root, paired)
    chance = environment.get_template("chance.html.jinja").render(
        first=next(iter(runs)),
        tables=list(zip(list(runs)[1:], _against_first(figures), _against_first(classes, sort=True), strict=True)),
        pictures=len(names), few=len(names) < _FEW, resamples=RESAMPLES, seed=SEED, score=SCORE_THRESHOLD,
    )  # fmt: skip
    html = environment.get_template("changed.html.jinja").render(pictures=pictures, left_out=left_out)
    style = source_of(environment, "gallery.css") + source_of(environment, "changed.css")
    return [
        Section("chance", "Is it chance?", Markup(chance)),
        Section("changed", "Pictures", Markup(html), style),
    ]


def _against_first(
    figures: Sequence[Mapping[str, NDArray[np.float64]]], *, sort: bool = False
) -> list[list[tuple[str, Difference]]]:
    tables = [[(name, difference(figures[0][name], one[name])) for name in figures[0]] for one in figures[1:]]
    if sort:
        for rows in tables:
            rows.sort(key=lambda row: -row[1].difference.value)
    return tables


def _mean(by_class: Mapping[str, NDArray[np.float64]], draws: int) -> NDArray[np.float64]:
    values = np.array(list(by_class.values())).reshape(-1, draws)
    held = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(held, values, 0.0).sum(axis=0) / held.sum(axis=0)
    return mean


def _truth(run: RunFolder) -> tuple[list[list[LabelledBox]], list[str], Path]:
    """The objects and names of all pictures of the data that an evaluation names."""
    records = RecordFile(str(run.figures["data"]))
    known = run.figures.get("per_class") or {}
    truth: list[list[LabelledBox]] = []
    names: list[str] = []
    for record in records:
        for k, name in enumerate(record.student.images):
            boxes = []
            for one in (o for o in record.student.objects if o.image == k):
                # The whole description is a class where the evaluation's vocabulary was closed.
                whole = class_of(one.desc, "closed")
                name_of_class = whole if whole in known else class_of(one.desc, "open")
                boxes.append(LabelledBox(one.bbox_2d, one.desc, class_name=name_of_class))
            truth.append(boxes)
            names.append(name)
    return truth, names, records.root


def _predictions(folder: Path, names: Sequence[str]) -> list[list[LabelledBox]]:
    file = folder / PREDICTIONS
    if not file.is_file():
        raise ArgusError(
            "has no predictions", where=folder, remedy="evaluate it with `argus eval RUN DATA --out RUN/test`"
        )
    lines = [
        predicted_line(file, value)
        for value, _ in read_lines(file, lambda line: decode_json(line.decode()), remedy="evaluate again")
    ]
    told = [name for name, _ in lines]
    if not lines or told != list(names[: len(told)]):
        raise ArgusError(
            "is of other pictures than the data hold now",
            where=file,
            remedy="evaluate all runs on the data as they are",
        )
    return [boxes for _, boxes in lines]


def _changed(
    runs: Sequence[str], names: Sequence[str], root: Path, paired: Sequence[Sequence[Sequence[Pair]]]
) -> tuple[list[_Changed], int]:
    """The pictures that changed most, and how many could not be opened."""
    errors = np.array([[num_errors(pairs) for pairs in run] for run in paired])
    change = errors[1:] - errors[0]
    most = change[np.abs(change).argmax(axis=0), np.arange(len(names))]
    pictures: list[_Changed] = []
    left_out, room = 0, _MAX_BYTES
    for k in sorted(np.flatnonzero(most).tolist(), key=lambda k: -abs(int(most[k]))):
        if len(pictures) == _MAX_PICTURES:
            break
        try:
            image = open_image(root / names[k], exif="ignore")
        except ImageError:
            left_out += 1
            continue
        jpeg = reduced_jpeg(image, 560)
        room -= len(jpeg)
        if room < 0:
            break
        beside = [(run, pairs[k]) for run, pairs in zip(runs, paired, strict=True)]
        pictures.append(_Changed(names[k], image.size, jpeg_uri(jpeg), beside, int(most[k])))
    return pictures, left_out
