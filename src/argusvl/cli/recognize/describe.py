"""`argus recognize describe`: Images → captions, objects and regions, with Florence-2."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argusvl.cli.recognize.options import BACKBONE_HELP, Images
from argusvl.command_options import AsJson, Device, Threads
from argusvl.core.terminal import FOUND_SOMETHING, print_json, say

VECTORS = "vectors"
"""The store of vectors in the folder of the results, as `argus recognize extract` makes it."""


def describe(
    images: Images,
    model: Annotated[
        str,
        typer.Option(metavar="PLACE", help="A Florence-2 in hub layout: its folder, or its id on the hub."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of the results, to make or to go on with.")
    ],
    tasks: Annotated[
        str,
        typer.Option(
            metavar="A,B,…",
            help="caption, detailed-caption, more-detailed-caption, detect, dense-regions; may be empty.",
        ),
    ] = "caption,detect",
    find: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Look for this as well, in every picture.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help=f"Then extract vectors into a store in OUT, with this one: {BACKBONE_HELP}."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures in a forward pass.")] = 8,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="The longest answer, tokens; 1024 at most by default.")
    ] = None,
    num_beams: Annotated[
        int | None, typer.Option(min=1, help="Width of the beam search; the model's own by default.")
    ] = None,
    device: Device = "auto",
    workers: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Describe pictures with Florence-2: captions, objects, regions, and what is looked for.

    A line of JSON for each picture, boxes in its own pixels. Models run one after the other, so that the memory of the
    largest is enough. Interrupted at any point, the same command goes on. A picture that cannot be used is named and
    the others are done; the exit code is then 1.

    Examples:

        argus recognize describe photos/ --model Florence-2-base/ --out described/

        argus recognize describe photos/ --model Florence-2-base/ --out cables/ --find cable
    """
    from argusvl.cli.recognize.output import print_extraction, print_pipeline
    from argusvl.recognition.backbones.table import load_backbone
    from argusvl.recognition.extraction.extractor import extract
    from argusvl.recognition.florence.describing import describe_stage
    from argusvl.recognition.pipeline.stages import run_stages

    wanted = [task.strip() for task in tasks.split(",") if task.strip()]
    stage = describe_stage(
        model, wanted, find, batch_size=batch_size, max_new_tokens=max_new_tokens, num_beams=num_beams
    )
    if backbone is not None:
        load_backbone(backbone, device=device)  # a mistake in its name is said now, not after the describing
    vectors = None
    try:
        report = run_stages(images, out, [stage], device=device, workers=workers)
        if backbone is not None:
            network = load_backbone(backbone, device=device)
            vectors = extract(images, out / VECTORS, network, workers=workers)
    except KeyboardInterrupt:
        say(f"what was done is kept in {out}; the same command goes on")
        raise
    print_pipeline(report)
    if vectors is not None:
        print_extraction(vectors)
    if as_json:
        print_json(report.to_dict() | ({} if vectors is None else {"vectors": vectors.to_dict()}))
    if report.quarantined or report.problems or (vectors is not None and vectors.quarantined_entries):
        raise typer.Exit(FOUND_SOMETHING)
