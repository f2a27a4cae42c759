"""`argus recognize classify`: Images → classes, by a support store."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from argusvl.cli.recognize.options import (
    Cache,
    LinesFile,
    Overwrite,
    ReadingThreads,
    goes_on_when_interrupted,
    require_output,
)
from argusvl.command_options import Device
from argusvl.core.terminal import FOUND_SOMETHING
from argusvl.core.wording import listed, printable


def classify(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Folder of the support store.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGES",
            help="Folders, lists of files (.txt, .jsonl) and files, or a store of vectors of the same views.",
        ),
    ],
    out: LinesFile = None,
    overwrite: Overwrite = False,
    classifier: Annotated[str, typer.Option(help="ridge, centroid, nearest, linear-probe, cache.")] = "ridge",
    features: Annotated[
        str,
        typer.Option(
            help="rich: square roots, and the network's own class scores where it has some; plain: the vector, of a "
            "store of one view."
        ),
    ] = "rich",
    threshold: Annotated[
        float,
        typer.Option(
            help="Probability of being known, 0 to 1, below which a picture is Unknown; 0: nothing is."
        ),
    ] = 0.5,
    coverage: Annotated[
        float, typer.Option(help="Share of known pictures, 0 to 1, whose set shall hold the true class.")
    ] = 0.9,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="NAME:FOLDER of the backbone's weights, where they are no longer where enroll found them."
        ),
    ] = None,
    device: Device = "auto",
    workers: ReadingThreads = None,
    cache: Cache = None,
) -> None:
    """Classify images by the examples of a support store: a line of JSON for each.

    image; class, or Unknown; nearest, the best class in any case; score, the probability that the picture is of a known
    class; margin between the best two classes, small where they are hard to tell apart; set, the classes that hold the
    true one as often as --coverage says; example_of, where the picture is an example itself. An image that cannot be
    used has an error instead; the exit code is then 1.
    Interrupted, the same command goes on.

    Examples:

        argus recognize classify support/ photos/ --out classes.jsonl

        argus recognize classify support/ photo.jpg --threshold 0.8
    """
    from argusvl.cli.recognize.output import NAMED, print_classified, print_note, write_lines
    from argusvl.recognition.few_shot.classification import ClassifyOptions, FewShotClassifier
    from argusvl.recognition.few_shot.classification import classify as classify_vectors
    from argusvl.recognition.few_shot.embeddings import default_cache, query_vectors
    from argusvl.recognition.few_shot.unknown import UNKNOWN

    require_output(out, store, files=images, overwrite=overwrite)
    options = ClassifyOptions(classifier, features, threshold, coverage)
    learned = FewShotClassifier.load(store, options, backbone=backbone, device=device)
    if learned.single:
        names = listed([printable(label) for label in learned.single], NAMED)
        print_note(
            f"one example only of {names}: how probably a picture is known is a guess; --threshold 0 rejects none"
        )
    with goes_on_when_interrupted():
        queries = query_vectors(
            images, learned.backbone, learned.store.lane, cache or default_cache(), workers=workers
        )
    failed: dict[str, str] = {}
    lines = write_lines(classify_vectors(learned, queries.store), out, failed)
    counts = Counter(line["class"] for line in lines)
    print_classified(counts, failed, queries.problems)
    if 2 * counts[UNKNOWN] > sum(counts.values()):
        print_note(
            "most are Unknown; if all are sure to be of these classes, --threshold 0 names the nearest"
        )
    if failed or queries.problems:
        raise typer.Exit(FOUND_SOMETHING)
