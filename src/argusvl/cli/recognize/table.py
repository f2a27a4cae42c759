"""`argus recognize table`: How well classes are recognised from a few examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from argusvl.cli.recognize.options import (
    BACKBONE_HELP,
    LANE_HELP,
    LAYOUT_HELP,
    VIEWS_HELP,
    Cache,
    Lane,
    Overwrite,
    ReadingThreads,
    goes_on_when_interrupted,
    require_output,
)
from argusvl.command_options import Device
from argusvl.core.errors import ConfigError
from argusvl.core.files import write_text_atomically
from argusvl.core.terminal import FOUND_SOMETHING, print_json


def table(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of categories; see --layout.")],
    backbone: Annotated[
        str, typer.Option(help=f"One, or several with commas: {BACKBONE_HELP}.")
    ] = "efficientnet-lite0",
    shots: Annotated[
        str, typer.Option(metavar="N,…", help="Examples of each class; 0: by the classes' names (CLIP).")
    ] = "1,5,10,20",
    seeds: Annotated[int, typer.Option(min=1, help="How many times the examples are drawn anew.")] = 10,
    classifier: Annotated[
        str, typer.Option(help="ridge, centroid, nearest, linear-probe, cache; transductive: soft-k-means.")
    ] = "ridge",
    features: Annotated[
        str,
        typer.Option(
            help="rich: square roots, and the network's own class scores where it has some; plain: the vector."
        ),
    ] = "rich",
    views: Annotated[
        str | None,
        typer.Option(
            help=f"{VIEWS_HELP}. By default four for rich features, one for plain ones.",
            show_default=False,
        ),
    ] = None,
    unknown: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS,…", help="Classes without an example: how well are they told from the others?"
        ),
    ] = None,
    template: Annotated[
        str, typer.Option(help="Sentence for a class's name, {}, where --shots has 0.")
    ] = "a photo of a {}.",
    category: Annotated[str | None, typer.Option(help="Only this category; all by default.")] = None,
    layout: Annotated[str, typer.Option(help=LAYOUT_HELP)] = "argus",
    lane: Annotated[Lane, typer.Option(help=f"{LANE_HELP}.")] = "exact",
    device: Device = "auto",
    workers: ReadingThreads = None,
    cache: Cache = None,
    form: Annotated[
        Literal["markdown", "csv", "latex"], typer.Option("--format", help="Format of the tables.")
    ] = "markdown",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the tables here, not to stdout.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the figures to stdout as JSON; tables only with --out.")
    ] = False,
) -> None:
    """Measure how well classes are recognised from a few examples each.

    For each category and number of shots: the accuracy and its spread over the seeds and, where some classes are
    unknown, AUROC, FPR95 and OSCR. The same inputs give the same bytes. Pictures that cannot be used are named and left
    out; the exit code is then 1.

    Examples:

        argus recognize table data/ --shots 1,5,10,20 --seeds 10

        argus recognize table data/ --unknown cat,dog --format csv --out table.csv
    """
    from argusvl.cli.recognize.output import print_measured
    from argusvl.recognition.few_shot.embeddings import default_cache
    from argusvl.recognition.few_shot.evaluation import Protocol
    from argusvl.recognition.few_shot.layout import parse_layout
    from argusvl.recognition.few_shot.measurement import Recipe, measure
    from argusvl.recognition.few_shot.tables import FORMATS

    require_output(out, data, overwrite=overwrite)
    with goes_on_when_interrupted():
        measured = measure(
            data,
            _listed("--backbone", [backbone]),
            Protocol(
                shots=_numbers("--shots", shots),
                seeds=seeds,
                classifier=classifier,
                unknown=_listed("--unknown", unknown) if unknown is not None else (),
            ),
            Recipe(features, views or ("four" if features == "rich" else "one"), lane, template),
            layout=parse_layout(layout),
            cache=cache or default_cache(),
            category=category,
            device=device,
            workers=workers,
        )
    print_measured(measured)
    text = FORMATS[form](measured.rows)
    if out is not None:
        write_text_atomically(out, text)
    if as_json:
        print_json(measured.to_dict())
    elif out is None:
        typer.echo(text, nl=False)
    if measured.quarantined:
        raise typer.Exit(FOUND_SOMETHING)


def _listed(option: str, values: list[str]) -> tuple[str, ...]:
    """Names given with commas or one by one, each once."""
    names = (name.strip() for value in values for name in value.split(","))
    found = tuple(dict.fromkeys(name for name in names if name))
    if not found:
        raise ConfigError(f"{option} names nothing", remedy=f"give names with commas, or leave {option} out")
    return found


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise ConfigError(
            f"{option} is {text!r}", remedy=f"give whole numbers with commas: {option} 1,5,10"
        ) from None
