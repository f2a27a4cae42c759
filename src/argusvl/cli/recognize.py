"""`argus recognize`: vectors of pictures, and classes from a few examples."""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from argusvl.core.errors import ConfigError

FOUND_SOMETHING = 1
"""Exit code: done, and something is wrong with what was asked about."""

_LAYOUT_HELP = (
    "argus: data/CATEGORY/2.support-set/Class_X/shotN (or shotN, where the category is one class) and "
    "data/CATEGORY/6.preprocessed/X. imagefolder: train/X and val/X. Or patterns, of which each may be given several "
    "times: 'support=known/{class}/** queries=new/{class}/**', with {category}, {class}, {shot} (a number), * (one "
    "name) and ** (any number of names)."
)

app = typer.Typer(
    help="Extract features, and recognise classes from a few examples.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(epilog="Example: argus recognize extract photos/ --out store/")
def extract(
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGES…",
            help="A folder; a list of files (.txt, or .jsonl for any name); or files and folders.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="STORE", help="Folder of the vectors, to make or to go on with.")
    ],
    backbone: Annotated[
        str, typer.Option(help="NAME, or NAME:FOLDER of its weights.")
    ] = "efficientnet-lite0",
    views: Annotated[
        str, typer.Option(help="one, two or four, as for table: enroll and table take four by default.")
    ] = "one",
    lane: Annotated[
        Literal["exact", "scaled"],
        typer.Option(
            help="Decode every pixel, or let the JPEG decoder shrink large pictures, which is faster."
        ),
    ] = "exact",
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Images of a forward pass; 4 (64 on a GPU), or as the store was begun with."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads; as many as there are cores by default.")
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="This process, or Ray Data on one machine or many.")
    ] = "local",
    reuse: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Take vectors of files with the same hash over from this store."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the result to stdout as JSON.")] = False,
) -> None:
    """Turn images into a store of vectors.

    Interrupted at any point, the same command goes on, and the store is the same in the end. An image that cannot be
    used is named and the others are done; the exit code is then 1.
    """
    from argusvl.cli.extraction_output import print_extraction, print_how_far
    from argusvl.cli.output import print_json
    from argusvl.recognition.backbones.views import load_with_views
    from argusvl.recognition.extraction.extractor import extract as extract_images

    network = load_with_views(backbone, views, device=device)
    chosen = None
    if engine == "ray":
        from argusvl.recognition.extraction.ray_engine import RayEngine

        chosen = RayEngine(partial(load_with_views, backbone, views, device=str(network.device)))
    try:
        report = extract_images(
            images,
            out,
            network,
            lane=lane,
            batch_size=batch_size,
            workers=workers,
            engine=chosen,
            reuse=reuse,
        )
    except KeyboardInterrupt:
        print_how_far(out)
        raise
    print_extraction(report)
    if as_json:
        print_json(report.to_dict())
    if report.quarantined_entries or report.problems:
        raise typer.Exit(FOUND_SOMETHING)


@app.command(
    epilog="Example: argus recognize table data/ --backbone efficientnet-lite0 --shots 1,5,10,20 --seeds 10"
)
def table(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of categories; see --layout.")],
    backbone: Annotated[
        str, typer.Option(help="One, or several with commas: NAME, or NAME:FOLDER of its weights.")
    ] = "efficientnet-lite0",
    shots: Annotated[
        str, typer.Option(metavar="N,…", help="Examples of each class; 0: by the classes' names (CLIP).")
    ] = "1,5,10,20",
    seeds: Annotated[int, typer.Option(min=1, help="Draws of the examples.")] = 10,
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
            help="one: the backbone's own; two: and its mirror image; four: both at a second size as well, where the "
            "backbone can. four for rich features, one for plain ones.",
            show_default=False,
        ),
    ] = None,
    unknown: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS,…", help="Classes without an example: how well are they told from the others?"
        ),
    ] = None,
    unknown_count: Annotated[
        int, typer.Option(min=0, help="Instead: how many classes each seed draws to be unknown.")
    ] = 0,
    template: Annotated[
        str, typer.Option(help="Sentence for a class's name, {}, where --shots has 0.")
    ] = "a photo of a {}.",
    category: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    layout: Annotated[str, typer.Option(help=_LAYOUT_HELP)] = "argus",
    lane: Annotated[Literal["exact", "scaled"], typer.Option(help="As for extract.")] = "exact",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that read and decode.")] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder of vectors computed before; $ARGUS_CACHE, or argus in your cache folder.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        Literal["markdown", "csv", "latex"], typer.Option("--format", help="Of the tables.")
    ] = "markdown",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the tables here, not to stdout.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the figures to stdout as JSON; tables only with --out.")
    ] = False,
) -> None:
    """Measure how well classes are recognised from a few examples each.

    For each category and number of shots: the accuracy and its spread over the seeds and, where some classes are
    unknown, AUROC, FPR95 and OSCR. The same inputs give the same bytes. Pictures that cannot be used are named and left
    out; the exit code is then 1.
    """
    from argusvl.cli.few_shot_output import print_measured
    from argusvl.cli.output import print_json
    from argusvl.core.files import write_text_atomically
    from argusvl.recognition.few_shot.embeddings import default_cache
    from argusvl.recognition.few_shot.evaluation import Protocol
    from argusvl.recognition.few_shot.layout import parse_layout
    from argusvl.recognition.few_shot.measurement import Recipe, measure
    from argusvl.recognition.few_shot.tables import FORMATS

    measured = measure(
        data,
        _listed([backbone]),
        Protocol(
            shots=_numbers("--shots", shots),
            seeds=seeds,
            classifier=classifier,
            unknown=_listed(unknown or []),
            unknown_count=unknown_count,
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


@app.command(epilog="Example: argus recognize enroll support/ examples/")
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
            "--class", metavar="NAME", help="EXAMPLES are all of this class: a folder, a list, a file."
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(help="classes: a folder for each class. argus, imagefolder, patterns: as for table."),
    ] = "classes",
    category: Annotated[
        str | None, typer.Option(help="The category to take, where there are several.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="NAME, or NAME:FOLDER of its weights; the store's, efficientnet-lite0 for a new one."
        ),
    ] = None,
    views: Annotated[
        str | None, typer.Option(help="one, two or four, as for table; the store's, four for a new one.")
    ] = None,
    lane: Annotated[
        Literal["exact", "scaled"] | None,
        typer.Option(help="As for extract; the store's, exact for a new one."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that read and decode.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the result to stdout as JSON.")] = False,
) -> None:
    """Add classes and examples to a support store; only new pictures are computed.

    Interrupted, the same command goes on; until it is done, the store is as it was. A picture that cannot be used is
    named and the others are enrolled; the exit code is then 1.
    """
    from argusvl.cli.few_shot_output import print_enrolment
    from argusvl.cli.output import print_json
    from argusvl.recognition.backbones.views import load_with_views
    from argusvl.recognition.few_shot.enrolment import HEADER, SupportStore
    from argusvl.recognition.few_shot.enrolment import enroll as enroll_pictures
    from argusvl.recognition.few_shot.layout import read_examples

    pictures = read_examples(examples, label, layout, category)
    there = SupportStore.open(store) if (store / HEADER).exists() else None
    spec = backbone or (there.backbone if there else "efficientnet-lite0")
    wanted = views or (there.views if there else "four")
    report = enroll_pictures(
        store,
        pictures,
        load_with_views(spec, wanted, device=device),
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


@app.command(epilog="Example: argus recognize classify support/ photos/ --out classes.jsonl")
def classify(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Folder of the support store.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGES…",
            help="Folders, lists and files as for extract, or a store of vectors of the same views.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the lines here, not to stdout.")
    ] = None,
    classifier: Annotated[str, typer.Option(help="ridge, centroid, nearest, linear-probe, cache.")] = "ridge",
    features: Annotated[
        str, typer.Option(help="rich or plain, as for table; plain needs a store of one view.")
    ] = "rich",
    threshold: Annotated[
        float,
        typer.Option(help="Probability of being known below which a picture is Unknown; 0: nothing is."),
    ] = 0.5,
    coverage: Annotated[
        float, typer.Option(help="How often the true class of a known picture shall be in its set.")
    ] = 0.9,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that read and decode.")] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder of vectors computed before; $ARGUS_CACHE, or argus in your cache folder.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Classify images by the examples of a support store: a line of JSON for each.

    image; class, or Unknown; nearest, the best class in any case; score, the probability that the picture is of a known
    class; margin between the best two classes, small where they are hard to tell apart; set, the classes that hold the
    true one as often as --coverage says. An image that cannot be used has an error instead; the exit code is then 1.
    Interrupted, the same command goes on.
    """
    from argusvl.cli.few_shot_output import print_classified
    from argusvl.core.files import atomic_text_file
    from argusvl.recognition.backbones.views import load_with_views
    from argusvl.recognition.few_shot.classification import ClassifyOptions, FewShotClassifier
    from argusvl.recognition.few_shot.classification import classify as classify_vectors
    from argusvl.recognition.few_shot.embeddings import default_cache
    from argusvl.recognition.few_shot.enrolment import SupportStore
    from argusvl.recognition.few_shot.queries import query_vectors

    options = ClassifyOptions(classifier, features, threshold, coverage)
    support = SupportStore.open(store)
    network = load_with_views(support.backbone, support.views, device=device)
    learned = FewShotClassifier(support, network, options)
    queries = query_vectors(images, network, support.lane, cache or default_cache(), workers=workers)
    counts: Counter[str] = Counter()
    failed: dict[str, str] = {}
    with atomic_text_file(out) if out is not None else nullcontext(sys.stdout) as stream:
        for line in classify_vectors(learned, queries.store):
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            if "error" in line:
                failed[line["image"]] = line["error"]
            else:
                counts[line["class"]] += 1
    print_classified(counts, failed, queries.problems)
    if failed or queries.problems:
        raise typer.Exit(FOUND_SOMETHING)


@app.command(epilog="Example: argus recognize search store/ photo.jpg --count 5")
def search(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Folder of vectors, made by extract.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGES…", help="Folders, lists and files as for extract, or another store of vectors."
        ),
    ],
    count: Annotated[int, typer.Option(min=1, help="How many pictures to find for each.")] = 10,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the lines here, not to stdout.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="NAME, or NAME:FOLDER of its weights, that made the store; by its name by default."
        ),
    ] = None,
    views: Annotated[str, typer.Option(help="With which the store was made.")] = "one",
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Of the index beyond a million vectors; STORE.index by default.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that read and decode.")] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder of vectors computed before; $ARGUS_CACHE, or argus in your cache folder.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Find the pictures of a store that are most like others: a line of JSON for each.

    Up to a million vectors every one is compared; beyond, an index is built once (LanceDB, an extra), which finds the
    nearest picture in 99 of 100 cases. A picture that cannot be used has an error instead; the exit code is then 1.
    """
    from argusvl.cli.few_shot_output import print_not_searched, print_quarantined
    from argusvl.core.files import atomic_text_file
    from argusvl.recognition.backbones.views import load_with_views
    from argusvl.recognition.extraction.fingerprint import require_same_fingerprint
    from argusvl.recognition.extraction.store import EmbeddingStore
    from argusvl.recognition.few_shot.embeddings import default_cache, fingerprint_of
    from argusvl.recognition.few_shot.lance_index import index_for
    from argusvl.recognition.few_shot.neighbours import nearest_pictures
    from argusvl.recognition.few_shot.queries import query_vectors

    there = EmbeddingStore.open(store)
    network = load_with_views(backbone or there.fingerprint.backbone.backbone, views, device=device)
    require_same_fingerprint(there.fingerprint, fingerprint_of(network, there.fingerprint.lane), store)
    queries = query_vectors(
        images, network, there.fingerprint.lane, cache or default_cache(), workers=workers
    )
    failed: dict[str, str] = {}
    with atomic_text_file(out) if out is not None else nullcontext(sys.stdout) as stream:
        for line in nearest_pictures(there, index_for(there, index), queries.store, count):
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            if "error" in line:
                failed[line["image"]] = line["error"]
    print_not_searched(queries.problems)
    print_quarantined(failed)
    if failed or queries.problems:
        raise typer.Exit(FOUND_SOMETHING)


def _listed(values: list[str]) -> tuple[str, ...]:
    """Names given with commas or one by one, each once."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise ConfigError(
            f"{option} is {text!r}", remedy=f"give whole numbers with commas: {option} 1,5,10"
        ) from None


@app.command(epilog="Example: argus recognize verify efficientnet-lite0")
def verify(
    backbone: Annotated[str, typer.Argument(metavar="BACKBONE", help="NAME, or NAME:FOLDER of its weights.")],
    images: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Pictures to use; drawn ones by default.")
    ] = None,
    count: Annotated[int, typer.Option(min=100, help="Pictures over which memory must stay flat.")] = 1000,
    batch_size: Annotated[int, typer.Option(min=2, help="Pictures of a forward pass.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Write the result to stdout as JSON.")] = False,
) -> None:
    """Check a backbone: memory, preprocessing, dtypes and devices, reproducibility.

    Each check measures from outside and says what it found in figures. The exit code is 1 where one has failed.
    """
    from argusvl.cli.output import print_json
    from argusvl.cli.verification_output import print_verification
    from argusvl.recognition.backbones.table import load_backbone
    from argusvl.recognition.verification.pictures import FolderPictures
    from argusvl.recognition.verification.verify import verify as verify_backbone

    found = verify_backbone(
        lambda place: load_backbone(backbone, device=place),
        device=device,
        pictures=None if images is None else FolderPictures(images, limit=count),
        count=count,
        batch_size=batch_size,
    )
    print_verification(found)
    if as_json:
        print_json(found.as_dict())
    if not found.passed:
        raise typer.Exit(FOUND_SOMETHING)


@app.command(epilog="Example: argus recognize describe photos/ --model Florence-2-base/ --out described/")
def describe(
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGES…",
            help="A folder; a list of files (.txt, or .jsonl for any name); or files and folders.",
        ),
    ],
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
        str | None, typer.Option(help="Then embed the pictures with this backbone, NAME or NAME:FOLDER.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures of a forward pass.")] = 8,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="The longest answer, in tokens.")] = None,
    num_beams: Annotated[
        int | None, typer.Option(min=1, help="Width of the beam search; the model's own by default.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads; as many as there are cores by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the report to stdout as JSON.")] = False,
) -> None:
    """Describe pictures with Florence-2: captions, objects, regions, and what is looked for.

    A line of JSON for each picture, boxes in its own pixels. Models run one after the other, so that the memory of the
    largest is enough. Interrupted at any point, the same command goes on. A picture that cannot be used is named and
    the others are done; the exit code is then 1.
    """
    from argusvl.cli.output import console, print_json
    from argusvl.cli.pipeline_output import print_pipeline
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
        console().print(
            f"what was done is kept in {out}; the same command goes on", soft_wrap=True, markup=False
        )
        raise
    print_pipeline(report)
    if as_json:
        print_json(report.to_dict())
    if report.quarantined or report.problems:
        raise typer.Exit(FOUND_SOMETHING)
