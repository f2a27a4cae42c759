"""`argus recognize`: vectors of pictures, and classes from a few examples."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="Extract features, and recognise classes from a few examples.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
