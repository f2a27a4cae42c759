"""`argus data`: convert, export, check, draw and divide data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argusvl.cli.data_output import (
    print_check,
    print_conversion,
    print_counts,
    print_export,
    print_findings,
    print_page,
    print_scene,
)
from argusvl.cli.output import print_json
from argusvl.core.errors import DataError
from argusvl.detection.data.check import CheckOptions, check_records, check_source
from argusvl.detection.data.convert import ConvertOptions
from argusvl.detection.data.convert import convert as convert_source
from argusvl.detection.data.export import ExportOptions, ImageMode
from argusvl.detection.data.export import export as export_records
from argusvl.detection.data.findings import count_errors
from argusvl.detection.data.formats import FORMATS
from argusvl.detection.data.orientation import BoxFrame
from argusvl.detection.data.pool import make_pool
from argusvl.detection.data.split import LabelKind, SplitOptions, split_file

FOUND_SOMETHING = 1
"""Exit code: done, and something is wrong with what was asked about."""

app = typer.Typer(
    help="Convert, export, check, draw and divide data sets.", no_args_is_help=True, rich_markup_mode=None
)

MinPixels = Annotated[int, typer.Option(help="Smallest area of an image after the resize, pixels.")]
MaxPixels = Annotated[int, typer.Option(help="Largest area of an image after the resize, pixels.")]
PixelOffset = Annotated[
    float,
    typer.Option(
        help="Subtracted from left and top edges, pixels: 1 for boxes that are 1-based and inclusive, as in the "
        "original VOC 2007-2012 files; 0 keeps the numbers as they are."
    ),
]
TokenMap = Annotated[
    str | None,
    typer.Option(
        help="For vendor: JSON or YAML file of synonyms and the terms that they stand for; bbu-room names the one "
        "that ships."
    ),
]
LabelHierarchy = Annotated[
    str | None,
    typer.Option(
        help="For vendor: JSON or YAML file of object types and the terms allowed at each level below them; bbu-room "
        "names the one that ships."
    ),
]
ExifBoxes = Annotated[
    BoxFrame | None,
    typer.Option(
        help="Where the boxes of EXIF-turned images were drawn, when the annotated size does not tell: on the "
        "pixels as stored, or on the picture as viewers show it."
    ),
]
GroupKey = Annotated[
    str | None,
    typer.Option(help="Regular expression on image paths that names the scene; a scene is never divided."),
]
LabelsAre = Annotated[
    LabelKind,
    typer.Option(help="What counts as a label: the whole description, or what stands before the first '/'."),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Threads; as many as there are cores by default.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run wrote.")]
Json = Annotated[bool, typer.Option("--json", help="Write the result to stdout as JSON.")]
MaxMegapixels = Annotated[
    float, typer.Option(help="Larger images are refused undecoded: a limit against decompression bombs.")
]


@app.command(
    epilog="Example: argus data convert voc photos/ data/ --min-pixels 3136 --max-pixels 150528 "
    "--val-fraction 0.2 --teacher-pool 8"
)
def convert(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of: {', '.join(FORMATS)}.")],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC", help="Folder with images and annotations, or the file that names the images."
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
    min_pixels: MinPixels,
    max_pixels: MaxPixels,
    val_fraction: Annotated[
        float | None,
        typer.Option(help="Share of the images to hold out as val, where the source has no val of its own."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of that split.")] = 0,
    group_key: GroupKey = None,
    teacher_pool: Annotated[
        int | None,
        typer.Option(min=1, help="Images to take out of train as teachers: a set that shows every label."),
    ] = None,
    pixel_offset: PixelOffset = 0.0,
    token_map: TokenMap = None,
    label_hierarchy: LabelHierarchy = None,
    exif_boxes: ExifBoxes = None,
    max_megapixels: MaxMegapixels = 64.0,
    workers: Workers = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Convert photographs with boxes to resized JPEGs, JSONL records and a manifest.

    What cannot be used is refused by name and the rest is used; the exit code is then 1.
    """
    options = ConvertOptions(
        format=format_name,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        val_fraction=val_fraction,
        seed=seed,
        group_key=group_key,
        teacher_pool=teacher_pool,
        pixel_offset=pixel_offset,
        token_map=token_map,
        label_hierarchy=label_hierarchy,
        exif_boxes=exif_boxes,
        max_megapixels=max_megapixels,
        workers=workers,
        overwrite=overwrite,
    )
    manifest = convert_source(source, out, options, progress=True)
    print_conversion(manifest, out)
    if as_json:
        print_json(manifest.model_dump(mode="json", exclude={"images"}))
    if count_errors(manifest.findings):
        raise typer.Exit(FOUND_SOMETHING)


@app.command(epilog="Example: argus data export coco data/ data_coco/")
def export(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of: {', '.join(FORMATS)}.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A data folder, or a JSONL file.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
    root: Annotated[
        Path | None,
        typer.Option(help="Folder that image paths are relative to; the JSONL file's own by default."),
    ] = None,
    images: Annotated[
        ImageMode,
        typer.Option(
            help="Copy the images, or hard-link them: no space taken, but a change shows in both places."
        ),
    ] = "copy",
    prompt_language: Annotated[
        str, typer.Option(help="Of the question in formats that are conversations: zh or en.")
    ] = "en",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Write records as a data set of another format, its splits kept and its images beside it.

    What the format cannot hold is refused by name and the rest is written; the exit code is then 1.
    """
    options = ExportOptions(format_name, root, images, prompt_language, workers)
    report = export_records(data, out, options, progress=True)
    print_export(report, out)
    if as_json:
        print_json(report.to_json())
    if report.errors:
        raise typer.Exit(FOUND_SOMETHING)


@app.command(
    epilog="Example: argus data check data/ --vision-tokens-max 500 --num-queries 100 --html check.html"
)
def check(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A JSONL file, a data folder, or with --format a source.")
    ],
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format", help=f"Check data that is still to be converted; one of: {', '.join(FORMATS)}."
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(help="Folder that image paths are relative to; the JSONL file's own by default."),
    ] = None,
    min_pixels: Annotated[
        int | None, typer.Option(help="Smallest area after the resize, pixels; the manifest's by default.")
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(help="Largest area after the resize, pixels; the manifest's by default.")
    ] = None,
    vision_tokens_warn: Annotated[int | None, typer.Option(help="Vision tokens an image that warn.")] = None,
    vision_tokens_max: Annotated[
        int | None, typer.Option(help="Vision tokens an image that are an error.")
    ] = None,
    num_queries: Annotated[
        int | None, typer.Option(help="Objects an image that can be found at most.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Model whose tokenizer counts conversations; a small one is learned from the records by default."
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page with the findings, figures and worst pictures, too."),
    ] = None,
    pixel_offset: PixelOffset = 0.0,
    exif_boxes: ExifBoxes = None,
    max_megapixels: MaxMegapixels = 64.0,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Find what is wrong with data: lines, images, boxes, labels, budgets.

    The exit code is 1 where there are errors; warnings alone are 0.
    """
    options = CheckOptions(
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        vision_tokens_warn=vision_tokens_warn,
        vision_tokens_max=vision_tokens_max,
        num_queries=num_queries,
        max_megapixels=max_megapixels,
        workers=workers,
    )
    if format_name is None:
        if pixel_offset or exif_boxes:
            raise DataError(
                "--pixel-offset and --exif-boxes concern data that is still to be converted",
                remedy="add --format, or leave them out",
            )
        report = check_records(data, options, root=root, conversations=True, model=model, progress=True)
    else:
        report = check_source(
            data, format_name, options, pixel_offset=pixel_offset, exif_boxes=exif_boxes, progress=True
        )
    if html is not None:
        from argusvl.detection.data.check_page import write_check_page

        write_check_page(report, html, max_megapixels=max_megapixels)
    if as_json:
        print_json(report.to_json())
    else:
        print_check(report)
    if html is not None:
        print_page(html)
    if report.errors:
        raise typer.Exit(FOUND_SOMETHING)


@app.command(epilog="Example: argus data synth bbu-room data/bbu --images 2000 --seed 1")
def synth(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to draw, e.g. bbu-room.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
    images: Annotated[int, typer.Option(min=1, help="Pictures to draw, the teacher pool not counted.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")],
    width: Annotated[int, typer.Option(help="Of every picture, pixels.")] = 448,
    height: Annotated[int, typer.Option(help="Of every picture, pixels.")] = 336,
    language: Annotated[str, typer.Option(help="Of the descriptions: zh or en.")] = "zh",
) -> None:
    """Draw a data set: pictures, records by split, a teacher pool, a manifest."""
    from argusvl.detection.data.synthetic import SCENES

    if name not in SCENES:
        raise DataError(f"there are no scenes called {name!r}", remedy=f"the scenes are: {', '.join(SCENES)}")
    SCENES[name](out, images=images, seed=seed, width=width, height=height, language=language, progress=True)
    print_scene(name, out)


@app.command(
    epilog="Example: argus data split data/all.jsonl --val-fraction 0.2 --seed 1 --group-key 'board_(\\d+)'"
)
def split(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="A JSONL file, or a data folder whose train.jsonl is divided."),
    ],
    val_fraction: Annotated[float, typer.Option(help="Share of the images to hold out.")],
    seed: Annotated[int, typer.Option(help="Decides between equals.")],
    group_key: GroupKey = None,
    labels_are: LabelsAre = "description",
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Divide records into train.jsonl and val.jsonl, every label in its proportion and no scene in both."""
    counts = split_file(data, SplitOptions(val_fraction, seed, group_key, labels_are), overwrite=overwrite)
    print_counts(counts)
    if as_json:
        print_json(counts)


@app.command(epilog="Example: argus data pool data/ --size 8")
def pool(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The training JSONL file, or a data folder.")],
    size: Annotated[int, typer.Option(min=1, help="Images in the pool.")],
    labels_are: LabelsAre = "description",
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Move a teacher pool out of train: few images that show every label.

    They are written to teacher_pool.jsonl and removed from the training file, so that nothing is learned twice.
    """
    counts, warnings = make_pool(data, size, labels_are=labels_are, overwrite=overwrite)
    print_counts(counts)
    print_findings(warnings)
    if as_json:
        print_json(counts)
