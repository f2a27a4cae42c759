"""`argus predict`: find in images what a checkpoint was trained for."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from argusvl.cli.by_task import with_options
from argusvl.cli.predictions_file import PredictionsFile
from argusvl.command_options import Checkpoint, Device, Engine
from argusvl.core.errors import USERS_MISTAKE, ArgusError, CheckpointError
from argusvl.core.files import refuse_replacing, write_bytes_atomically
from argusvl.core.terminal import FOUND_SOMETHING, console, print_json, say
from argusvl.core.wording import counted
from argusvl.task_parts import DrawPrediction, LoadPredictor, Prediction, Predictor
from argusvl.tasks import find_checkpoint, task_entry, task_part

JPEG_QUALITY = 92
_LONGEST_SIDE = 65_500
"""Pixels that a JPEG can have."""
_LONGEST_STEM = 240
"""Bytes; file systems take names of 255."""


def for_task(task: str) -> Callable[..., None]:
    """The verb with the options of a task's predictor."""

    def command(
        load: LoadPredictor[Prediction],
        checkpoint: Checkpoint,
        images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Images, or folders of images.")],
        out: Annotated[
            Path | None,
            typer.Option(metavar="FILE.jsonl", help="Write the results here instead of to stdout."),
        ] = None,
        resume: Annotated[
            bool, typer.Option("--resume", help="Go on with an interrupted --out FILE.")
        ] = False,
        draw: Annotated[
            Path | None,
            typer.Option(metavar="DIR", help="Draw the results into this folder, a JPEG for each image."),
        ] = None,
        overwrite: Annotated[
            bool,
            typer.Option("--overwrite", help="Replace the --out file and drawn pictures that are there."),
        ] = False,
        font_path: Annotated[
            Path | None,
            typer.Option(help="Font of the drawn labels; by default one that has Chinese glyphs."),
        ] = None,
        batch_size: Annotated[int, typer.Option(min=1, help="Images in a forward pass.")] = 8,
        device: Device = "auto",
        engine: Engine = "local",
        workers: Annotated[
            int | None,
            typer.Option(
                min=1,
                help="With --engine ray: processes, each with OMP_NUM_THREADS cores; all there is room for.",
            ),
        ] = None,
        **options: Any,
    ) -> None:
        if resume and out is None:
            raise ArgusError("--resume needs --out", remedy="name the file of the interrupted run with --out")
        if workers is not None and engine != "ray":
            raise ArgusError("--workers needs --engine ray", remedy="add it, or leave --workers out")
        if checkpoint.is_file():
            raise CheckpointError(
                "a file, not a checkpoint folder",
                where=checkpoint,
                remedy=f"name the checkpoint first: argus predict CHECKPOINT {checkpoint}",
            )
        drawing = None if draw is None else _Drawing(task, font_path)  # before the work, not after it
        found = find_images(images)
        refuse_replacing(out, overwrite=overwrite or resume, inputs=found)
        pictures = {} if draw is None else _picture_names(draw, found)
        refuse_replacing(*pictures.values(), overwrite=overwrite or resume, inputs=found)
        folder = find_checkpoint(checkpoint)
        if engine == "ray":
            from argusvl.cli.predict_ray import RayPredictor

            loading = partial(load, folder.resolve(), device=device, **options)
            predictor: Predictor[Prediction] = RayPredictor(loading, folder, device=device, actors=workers)
        else:
            predictor = load(folder, device=device, **options)

        from rich.text import Text

        from argusvl.core.progress import track
        from argusvl.run.checkpoints import content_fingerprint

        terminal = console()
        failed: list[Path] = []

        def refuse(image: Path, error: ArgusError) -> None:
            failed.append(image)
            terminal.print(Text.assemble(("error", "red"), f": {error}"), soft_wrap=True)

        objects, notes = 0, Counter[str]()
        asked = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
        # The content and not the path: a run's best checkpoint may be another one tomorrow.
        request = {"checkpoint": content_fingerprint(folder), **asked} if out is not None else asked
        with _results(out, request, resume) as results:
            kept = frozenset(results.done)
            todo = _unfinished_batches(found, kept, batch_size)
            finished = predictor.stream(todo, batch_size=batch_size, on_error=refuse)
            shown = out is not None or not sys.stdout.isatty()
            for image, prediction in track(finished, len(todo), "Predicting", enabled=shown):
                if str(image) in kept:
                    continue
                if prediction.note:
                    if prediction.note not in notes:
                        say(f"{image}: {prediction.note}")
                    notes[prediction.note] += 1
                if drawing is not None:
                    drawing.write(image, prediction, pictures[image])
                    if pictures[image].stem != image.stem:
                        say(f"{image}: drawn as {pictures[image].name}")
                results.write(prediction.to_jsonl(str(image)))
                objects += len(prediction)
        for note, images_noted in notes.items():
            if images_noted > 1:
                say(f"{counted(images_noted - 1, 'more image')}: {note}")
        todo = [image for image in todo if str(image) not in kept]
        good = len(todo) - len(failed)
        threshold = options.get("score_threshold")
        lower = threshold is not None and good and not objects
        hint = f"; none scores {threshold:g}: try a lower --score-threshold" if lower else ""
        refused = f", {counted(len(failed), 'image')} refused" if failed else ""
        drawn = f"; drawn into {draw}" if draw is not None and good else ""
        say(f"{counted(good, 'image')}, {counted(objects, task_entry(task).finds)}{refused}{drawn}{hint}")
        if failed:
            raise typer.Exit(FOUND_SOMETHING if good or len(todo) < len(found) else USERS_MISTAKE)

    return with_options(command, task_part(task, "predictor"))


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
        inside = sorted(
            p
            for p in path.rglob("*")
            # A link to what is not there is an image that cannot be read, and is told as one.
            if p.suffix.lower() in IMAGE_SUFFIXES and (p.is_file() or not p.exists())
        )
        if not inside:
            raise ArgusError(
                "the folder holds no image",
                where=path,
                remedy=f"name a folder with files {', '.join(sorted(IMAGE_SUFFIXES))}",
            )
        found.update(dict.fromkeys(inside))
    return list(found)


def _unfinished_batches(images: Sequence[Path], done: Set[str], batch_size: int) -> list[Path]:
    """The images of all batches that are not done: what is computed together stays what it was before."""
    batches = (images[k : k + batch_size] for k in range(0, len(images), batch_size))
    return [image for batch in batches if any(str(one) not in done for one in batch) for image in batch]


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
            say(f"{len(file.done)} images are kept in {file.part}; the same command with --resume goes on")
        raise


def _picture_names(folder: Path, images: Sequence[Path]) -> dict[Path, Path]:
    """A file in the folder for each image; two images of the same name get different files.

    Raises:
        ArgusError: The folder is a file.
    """
    if folder.is_file():
        raise ArgusError("is a file", where=folder, remedy="name a folder for the drawn pictures")
    names: dict[Path, Path] = {}
    taken: set[str] = set()
    for image in images:
        stem, number = image.stem, 1
        while len(os.fsencode(stem)) > _LONGEST_STEM:
            stem = stem[:-1]
        name = stem
        while name.lower() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.lower())
        names[image] = folder / f"{name}.jpg"
    return names


class _Drawing:
    """Draws predictions into JPEG files.

    Raises:
        ArgusError: The task has no pictures, or the font cannot be used.
    """

    def __init__(self, task: str, font_path: Path | None) -> None:
        from argusvl.visual.fonts import resolve_font

        self._draw: DrawPrediction[Prediction] = task_part(task, "pictures")
        self._font_path = font_path
        resolve_font(font_path)

    def write(self, image: Path, prediction: Prediction, target: Path) -> None:
        picture = self._draw(image, prediction, font_path=self._font_path)
        if max(picture.size) > _LONGEST_SIDE:
            picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
        encoded = io.BytesIO()
        picture.save(encoded, "JPEG", quality=JPEG_QUALITY)
        write_bytes_atomically(target, encoded.getvalue())
