"""Conversion: photographs with annotations of some format → resized JPEGs, JSONL records and a manifest.

Every image is decoded once, turned upright, resized to the network's grid and stored; its boxes go along. What
cannot be used is refused by name, object by object where possible, and the rest is used. The result appears under its
name only when it is complete.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from argus_doctor.findings import Finding, count_kinds
from argus_doctor.rendering import show_findings
from argusvl.core.errors import DataError, ImageError
from argusvl.core.files import already_there, atomic_folder, real_path, refuse_losing
from argusvl.core.images import open_image
from argusvl.core.logging import get_logger
from argusvl.core.progress import track
from argusvl.core.workers import map_in_order
from argusvl.detection.data.findings import box_problem, finding
from argusvl.detection.data.formats import format_of
from argusvl.detection.data.formats.base import SPLITS, ReadOptions, Slot, Source, SourceImage
from argusvl.detection.data.formats.terms import load_hierarchy, load_token_map
from argusvl.detection.data.formats.tree import unique_stem
from argusvl.detection.data.manifest import (
    MANIFEST_NAME,
    TEACHER_POOL,
    Manifest,
    ManifestImage,
    ManifestSource,
    PixelLimits,
    Refused,
    SplitOrigin,
    build_manifest,
    existing_manifest,
    write_manifest,
)
from argusvl.detection.data.measuring.pixel_limits import choose_pixel_limits
from argusvl.detection.data.measuring.survey import Shape, relative_side, small_side
from argusvl.detection.data.orientation import BoxFrame
from argusvl.detection.data.patches import TOKEN_SIDE
from argusvl.detection.data.preparing.inspection import Inspected, inspect_image, unreadable
from argusvl.detection.data.preparing.pool import take_pool
from argusvl.detection.data.preparing.split import SplitOptions, split_records
from argusvl.detection.data.records import ObjectAnnotation, Record, Scene, write_records
from argusvl.detection.data.resize import ResizePlan, check_limits, plan_resize, resize_image
from argusvl.detection.data.scan_cache import is_cached

JPEG_QUALITY = 95
IMAGES = "images"
"""Folder of the stored images."""

_LOOKED_AT = 4000
"""So many images at most are looked at for the pixel limits."""

_SPAN = 2
"""Between the least and the greatest area that are chosen: an image of any ratio finds a size."""

_BOX_DECIMALS = 4
"""Stored boxes are rounded to a ten-thousandth of a pixel: 448.00000000000006 is 448."""


logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """How to convert; what concerns the split and the reader is told at :class:`SplitOptions` and :class:`ReadOptions`.

    Attributes:
        format: A key of :data:`~argusvl.detection.data.formats.FORMATS`.
        min_pixels: Smallest area of a stored image, pixels; chosen by the images' and objects' sizes when ``None``.
        max_pixels: Largest area of a stored image, pixels; likewise.
        val_fraction: Share of the images to hold out for val, for a source that has none of its own.
        teacher_pool: Images to take out of train as teachers; ``None`` for no pool.
        token_map: File (or name) of a token map, for formats whose text is free; ``label_hierarchy`` likewise.
        exif_boxes: Where boxes of turned images were drawn, when the sizes do not tell.
        max_megapixels: The largest image that is decoded, millions of pixels.
        workers: Threads; the number of usable cores when ``None``.
        overwrite: Whether an earlier conversion may be replaced; a folder that holds anything else is not.
    """

    format: str
    min_pixels: int | None = None
    max_pixels: int | None = None
    val_fraction: float | None = None
    seed: int = 0
    group_key: str | None = None
    teacher_pool: int | None = None
    pixel_offset: float = 0.0
    token_map: str | None = None
    label_hierarchy: str | None = None
    exif_boxes: BoxFrame | None = None
    max_megapixels: float = 64.0
    workers: int | None = None
    overwrite: bool = False

    @property
    def read_options(self) -> ReadOptions:
        """What concerns the reader; the vocabulary's files are read.

        Raises:
            DataError: One of them cannot be read.
        """
        hierarchy = self.label_hierarchy
        return ReadOptions(
            pixel_offset=self.pixel_offset,
            token_map={} if self.token_map is None else load_token_map(self.token_map),
            label_hierarchy=None if hierarchy is None else load_hierarchy(hierarchy),
        )


@dataclass(frozen=True, slots=True)
class _Converted:
    """One image's way through a worker; ``record`` is ``None`` where it was refused."""

    entry: SourceImage
    record: Record | None
    image: ManifestImage | None
    findings: tuple[Finding, ...]
    refused_objects: int


def convert(
    source: str | Path, out: str | Path, options: ConvertOptions, *, progress: bool = False
) -> Manifest:
    """Converts a source to a data folder: ``images/``, a JSONL file a split, the teacher pool if asked, and a manifest.

    Returns:
        The manifest as written; its findings say what was refused.

    Raises:
        DataError: The source is none of the format, nothing of it can be used, the options contradict it, or
            ``out`` exists or holds what no conversion wrote.
        ArgusError: ``out`` cannot be written. Nothing is left behind, and what was there is unchanged.
    """
    folder, target = Path(source), Path(out)
    _check_target(folder, target, options.overwrite)
    if options.max_pixels is not None:
        check_limits(options.min_pixels or 1, options.max_pixels)
    share = options.val_fraction  # one that cannot be is refused before anything is read
    asked = SplitOptions(0 if share is None else share, options.seed, options.group_key)
    listed = format_of(options.format).read(folder, options.read_options)
    limits = _pixel_limits(listed, options)
    split_options = _split_options(listed, None if share is None else asked, folder)
    with atomic_folder(target) as temporary:
        taken: dict[str, int] = {}
        stems = [str(PurePosixPath(image.name).with_suffix("")) for image in listed.images]
        jobs = [
            (image, f"{unique_stem(stem, taken)}.jpg")
            for image, stem in zip(listed.images, stems, strict=True)
        ]
        results = map_in_order(
            lambda job: _convert_image(*job, temporary, options, limits), jobs, options.workers
        )
        done = list(track(results, len(jobs), f"converting {folder.name}", enabled=progress))
        findings = [*listed.findings, *(f for one in done for f in one.findings)]
        done, incomplete = _join_records(done, temporary)
        findings += incomplete
        if not any(one.record for one in done):
            refusals = _refusals(findings)
            raise DataError(
                f"no image can be used{refusals or ': the source lists none'}",
                where=folder,
                remedy=None
                if refusals
                else "export the annotations again, or name the source that lists the images",
            )
        try:
            splits, pool_warnings, origin = _split(done, split_options, options)
        except DataError as error:
            what = f"{error.what}{_refusals(findings)}"
            raise DataError(what, where=error.where or folder, remedy=error.remedy) from None
        for name, records in splits.items():
            write_records(temporary / f"{name}.jsonl", records)
        manifest = build_manifest(
            source=ManifestSource(
                path=str(folder),
                format=options.format,
                options={
                    "pixel_offset": options.pixel_offset,
                    "exif_boxes": options.exif_boxes,
                    "token_map": options.token_map,
                    "label_hierarchy": options.label_hierarchy,
                },
            ),
            limits=limits,
            split_origin=origin,
            splits=splits,
            images=(one.image for one in done if one.image is not None),
            refused=Refused(
                images=listed.refused_images + sum(one.image is None for one in done),
                objects=listed.refused_objects + sum(one.refused_objects for one in done),
            ),
            findings=[*findings, *pool_warnings],
        )
        write_manifest(temporary, manifest)
        _check_target(folder, target, options.overwrite)  # again: what came meanwhile is not lost either
    return manifest


def _check_target(source: Path, target: Path, overwrite: bool) -> None:
    inner, outer = real_path(target), real_path(source)
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise DataError(
            f"overlaps with the source {source}", where=target, remedy="choose a folder beside the source"
        )
    if not target.exists():
        return
    if not overwrite:
        raise already_there(target, kind=DataError)
    if target.is_dir() and not any(target.iterdir()):
        return
    try:
        earlier = existing_manifest(target)
    except DataError:  # of another version, or of another program
        earlier = None
    if earlier is None:
        raise DataError(
            f"is not an earlier conversion (it holds no {MANIFEST_NAME} of one) and is not replaced",
            where=target,
            remedy="choose another folder, or remove it yourself",
        )
    written = {
        MANIFEST_NAME,
        *(f"{name}.jsonl" for name in earlier.splits),
        *(i.image for i in earlier.images),
    }
    refuse_losing(target, lambda name: name in written or is_cached(name), DataError)


def _split_options(listed: Source, asked: SplitOptions | None, folder: Path) -> SplitOptions | None:
    """How to split what the source leaves open; ``None`` where its own splits are used."""
    is_open = any(image.split is None for image in listed.images)
    has_val = "val" in listed.splits
    if asked is None:
        if is_open and not has_val:
            raise DataError(
                "the source has no train and val of its own",
                where=folder,
                remedy="give --val-fraction (0 puts everything into train)",
            )
        if not has_val:
            logger.info("%s has no val split, and --val-fraction was not given: nothing is held out", folder)
        return None
    if has_val:
        logger.info("%s has a val split of its own, which is used; nothing else is held out", folder)
        return None
    return asked


def _split(
    done: Sequence[_Converted], split_options: SplitOptions | None, options: ConvertOptions
) -> tuple[dict[str, list[Record]], list[Finding], SplitOrigin]:
    splits: dict[str, list[Record]] = {}
    for one in done:
        if one.record is not None:
            splits.setdefault(one.entry.split or "train", []).append(one.record)
    origin = SplitOrigin(made_by="source")
    if split_options is not None:
        files = [(one.image.image, real_path(one.entry.path)) for one in done if one.image is not None]
        first = {file: image for image, file in reversed(files)}  # a file on several lines is stored for each
        same_file = {image: first[file] for image, file in files}
        splits["train"], splits["val"] = split_records(splits.get("train", []), split_options, same_file)
        origin = split_options.origin
    warnings: list[Finding] = []
    if options.teacher_pool is not None:
        if TEACHER_POOL in splits:
            raise DataError(
                "the source has a teacher pool of its own, and one is asked for",
                remedy="leave out --teacher-pool",
            )
        pool, splits["train"], warnings = take_pool(splits.get("train", []), options.teacher_pool)
        splits[TEACHER_POOL] = pool
    ordered = {name: splits[name] for name in (*SPLITS, TEACHER_POOL) if splits.get(name)}
    return ordered, warnings, origin


def _refusals(findings: Sequence[Finding]) -> str:
    """How often which error was found, and the first ones, as the end of a message."""
    errors = [one for one in findings if one.severity == "error"]
    kinds = ", ".join(f"{kind} {count}" for kind, count in count_kinds(errors).items())
    return f"; refused were: {kinds}\n{show_findings(errors, most=5)}" if errors else ""


def _join_records(done: Sequence[_Converted], folder: Path) -> tuple[list[_Converted], list[Finding]]:
    """Puts the images of records that show several back together, the student's and its teachers'.

    A record of which an image was refused is refused whole: its objects would be learned without what they are shown
    beside. The record stands with its first image; the others bring their entry in the manifest only.
    """
    members: dict[str, list[tuple[Slot, _Converted]]] = defaultdict(list)
    for one in done:
        if one.entry.slot is not None:
            members[one.entry.slot.record].append((one.entry.slot, one))
    joined: dict[int, _Converted] = {}
    findings: list[Finding] = []
    for where, parts in members.items():
        parts.sort(key=lambda part: (part[0].scene, part[0].image))
        bad = [one.entry.name for _, one in parts if one.record is None]
        if bad:
            text = f"{bad[0]!r} cannot be used, so the record of {len(parts)} images cannot"
            findings.append(finding("record-incomplete", where, text, image=bad[0]))
        for position, (_, one) in enumerate(parts):
            record = None if bad or position else _joined(parts, where)
            image, refused = one.image, one.refused_objects
            if bad and image is not None:
                (folder / image.image).unlink()
                refused += image.objects
                image = None
            joined[id(one)] = replace(one, record=record, image=image, refused_objects=refused)
    return [joined.get(id(one), one) for one in done], findings


def _joined(parts: Sequence[tuple[Slot, _Converted]], where: str) -> Record:
    scenes: dict[int, list[Scene]] = defaultdict(list)
    for slot, part in parts:
        assert part.record is not None
        scenes[slot.scene].append(part.record.student)
    whole = []
    for of_scene in scenes.values():
        objects = (replace(o, image=index) for index, one in enumerate(of_scene) for o in one.objects)
        whole.append(Scene(tuple(one.images[0] for one in of_scene), tuple(objects)))
    return Record(whole[0], tuple(whole[1:]), where)


def _pixel_limits(listed: Source, options: ConvertOptions) -> PixelLimits:
    """Those given; what is not given is chosen by the images that are trained on, or thousands of them."""
    low, high = options.min_pixels, options.max_pixels
    if low is None or high is None:
        entries = [one for one in listed.images if one.split in (None, "train")] or listed.images
        some = entries[:: math.ceil(len(entries) / _LOOKED_AT) or 1]
        looked = map_in_order(
            lambda one: inspect_image(one.path, one.name, one.annotate(), options.exif_boxes),
            some,
            options.workers,
        )
        usable = [(entry.name, one) for entry, one in zip(some, looked, strict=True) if one.usable]
        shapes = [Shape(*one.size, len(one.objects), name) for name, one in usable]
        sides = [relative_side(o.box_xyxy_px, math.prod(one.size)) for _, one in usable for o in one.objects]
        # Where nothing can be used, conversion says why, and the limits are of no interest.
        tell = logger.info if sides else logger.debug
        chosen = choose_pixel_limits(shapes or [Shape(TOKEN_SIDE, TOKEN_SIDE)], small_side(sides))
        if low is None:
            low = chosen.min_pixels if high is None else min(chosen.min_pixels, max(1, high // _SPAN))
            tell("min_pixels %d: %s", low, chosen.why_min)
        if high is None:
            high = max(chosen.max_pixels, _SPAN * low)
            tell("max_pixels %d: %s", high, chosen.why_max)
    check_limits(low, high)
    return PixelLimits(min_pixels=low, max_pixels=high, factor=TOKEN_SIDE)


def _convert_image(
    entry: SourceImage, name: str, folder: Path, options: ConvertOptions, limits: PixelLimits
) -> _Converted:
    annotation = entry.annotate()
    inspected = inspect_image(entry.path, entry.name, annotation, options.exif_boxes)

    def refused(*problem: Finding) -> _Converted:
        return _Converted(entry, None, None, (*inspected.findings, *problem), len(annotation.entries))

    if not inspected.usable:
        return refused()
    try:
        plan = plan_resize(*inspected.size, limits.min_pixels, limits.max_pixels)
    except ImageError as error:
        problem = finding("unresizable-image", entry.name, error.what, image=entry.name, remedy=error.remedy)
        return refused(problem)
    try:
        image = open_image(entry.path, exif="upright", max_megapixels=options.max_megapixels)
    except ImageError as error:
        return refused(unreadable(error, entry.name))
    objects, findings = _resized_objects(inspected, plan, entry.name)
    target = folder / IMAGES / name
    target.parent.mkdir(parents=True, exist_ok=True)
    # Colour at full resolution: the image has just been made smaller, halving its chroma again would lose more.
    resize_image(image, plan).save(target, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
    stored = f"{IMAGES}/{name}"
    return _Converted(
        entry=entry,
        record=Record(student=Scene(images=(stored,), objects=tuple(objects)), source=annotation.where),
        image=ManifestImage(
            image=stored,
            source=entry.name,
            split=entry.split or "train",
            original_size=plan.size,
            size=plan.resized_size,
            vision_tokens=plan.vision_tokens,
            objects=len(objects),
            exif_orientation=None if inspected.frame is None else inspected.orientation,
            boxes_drawn_on=inspected.frame,
        ),
        findings=(*inspected.findings, *findings),
        refused_objects=len(annotation.entries) - len(objects),
    )


def _resized_objects(
    inspected: Inspected, plan: ResizePlan, name: str
) -> tuple[list[ObjectAnnotation], list[Finding]]:
    objects: list[ObjectAnnotation] = []
    findings: list[Finding] = []
    for one in inspected.objects:
        x1, y1, x2, y2 = (round(v, _BOX_DECIMALS) for v in plan.box_to_resized(one.box_xyxy_px))
        problem = box_problem((x1, y1, x2, y2), plan.resized_size)
        if problem is None:
            objects.append(ObjectAnnotation(bbox_2d=(x1, y1, x2, y2), desc=one.label))
            continue
        findings.append(one.finding(problem[0], f"after the resize, {problem[1]}", name))
    return objects, findings
