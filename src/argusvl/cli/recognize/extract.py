"""`argus recognize extract`: Images → a store of vectors."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from argusvl.cli.recognize.options import BACKBONE_HELP, LANE_HELP, VIEWS_HELP, Images, Lane
from argusvl.command_options import AsJson, Device, Engine, Threads
from argusvl.core.terminal import FOUND_SOMETHING, print_json


def extract(
    images: Images,
    out: Annotated[
        Path, typer.Option(metavar="STORE", help="Folder of the vectors, to make or to go on with.")
    ],
    backbone: Annotated[str, typer.Option(help=f"{BACKBONE_HELP}.")] = "efficientnet-lite0",
    views: Annotated[str, typer.Option(help=f"{VIEWS_HELP}. Enroll and table take four by default.")] = "one",
    lane: Annotated[Lane, typer.Option(help=f"{LANE_HELP}.")] = "exact",
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Images in a forward pass; 4 (64 on a GPU), or as the store was begun with."
        ),
    ] = None,
    device: Device = "auto",
    workers: Threads = None,
    engine: Engine = "local",
    reuse: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Take vectors of files with the same hash over from this store."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn images into a store of vectors.

    Interrupted at any point, the same command goes on, and the store is the same in the end. An image that cannot be
    used is named and the others are done; the exit code is then 1.

    Examples:

        argus recognize extract photos/ --out store/

        argus recognize extract photos.txt --out store/ --backbone dinov2-base:FOLDER --lane scaled
    """
    from argusvl.cli.recognize.output import print_extraction, print_how_far
    from argusvl.recognition.backbones.views import load_with_views
    from argusvl.recognition.extraction.extractor import extract as extract_images

    network = load_with_views(backbone, views, device=device)
    chosen = None
    if engine == "ray":
        from argusvl.recognition.extraction.ray_engine import RayEngine

        chosen = RayEngine(partial(load_with_views, backbone, views, device=str(network.device)))
    try:
        report = extract_images(
            images,
            out,
            network,
            lane=lane,
            batch_size=batch_size,
            workers=workers,
            engine=chosen,
            reuse=reuse,
        )
    except KeyboardInterrupt:
        print_how_far(out)
        raise
    print_extraction(report)
    if as_json:
        print_json(report.to_dict())
    if report.quarantined_entries or report.problems:
        raise typer.Exit(FOUND_SOMETHING)
