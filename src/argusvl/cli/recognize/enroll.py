"""`argus recognize enroll`: Examples → a support store that grows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argusvl.cli.recognize.options import (
    BACKBONE_HELP,
    LANE_HELP,
    VIEWS_HELP,
    Lane,
    ReadingThreads,
    goes_on_when_interrupted,
)
from argusvl.command_options import AsJson, Device
from argusvl.core.terminal import FOUND_SOMETHING, print_json


def enroll(
    store: Annotated[
        Path, typer.Argument(metavar="STORE", help="Folder of the support store, to make or to add to.")
    ],
    examples: Annotated[
        Path, typer.Argument(metavar="EXAMPLES", help="Folder with a folder for each class; see --layout.")
    ],
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="EXAMPLES are all of this class: a folder, a list of files, or a file.",
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            help="classes: a folder for each class. argus, imagefolder, patterns: see argus recognize table --help."
        ),
    ] = "classes",
    category: Annotated[
        str | None, typer.Option(help="The category to take, where there are several.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help=f"{BACKBONE_HELP}. By default the store's; efficientnet-lite0 for a new one."),
    ] = None,
    views: Annotated[
        str | None, typer.Option(help=f"{VIEWS_HELP}. By default the store's; four for a new one.")
    ] = None,
    lane: Annotated[
        Lane | None, typer.Option(help=f"{LANE_HELP}. By default the store's; exact for a new one.")
    ] = None,
    device: Device = "auto",
    workers: ReadingThreads = None,
    as_json: AsJson = False,
) -> None:
    """Add classes and examples to a support store; only new pictures are computed.

    Interrupted, the same command goes on; until it is done, the store is as it was. A picture that cannot be used is
    named and the others are enrolled; the exit code is then 1.

    Examples:

        argus recognize enroll support/ examples/

        argus recognize enroll support/ lynx/ --class lynx
    """
    from argusvl.recognition.few_shot.layout import read_examples

    pictures = read_examples(examples, label, layout, category)

    # These take seconds: a mistake in the above has been told.
    from argusvl.cli.recognize.output import print_enrolment
    from argusvl.recognition.backbones.table import absolute_spec
    from argusvl.recognition.backbones.views import load_with_views
    from argusvl.recognition.few_shot.enrolment import HEADER, SupportStore
    from argusvl.recognition.few_shot.enrolment import enroll as enroll_pictures

    there = SupportStore.open(store) if (store / HEADER).exists() else None
    spec = absolute_spec(backbone) if backbone else (there.backbone if there else "efficientnet-lite0")
    wanted = views or (there.views if there else "four")
    network = load_with_views(spec, wanted, device=device)
    with goes_on_when_interrupted():
        report = enroll_pictures(
            store,
            pictures,
            network,
            spec=spec,
            views=wanted,
            lane=lane or (there.lane if there else "exact"),
            workers=workers,
        )
    print_enrolment(report, store)
    if as_json:
        print_json(report.to_dict())
    if report.quarantined:
        raise typer.Exit(FOUND_SOMETHING)
