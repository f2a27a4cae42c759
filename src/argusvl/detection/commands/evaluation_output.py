"""What an evaluation shows to people, on stderr, and the files that it leaves."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from argusvl.core.files import real_path, write_text_atomically
from argusvl.core.schemas import plain
from argusvl.core.terminal import console, say
from argusvl.core.wording import counted, listed
from argusvl.detection.data.records import RecordFile
from argusvl.detection.measure.evaluation import Evaluation, Figures
from argusvl.detection.measure.reliability import ReliabilityReport, write_reliability
from argusvl.detection.predict.checkpoint import DetectionAssets
from argusvl.detection.predict.inference import HeadEvaluation
from argusvl.detection.predict.text_path import TextEvaluation
from argusvl.detection.report.evaluation_files import GALLERY, PRECISION_RECALL, PREDICTIONS
from argusvl.detection.report.gallery import make_gallery, precision_recall_file

ANSWERS_FILE = "answers.jsonl"


def warn_of_other_labels(figures: Figures, labels: Sequence[str]) -> None:
    """Says so where the data have no class that the checkpoint knows."""
    present = [name for name, one in figures.per_class.items() if one.count]
    unknown = [name for name in present if name not in labels]
    if unknown and len(unknown) == len(present):
        text = (
            f"None of the data's classes ({listed(unknown, 3)}) is a label of the checkpoint ({listed(labels, 3)}): "
            "every figure by class is 0."
        )
        console().print(Text(text, style="yellow"), soft_wrap=True)


def print_figures(figures: Figures, title: str) -> None:
    """A table of the classes and a line for each figure, on stderr."""
    terminal = console()
    shown = f"{counted(figures.images, 'image')}, {counted(figures.objects, 'object')}"
    terminal.print(Text(f"{title}: {shown}", style="bold"))
    classes = Table("class", "AP", "AP50", "objects", box=SIMPLE_HEAD)
    for column in classes.columns[1:]:
        column.justify = "right"
    for name, one in figures.per_class.items():
        classes.add_row(Text(name), _shown(one.AP), _shown(one.AP50), str(one.count))
    classes.add_section()
    classes.add_row("mean", _shown(figures.AP), _shown(figures.AP50), str(figures.objects), style="bold")
    terminal.print(classes)
    others = ["AP75", "AR100", "AP50_agnostic", "caption_exact", "recall", "dense_caption_mAP_chrf"]
    if not math.isnan(figures.dense_caption_mAP_meteor):
        others.append("dense_caption_mAP_meteor")
    say("   ".join(f"{name} {_shown(getattr(figures, name))}" for name in others))


def print_reliability(reliability: ReliabilityReport, note: str) -> None:
    """How far scores can be believed, and what they were fitted on."""
    ece, before = _shown(reliability.ece), _shown(reliability.ece_before)
    if reliability.bins_before is None:
        say(f"ece {ece}   scores are not calibrated: {note}")
    else:
        say(f"ece {ece}   before calibration {before} ({note})")


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a checkpoint on one set of questions: its head and how reliable its scores are, its written
    answers, or both.
    """

    head: HeadEvaluation | None
    reliability: ReliabilityReport | None
    text: TextEvaluation | None

    @property
    def first(self) -> Evaluation:
        """The head's where it was measured: what stands at the top of the figures and in the pictures."""
        first = self.head or self.text
        assert first is not None
        return first

    def to_dict(self) -> dict[str, Any]:
        """The figures, ready for JSON; those of the text stand beside the head's where both were measured."""
        if self.head is None or self.reliability is None:
            return self._text_dict()
        measured = {"ece": self.reliability.ece, "ece_before": self.reliability.ece_before}
        found = _figures(self.head) | measured
        return found if self.text is None else found | {"text": self._text_dict()}

    def _text_dict(self) -> dict[str, Any]:
        assert self.text is not None
        text = self.text
        answers = {"count": len(text.answers), "incomplete": text.incomplete, "dropped": text.dropped}
        return _figures(text) | {"answers": answers}

    def show(self, title: str, labels: Sequence[str] = (), calibration_note: str = "") -> None:
        """The tables, on stderr; with ``labels`` and ``calibration_note`` what they mean for the figures, too."""
        if self.head is not None and self.reliability is not None:
            print_figures(self.head.figures, title)
            if labels:
                warn_of_other_labels(self.head.figures, labels)
            if calibration_note:
                print_reliability(self.reliability, calibration_note)
        if self.text is None:
            return
        print_figures(self.text.figures, "as written text" if self.head else title)
        speed = f"{self.text.boxes_per_second:.3g} boxes/s"
        if self.head is not None and self.text.boxes_per_second:
            ratio = self.head.boxes_per_second / self.text.boxes_per_second
            speed += f", the head {self.head.boxes_per_second:.3g} ({ratio:.3g} times as many)"
        cut, dropped = self.text.incomplete, counted(self.text.dropped, "part")
        answers = f"{counted(len(self.text.answers), 'answer')}, {cut} incomplete, {dropped} dropped"
        say(f"{answers}   {speed}")

    def write(self, out: Path, records: RecordFile, assets: DetectionAssets) -> None:
        """Predictions, written answers, and what the report shows of an evaluation, into a folder."""
        evaluation = self.first
        found = zip(evaluation.images, evaluation.predictions, strict=True)
        _write_lines(out / PREDICTIONS, (detections.to_jsonl(image) for image, detections in found))
        gallery = make_gallery(evaluation, records.root, vocabulary=assets.vocabulary, folder=out)
        _write_lines(out / GALLERY, [plain(gallery)])
        if self.text is not None:
            _write_lines(out / ANSWERS_FILE, _answer_lines(self.text))
        if self.head is not None and self.reliability is not None:
            curves = precision_recall_file(self.head, assets.vocabulary)
            _write_lines(out / PRECISION_RECALL, [plain(curves)])
            own = ", which scores were fitted on" if fitted_on(records.path, assets) else ""
            write_reliability(out, self.reliability, f"{records.path}{own}")


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    seconds = evaluation.seconds
    return {
        **evaluation.figures.to_dict(),
        "seconds": round(seconds, 3),
        "images_per_second": round(len(evaluation.images) / seconds, 3) if seconds else None,
        "boxes_per_second": round(evaluation.boxes_per_second, 3) if seconds else None,
    }


def _answer_lines(evaluation: TextEvaluation) -> Iterator[dict[str, Any]]:
    names = iter(evaluation.images)
    for answer in evaluation.answers:
        yield {
            "images": [next(names) for _ in answer.per_image],
            "text": answer.text,
            "complete": answer.complete,
            "dropped": list(answer.dropped),
        }


def _write_lines(file: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    write_text_atomically(file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def fitted_on(data: Path, assets: DetectionAssets) -> bool:
    """Whether scores were fitted on these data: there they are better than on other pictures."""
    section = assets.config.get("data")
    fitted = section.get("val") if isinstance(section, dict) else None
    return assets.calibration is not None and fitted is not None and real_path(fitted) == real_path(data)


def _shown(figure: float | None) -> str:
    return "-" if figure is None or math.isnan(figure) else f"{figure:.3f}"
