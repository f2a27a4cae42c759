"""`argus data next`: the photographs that are most worth labelling."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from argusvl.command_options import AsJson, Device
from argusvl.core.errors import DataError
from argusvl.core.files import refuse_replacing, require_folder, write_text_atomically
from argusvl.core.terminal import FOUND_SOMETHING, print_json, say
from argusvl.core.wording import counted

if TYPE_CHECKING:
    from argusvl.detection.data.records import RecordFile


def next_pictures(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="The run, or checkpoint, that was trained so far.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of photographs to choose from.")],
    count: Annotated[int, typer.Option(min=1, help="Photographs to choose.")],
    out: Annotated[
        Path | None, typer.Option(metavar="LIST", help="Write the paths here, one a line, too.")
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option(help="JSONL file of what is labelled; by default what the run was trained on."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace LIST.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in a forward pass.")] = 8,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Choose the photographs that are most worth labelling: uncertain, unlike each other and unlike the labelled.

    One line for each, the most worthwhile first: its path, a tab, and why. Photographs that are labelled already are
    left out, wherever they stand. One that cannot be read is named and the rest used; the exit code is then 1.

    Examples:

        argus data next runs/mine photos/ --count 20 --out next.txt

        argus data next runs/mine photos/ --count 20 --labelled data/mine/train.jsonl
    """
    refuse_replacing(out, overwrite=overwrite, inputs=[run, folder])
    require_folder(folder, remedy="name the folder of photographs to choose from")
    from argusvl.core.images import IMAGE_SUFFIXES

    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    if not found:
        raise DataError("holds no photographs", where=folder, remedy="name a folder with images")
    records = _labelled(run, labelled)

    import numpy as np

    from argusvl.core.devices import usable_device
    from argusvl.core.progress import track
    from argusvl.detection.data.labels import label_of
    from argusvl.detection.predict.predictor import Predictor
    from argusvl.detection.predict.worth_labelling import choose, copies_of, expected_corrections, see
    from argusvl.networks.picture_vectors import PictureVectors

    predictor = Predictor.from_pretrained(run, device=device)
    assets = predictor.assets
    if assets.calibration is None:
        say("The checkpoint is not calibrated: its scores stand for probabilities as they are.")
    failed: list[Path] = []

    def refuse(image: Any, error: Any) -> None:
        failed.append(Path(image))
        say(f"error: {error}")

    network = PictureVectors(usable_device(device))
    scenes = [] if records is None else [record.student for record in records]
    images = [] if records is None else [records.root / image for scene in scenes for image in scene.images]
    had = see(
        dict.fromkeys(images), network, lambda path, error: say(f"labelled picture is left out: {error}")
    )
    seen = see(found, network, refuse)
    again = copies_of(seen, had)
    places = [k for k in range(len(seen.paths)) if k not in again]
    streamed = predictor.stream(
        [seen.paths[k] for k in places],
        batch_size=batch_size,
        captions=False,
        score_threshold=0.0,
        on_error=refuse,
    )
    corrections = {
        str(image): expected_corrections(one, assets.labels)
        for image, one in track(streamed, len(places), "Predicting")
    }
    places = [k for k in places if str(seen.paths[k]) in corrections]
    if not places:
        raise DataError("holds no photograph that could be labelled next", where=folder)
    expected = np.stack([corrections[str(seen.paths[k])] for k in places])
    told = Counter(label_of(one.desc, assets.vocabulary) for scene in scenes for one in scene.objects)
    objects = np.array([told[label] for label in assets.labels])
    chosen = choose(expected, objects, seen.vectors[places], had.vectors, count)
    rows = [(seen.paths[places[one.index]], one) for one in chosen]
    if as_json:
        print_json(
            [
                {"image": str(path), "expected_corrections": one.corrections, "distance": one.distance}
                for path, one in rows
            ]
        )
    else:
        for path, one in rows:
            typer.echo(f"{path}\t{one.why}")
    if out is not None:
        write_text_atomically(out, "".join(f"{path}\n" for path, _ in rows))
    say(
        f"{counted(len(rows), 'photograph')} of {len(found)} chosen; {len(again)} labelled already, "
        f"{len(failed)} unreadable; {len(had.paths)} labelled ones compared with"
    )
    if failed:
        raise typer.Exit(FOUND_SOMETHING)


def _labelled(run: Path, stated: Path | None) -> RecordFile | None:
    """What is labelled: a record file, or the records that the run was trained on; ``None`` where it is not known."""
    from argusvl.detection.data.records import RecordFile
    from argusvl.run.layout import CONFIG_FILE

    root = None
    if stated is None:
        file = next((f / CONFIG_FILE for f in (run, run.parent) if (f / CONFIG_FILE).is_file()), None)
        if file is None:
            say("It is not known what the checkpoint was trained on (--labelled FILE says so).")
            return None
        from argusvl.config.loading import load_config
        from argusvl.detection.config import DetectionRunConfig

        data = load_config(file, DetectionRunConfig).data
        stated, root = Path(data.train), data.root
        if not stated.is_file():
            raise DataError(
                "what the run was trained on is not there",
                where=stated,
                remedy="name it with --labelled FILE",
            )
    return RecordFile(stated, root)
