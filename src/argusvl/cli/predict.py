"""`argus predict`: find and describe the objects in photographs."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from argusvl.cli.options import Checkpoint, Device, TrainedMaxPixels, TrainedMinPixels
from argusvl.cli.output import console, counted, print_json, say
from argusvl.core.errors import ArgusError, CheckpointError
from argusvl.core.files import real_path, write_bytes_atomically
from argusvl.detection.predictions_file import PredictionsFile
from argusvl.visual.pairing import SCORE_THRESHOLD

if TYPE_CHECKING:
    from argusvl.detection.detections import Detections

SOME_FAILED, ALL_FAILED = 1, 2
JPEG_QUALITY = 92


def command(
    checkpoint: Checkpoint,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Images, or folders of images.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Write the results here instead of to stdout.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted --out FILE.")] = False,
    draw: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw the results into this folder, a JPEG for each image."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the --out file and drawn pictures that are there.")
    ] = False,
    font_path: Annotated[
        Path | None,
        typer.Option(help="Font of the drawn labels; by default one that has Chinese glyphs."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Look for these labels instead of the trained ones.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Ask this instead of the standard prompt.")] = None,
    teachers: Annotated[
        int, typer.Option(min=0, help="Demonstrations of the checkpoint's pool to show first.")
    ] = 0,
    score_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out what scores less, from 0 to 1.")
    ] = SCORE_THRESHOLD,
    captions: Annotated[bool, typer.Option(help="Write descriptions; without them it is faster.")] = True,
    open_captions: Annotated[
        bool,
        typer.Option("--open-captions", help="Let descriptions be any text, not only those of training."),
    ] = False,
    raw_scores: Annotated[
        bool, typer.Option("--raw-scores", help="Leave scores as the model gives them, not calibrated.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in a forward pass.")] = 8,
    device: Device = "auto",
    min_pixels: TrainedMinPixels = None,
    max_pixels: TrainedMaxPixels = None,
) -> None:
    """Find and describe the objects in images.

    One line of JSON for each image: its boxes in its own pixels, labels, scores and descriptions. An image that
    cannot be used is named and the others are done; the exit code is then 1, or 2 where none could be used.

    Examples:

        argus predict runs/demo photo.jpg --draw out/

        argus predict runs/demo photos/ --out found.jsonl --labels 螺丝连接点,标签贴纸
    """
    from rich.text import Text

    from argusvl.core.progress import track
    from argusvl.detection.checkpoint_layout import checkpoint_folder
    from argusvl.visual.fonts import resolve_font

    if resume and out is None:
        raise ArgusError("--resume needs --out", remedy="name the file of the interrupted run with --out")
    if checkpoint.is_file():
        raise CheckpointError(
            "a file, not a checkpoint folder",
            where=checkpoint,
            remedy=f"name the checkpoint first: argus predict CHECKPOINT {checkpoint}",
        )
    if draw is not None:
        resolve_font(font_path)  # before the work, not after it
    found = find_images(images)
    if out is not None and out.is_file() and not (overwrite or resume):
        raise ArgusError(
            "is there already", where=out, remedy="add --overwrite to replace it, or name another file"
        )
    pictures = _PictureNames(draw, found, overwrite=overwrite or resume) if draw is not None else None
    folder = checkpoint_folder(checkpoint)

    from argusvl.detection.predictor import Predictor  # takes seconds: a mistake in the above has been told

    predictor = Predictor.from_pretrained(folder, device=device, min_pixels=min_pixels, max_pixels=max_pixels)
    request: dict[str, Any] = {
        "prompt": prompt,
        "labels": [label.strip() for label in labels.split(",")] if labels is not None else None,
        "teachers": teachers,
        "captions": captions,
        "open_captions": open_captions,
        "raw_scores": raw_scores,
        "score_threshold": score_threshold,
    }
    terminal = console()
    failed: list[Path] = []

    def refuse(image: Any, error: ArgusError) -> None:
        failed.append(image)
        terminal.print(Text.assemble(("error", "red"), f": {error}"), soft_wrap=True)

    objects = 0
    with _results(out, {"checkpoint": str(real_path(checkpoint)), **request}, resume) as results:
        todo = [image for image in found if str(image) not in results.done]
        finished = predictor.stream(todo, batch_size=batch_size, on_error=refuse, **request)
        watched = track(finished, len(todo), "Predicting", enabled=out is not None or not sys.stdout.isatty())
        for image, detections in watched:
            assert isinstance(image, Path)
            if detections.note:
                say(f"{image}: {detections.note}")
            if pictures is not None:
                _draw(image, detections, pictures.of(image), font_path)
            results.write(detections.to_jsonl(str(image)))
            objects += len(detections)
    good = len(todo) - len(failed)
    hint = "" if objects or not good else f"; none scores {score_threshold:g}: try a lower --score-threshold"
    refused = f", {counted(len(failed), 'image')} refused" if failed else ""
    drawn = f"; drawn into {draw}" if draw is not None and good else ""
    say(f"{counted(good, 'image')}, {counted(objects, 'object')}{refused}{drawn}{hint}")
    if failed:
        raise typer.Exit(SOME_FAILED if good or len(todo) < len(found) else ALL_FAILED)


def find_images(paths: Iterable[Path]) -> list[Path]:
    """The images meant: files as they are, folders searched with what is in them, each file once.

    Raises:
        ArgusError: A folder holds no image.
    """
    from argusvl.core.images import IMAGE_SUFFIXES

    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            found[path] = None
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
        if not inside:
            raise ArgusError(
                "the folder holds no image",
                where=path,
                remedy=f"name a folder with files {', '.join(sorted(IMAGE_SUFFIXES))}",
            )
        found.update(dict.fromkeys(inside))
    return list(found)


class _Stdout:
    """Lines on stdout; nothing is done before."""

    done: frozenset[str] = frozenset()

    def write(self, line: Mapping[str, Any]) -> None:
        print_json(line, indent=None)


@contextlib.contextmanager
def _results(
    out: Path | None, request: Mapping[str, Any], resume: bool
) -> Iterator[_Stdout | PredictionsFile]:
    if out is None:
        yield _Stdout()
        return
    file = PredictionsFile(out, request, resume=resume)
    try:
        with file:
            yield file
    except KeyboardInterrupt:
        if file.done:
            text = f"{len(file.done)} images are kept in {file.part}; the same command with --resume goes on"
            say(text)
        raise


class _PictureNames:
    """A file in the folder for each image; two images of the same name get different files.

    Raises:
        ArgusError: A photograph, or without ``overwrite`` any file, would be replaced; the folder is a file.
    """

    def __init__(self, folder: Path, images: Sequence[Path], *, overwrite: bool) -> None:
        if folder.is_file():
            raise ArgusError("is a file", where=folder, remedy="name a folder for the drawn pictures")
        self._names: dict[Path, Path] = {}
        taken: set[str] = set()
        for image in images:
            name, number = image.stem, 1
            while name.lower() in taken:
                number += 1
                name = f"{image.stem}_{number}"
            taken.add(name.lower())
            self._names[image] = folder / f"{name}.jpg"
        photographs = {real_path(image) for image in images}
        for target in self._names.values():
            if real_path(target) in photographs:
                raise ArgusError(
                    "the drawn picture would replace a photograph",
                    where=target,
                    remedy="name another folder with --draw",
                )
            if target.exists() and not overwrite:
                raise ArgusError(
                    "is there already",
                    where=target,
                    remedy="add --overwrite to replace it, or name another folder",
                )

    def of(self, image: Path) -> Path:
        return self._names[image]


def _draw(image: Path, detections: Detections, target: Path, font_path: Path | None) -> None:
    """Draws descriptions where there are any, labels elsewhere."""
    from argusvl.core.images import open_image
    from argusvl.visual.drawing import draw_boxes

    captions = detections.captions or (None,) * len(detections)
    texts = [caption or label for caption, label in zip(captions, detections.labels, strict=True)]
    # A model may write any character; one that the font lacks is shown as its code.
    picture = draw_boxes(
        open_image(image, exif="upright"),
        detections.boxes_xyxy_px.tolist(),
        texts,
        detections.scores.tolist(),
        font_path=font_path,
        on_missing="escape",
    )
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=JPEG_QUALITY)
    write_bytes_atomically(target, encoded.getvalue())
