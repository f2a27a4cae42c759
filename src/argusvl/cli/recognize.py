"""`argus recognize`: vectors of pictures, and classes from a few examples."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

FOUND_SOMETHING = 1
"""Exit code: done, and something is wrong with what was asked about."""

app = typer.Typer(
    help="Extract features, and recognise classes from a few examples.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(epilog="Example: argus recognize extract photos/ --out store/")
def extract(
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGES…",
            help="A folder; a list of files (.txt, or .jsonl for any name); or files and folders.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="STORE", help="Folder of the vectors, to make or to go on with.")
    ],
    backbone: Annotated[
        str, typer.Option(help="NAME, or NAME:FOLDER of its weights.")
    ] = "efficientnet-lite0",
    lane: Annotated[
        Literal["exact", "scaled"],
        typer.Option(
            help="Decode every pixel, or let the JPEG decoder shrink large pictures, which is faster."
        ),
    ] = "exact",
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images of a forward pass; 32, or as the store was begun with.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that decode; as many as there are cores by default.")
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="This process, or Ray Data on one machine or many.")
    ] = "local",
    reuse: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Take vectors of files with the same hash over from this store."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the result to stdout as JSON.")] = False,
) -> None:
    """Turn images into a store of vectors.

    Interrupted at any point, the same command goes on, and the store is the same in the end. An image that cannot be
    used is named and the others are done; the exit code is then 1.
    """
    from argusvl.cli.extraction_output import print_extraction, print_how_far
    from argusvl.cli.output import print_json
    from argusvl.recognition.backbones.table import load_backbone
    from argusvl.recognition.extraction.extractor import extract as extract_images

    network = load_backbone(backbone, device=device)
    chosen = None
    if engine == "ray":
        from argusvl.recognition.extraction.ray_engine import RayEngine

        chosen = RayEngine(partial(load_backbone, backbone, device=str(network.device)))
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
