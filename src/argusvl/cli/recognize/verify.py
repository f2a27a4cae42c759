"""`argus recognize verify`: What makes a backbone trustworthy, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argusvl.cli.recognize.options import BACKBONE_HELP
from argusvl.command_options import AsJson, Device
from argusvl.core.terminal import FOUND_SOMETHING, print_json


def verify(
    backbone: Annotated[str, typer.Argument(metavar="BACKBONE", help=f"{BACKBONE_HELP}.")],
    images: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Pictures to use; drawn ones by default.")
    ] = None,
    count: Annotated[int, typer.Option(min=100, help="Pictures over which memory must stay flat.")] = 1000,
    batch_size: Annotated[int, typer.Option(min=2, help="Pictures in a forward pass.")] = 32,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Check a backbone: memory, preprocessing, dtypes and devices, reproducibility.

    Each check measures from outside and says what it found in figures. The exit code is 1 where one has failed.

    Examples:

        argus recognize verify efficientnet-lite0

        argus recognize verify clip-vit-b32:FOLDER --count 200
    """
    from argusvl.cli.recognize.output import print_verification
    from argusvl.recognition.backbones.table import load_backbone
    from argusvl.recognition.verification.pictures import folder_pictures
    from argusvl.recognition.verification.verify import verify as verify_backbone

    found = verify_backbone(
        lambda place: load_backbone(backbone, device=place),
        device=device,
        pictures=None if images is None else folder_pictures(images, limit=count),
        count=count,
        batch_size=batch_size,
    )
    print_verification(found)
    if as_json:
        print_json(found.as_dict())
    if not found.passed:
        raise typer.Exit(FOUND_SOMETHING)
