"""`argus data` for detection: convert, export, check, draw and divide data sets, and hand predictions to annotators."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from argusvl.command_options import AsJson, Root, Threads
from argusvl.core.errors import DataError
from argusvl.core.files import refuse_replacing
from argusvl.core.terminal import FOUND_SOMETHING, print_json, say
from argusvl.core.wording import counted
from argusvl.detection.data.formats import FORMATS
from argusvl.synthetic import SCENES, draw_set

MinPixels = Annotated[
    int | None,
    typer.Option(
        help="Smallest area of an image after the resize, pixels, e.g. 3136 (56×56); by default chosen by the "
        "images' and the objects' sizes, with the reason in the log."
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        help="Largest area of an image after the resize, pixels; the model sees 784 of them (28×28) as one token. By "
        "default chosen likewise."
    ),
]
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
        "that ships; none by default."
    ),
]
LabelHierarchy = Annotated[
    str | None,
    typer.Option(
        help="For vendor: JSON or YAML file of object types and the terms allowed at each level below them; bbu-room "
        "names the one that ships; by default every term is kept, in its order."
    ),
]
ExifBoxes = Annotated[
    Literal["stored", "upright"] | None,
    typer.Option(
        help="Where the boxes of EXIF-turned images were drawn, when the annotated size does not tell: on the "
        "pixels as stored, or on the picture as viewers show it (upright); such an image is refused by default."
    ),
]
GroupKey = Annotated[
    str | None,
    typer.Option(
        help="Regular expression on image paths that names the scene, which is never divided; by default each image "
        "is a scene of its own."
    ),
]
LabelsAre = Annotated[
    Literal["description", "type"],
    typer.Option(help="What counts as a label: the whole description, or what stands before the first '/'."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run wrote.")]
MaxMegapixels = Annotated[
    float,
    typer.Option(
        help="Images of more, in millions of pixels, are refused undecoded: a limit against decompression bombs."
    ),
]


def convert(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of: {', '.join(FORMATS)}.")],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC", help="Folder with images and annotations, or the file that names the images."
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
    min_pixels: MinPixels = None,
    max_pixels: MaxPixels = None,
    val_fraction: Annotated[
        float | None,
        typer.Option(
            help="Share of the images to hold out as val, from 0 to 1; needed where the source has no val of its own."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of that split; the same one holds out the same images.")
    ] = 0,
    group_key: GroupKey = None,
    teacher_pool: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images to take out of train as teachers, a set that shows every label; none by default.",
        ),
    ] = None,
    pixel_offset: PixelOffset = 0.0,
    token_map: TokenMap = None,
    label_hierarchy: LabelHierarchy = None,
    exif_boxes: ExifBoxes = None,
    max_megapixels: MaxMegapixels = 64.0,
    workers: Threads = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Convert photographs with boxes to resized JPEGs, JSONL records and a manifest.

    What cannot be used is refused by name and the rest is used; the exit code is then 1.

    Examples:

        argus data convert coco in/ out/

        argus data convert voc in/ out/ --val-fraction 0.2 --max-pixels 235200
    """
    from argus_doctor.findings import count_errors
    from argusvl.detection.commands.data_output import print_conversion
    from argusvl.detection.data.preparing.convert import ConvertOptions
    from argusvl.detection.data.preparing.convert import convert as convert_source

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


def export(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of: {', '.join(FORMATS)}.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A data folder, or a JSONL file.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
    root: Root = None,
    images: Annotated[
        Literal["copy", "link"],
        typer.Option(
            help="Copy the images, or hard-link them: no space taken, but a change shows in both places."
        ),
    ] = "copy",
    prompt_language: Annotated[
        str, typer.Option(help="Language of the question in formats that are conversations: zh or en.")
    ] = "en",
    workers: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Write records as a data set of another format, splits kept, images beside it.

    What the format cannot hold is refused by name and the rest is written; the exit code is then 1.

    Examples:

        argus data export coco data/ data_coco/

        argus data export yolo data/ data_yolo/ --images link
    """
    from argusvl.detection.commands.data_output import print_export
    from argusvl.detection.data.preparing.export import ExportOptions
    from argusvl.detection.data.preparing.export import export as export_records

    options = ExportOptions(format_name, root, images, prompt_language, workers)
    report = export_records(data, out, options, progress=True)
    print_export(report, out)
    if as_json:
        print_json(report.to_json())
    if report.errors:
        raise typer.Exit(FOUND_SOMETHING)


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
    root: Root = None,
    min_pixels: Annotated[
        int | None, typer.Option(help="Smallest area after the resize, pixels; the manifest's by default.")
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(help="Largest area after the resize, pixels; the manifest's by default.")
    ] = None,
    vision_tokens_warn: Annotated[
        int | None, typer.Option(help="Warn of an image with more vision tokens; not checked by default.")
    ] = None,
    vision_tokens_max: Annotated[
        int | None, typer.Option(help="An image with more vision tokens is an error; not checked by default.")
    ] = None,
    num_queries: Annotated[
        int | None,
        typer.Option(
            help="An image with more objects is an error: the model's detection_num_queries; not checked by default."
        ),
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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the --html file even where it is no page of Argus.")
    ] = False,
    pixel_offset: PixelOffset = 0.0,
    exif_boxes: ExifBoxes = None,
    max_megapixels: MaxMegapixels = 64.0,
    workers: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Find what is wrong with data: lines, images, boxes, labels, budgets.

    The exit code is 1 where there are errors; warnings alone are 0.

    Examples:

        argus data check data/ --html check.html

        argus data check data/ --vision-tokens-max 500 --num-queries 100

        argus data check photos/ --format voc
    """
    from argusvl.detection.commands.data_output import print_check
    from argusvl.detection.data.preparing.check import CheckOptions, check_records, check_source

    if html is not None:
        from argusvl.visual.page import is_page

        refuse_replacing(html, overwrite=overwrite, inputs=[data], ours=is_page)
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
        from argusvl.detection.report.check_page import write_check_page

        write_check_page(report, html, max_megapixels=max_megapixels)
    if as_json:
        print_json(report.to_json())
    else:
        print_check(report)
    if html is not None:
        say(f"Page written to {html}.")
    if report.errors:
        raise typer.Exit(FOUND_SOMETHING)


def synth(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"What to draw, one of: {', '.join(SCENES)}.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
    images: Annotated[int, typer.Option(min=1, help="Pictures to draw, the teacher pool not counted.")],
    seed: Annotated[int, typer.Option(help="Seed of what is drawn; the same one gives the same bytes.")],
    width: Annotated[
        int | None,
        typer.Option(
            help="Width of every picture, pixels; by default 448, of hands 224, of hand-scenes 384."
        ),
    ] = None,
    height: Annotated[
        int | None,
        typer.Option(
            help="Height of every picture, pixels; by default 336, of hands 224, of hand-scenes 320."
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Language of the descriptions, zh or en; zh by default.")
    ] = None,
    backgrounds: Annotated[
        Path | None, typer.Option(help="For hands: folder with photographs without hands, to draw them on.")
    ] = None,
) -> None:
    """Draw a data set: pictures, records by split, a teacher pool, a manifest; of hands pictures and hands.json.

    Examples:

        argus data synth bbu-room data/bbu --images 2000 --seed 1 --language en

        argus data synth hands data/hands --images 5000 --seed 1

        argus data synth hand-scenes data/scenes --images 3000 --seed 1 --backgrounds photographs/
    """
    options = {"width": width, "height": height, "language": language, "backgrounds": backgrounds}
    draw_set(name, out, images=images, seed=seed, progress=True, **options)
    say(f"{name}: written to {out}.")


def split(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="A JSONL file, or a data folder whose train.jsonl is divided."),
    ],
    val_fraction: Annotated[float, typer.Option(help="Share of the images to hold out, from 0 to 1.")],
    seed: Annotated[int, typer.Option(help="Decides between images that serve equally well.")],
    group_key: GroupKey = None,
    labels_are: LabelsAre = "description",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Divide records into train and val: labels in proportion, no scene in both.

    They are written to train.jsonl and val.jsonl beside DATA.

    Examples:

        argus data split data/all.jsonl --val-fraction 0.2 --seed 1

        argus data split data/all.jsonl --val-fraction 0.2 --seed 1 --group-key 'board_([0-9]+)'
    """
    from argusvl.detection.commands.data_output import print_counts
    from argusvl.detection.data.preparing.split import SplitOptions, split_file

    counts = split_file(data, SplitOptions(val_fraction, seed, group_key, labels_are), overwrite=overwrite)
    print_counts(counts)
    if as_json:
        print_json(counts)


def pool(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The training JSONL file, or a data folder.")],
    size: Annotated[int, typer.Option(min=1, help="Images in the pool.")],
    labels_are: LabelsAre = "description",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Move a teacher pool out of train: few images that show every label.

    They are written to teacher_pool.jsonl and removed from the training file, so that nothing is learned twice.

    Examples:

        argus data pool data/ --size 8
    """
    from argus_doctor.rendering import print_findings
    from argusvl.core.terminal import console
    from argusvl.detection.commands.data_output import print_counts
    from argusvl.detection.data.preparing.pool import make_pool

    counts, warnings = make_pool(data, size, labels_are=labels_are, overwrite=overwrite)
    print_counts(counts)
    print_findings(warnings, console())
    if as_json:
        print_json(counts)


def prelabel(
    found: Annotated[
        Path, typer.Argument(metavar="FOUND.jsonl", help="What `argus predict RUN PHOTOS --out` wrote.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make, for Label Studio to serve.")],
    labels: Annotated[
        str,
        typer.Option(
            metavar="A,B,…", help="Labels to offer even where none was found; those found are always."
        ),
    ] = "",
    model_version: Annotated[str, typer.Option(help="What Label Studio calls the model.")] = "argus",
    served: Annotated[
        Path | None,
        typer.Option(help="Folder that Label Studio serves, with OUT in it; OUT itself by default."),
    ] = None,
    images: Annotated[
        Literal["copy", "link"], typer.Option(help="Copy the photographs, or hard-link them.")
    ] = "copy",
) -> None:
    """Write predictions as Label Studio tasks with pre-labels, with the labelling interface and the photographs.

    Examples:

        argus data prelabel found.jsonl labelling/

        argus data prelabel found.jsonl labelling/round-2 --served labelling --labels RBC,WBC --images link
    """
    from argusvl.detection.data.prelabels import write_prelabels

    offered = [label.strip() for label in labels.split(",") if label.strip()]
    done = write_prelabels(
        found, out, model_version=model_version, labels=offered, images=images, served=served
    )
    say(
        f"{counted(done.images, 'task')} with {done.boxes} pre-labelled boxes of {counted(len(done.labels), 'label')} "
        f"written to {out}."
    )
