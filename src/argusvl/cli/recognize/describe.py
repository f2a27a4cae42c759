"""`argus recognize describe`: Images → captions, objects and regions, with Florence-2."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from argusvl.cli.recognize.options import BACKBONE_HELP, Images
from argusvl.command_options import AsJson, Device, Threads
from argusvl.core.terminal import FOUND_SOMETHING


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
        str | None, typer.Option(help=f"Then embed the pictures with this one: {BACKBONE_HELP}.")
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
    from argusvl.cli.recognize.pipeline_output import print_pipeline
    from argusvl.core.terminal import print_json, say
    from argusvl.recognition.florence.describing import describe_stage, embedding_stage
    from argusvl.recognition.pipeline.stages import Stage, run_stages

    wanted = [task.strip() for task in tasks.split(",") if task.strip()]
    stages: list[Stage[Any]] = [
        describe_stage(
            model, wanted, find, batch_size=batch_size, max_new_tokens=max_new_tokens, num_beams=num_beams
        )
    ]
    if backbone is not None:
        stages.append(embedding_stage(backbone, device, batch_size=batch_size))
    try:
        report = run_stages(images, out, stages, device=device, workers=workers)
    except KeyboardInterrupt:
        say(f"what was done is kept in {out}; the same command goes on")
        raise
    print_pipeline(report)
    if as_json:
        print_json(report.to_dict())
    if report.quarantined or report.problems:
        raise typer.Exit(FOUND_SOMETHING)
