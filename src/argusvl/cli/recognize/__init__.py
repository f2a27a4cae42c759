"""`argus recognize`: vectors of pictures, and classes from a few examples. One file for each verb."""

from __future__ import annotations

import typer

from argusvl.cli.recognize.classify import classify
from argusvl.cli.recognize.describe import describe
from argusvl.cli.recognize.enroll import enroll
from argusvl.cli.recognize.extract import extract
from argusvl.cli.recognize.search import search
from argusvl.cli.recognize.table import table
from argusvl.cli.recognize.verify import verify

app = typer.Typer(
    help="Extract features, and recognise classes from a few examples.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for verb, example in (
    (enroll, "argus recognize enroll support/ examples/"),
    (classify, "argus recognize classify support/ photos/ --out classes.jsonl"),
    (table, "argus recognize table data/ --backbone efficientnet-lite0 --shots 1,5,10,20 --seeds 10"),
    (extract, "argus recognize extract photos/ --out store/"),
    (search, "argus recognize search store/ photo.jpg --count 5"),
    (verify, "argus recognize verify efficientnet-lite0"),
    (describe, "argus recognize describe photos/ --model Florence-2-base/ --out described/"),
):
    app.command(epilog=f"Example: {example}")(verb)
