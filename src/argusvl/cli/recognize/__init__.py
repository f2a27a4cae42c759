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

_HELP = """Extract features, and recognise classes from a few examples.

Examples:

    argus recognize enroll support/ examples/

    argus recognize classify support/ photos/ --out classes.jsonl

    argus recognize extract --help
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode=None)
for verb in (enroll, classify, table, extract, search, verify, describe):
    app.command()(verb)
