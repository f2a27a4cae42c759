"""`argus recognize search`: Images → the most alike ones of a store."""

from __future__ import annotations

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


def search(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Folder of vectors, made by extract.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGES",
            help="Folders, lists of files (.txt, .jsonl) and files, or another store of vectors.",
        ),
    ],
    count: Annotated[int, typer.Option(min=1, help="How many pictures to find for each.")] = 10,
    out: LinesFile = None,
    overwrite: Overwrite = False,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="NAME:FOLDER of the weights that made the store; by default those that its name stands for."
        ),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the index beyond a million vectors; STORE.index by default.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    workers: ReadingThreads = None,
    cache: Cache = None,
) -> None:
    """Find the pictures of a store that are most like others: a line of JSON for each.

    Up to a million vectors every one is compared; beyond, an index is built once (LanceDB, an extra), which finds the
    nearest picture in 99 of 100 cases. A picture that cannot be used has an error instead; the exit code is then 1.

    Examples:

        argus recognize search store/ photo.jpg --count 5

        argus recognize search store/ photos/ --out alike.jsonl
    """
    from argusvl.recognition.extraction.store import EmbeddingStore

    require_output(out, store, files=images, overwrite=overwrite)
    there = EmbeddingStore.open(store)

    # These take seconds: a mistake in the above has been told.
    from argusvl.cli.recognize.output import print_unusable, write_lines
    from argusvl.recognition.backbones.views import load_with_views
    from argusvl.recognition.extraction.fingerprint import fingerprint_of, require_same_fingerprint, views_of
    from argusvl.recognition.few_shot.embeddings import default_cache, query_vectors
    from argusvl.recognition.few_shot.index import nearest_pictures
    from argusvl.recognition.few_shot.lance_index import index_for

    made_by = there.fingerprint.backbone
    network = load_with_views(backbone or made_by.backbone, views_of(made_by), device=device)
    require_same_fingerprint(there.fingerprint, fingerprint_of(network, there.fingerprint.lane), store)
    with goes_on_when_interrupted():
        queries = query_vectors(
            images, network, there.fingerprint.lane, cache or default_cache(), workers=workers
        )
    failed: dict[str, str] = {}
    for _ in write_lines(nearest_pictures(there, index_for(there, index), queries.store, count), out, failed):
        pass
    print_unusable(failed, queries.problems)
    if failed or queries.problems:
        raise typer.Exit(FOUND_SOMETHING)
