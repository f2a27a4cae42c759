"""What a check found, as a page: which pictures are its worst, and what is drawn on them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from PIL import Image

from argus_doctor.findings import Finding, by_kind
from argusvl.core.errors import ImageError
from argusvl.core.files import write_text_atomically
from argusvl.core.images import UPRIGHT, exif_orientation, open_image
from argusvl.detection.data.findings import show_number
from argusvl.detection.data.manifest import token_statistics
from argusvl.detection.data.preparing.check import CheckReport
from argusvl.detection.data.preparing.picture_check import CheckedPicture
from argusvl.detection.report.flawed_pictures import Box, Flaw, FlawedPicture, draw_samples, drawable
from argusvl.visual.page import findings_html, grouped_digits, page_environment, render_page

MAX_PICTURES = 48
_SCRIPTS = ("theme.js", "samples.js")
_LABELS_SHOWN = 100
_OF_EACH_KIND = 4
_FLAWS_SHOWN = 40
_EXAMPLES_OF_A_LABEL = 3
_LABEL_KINDS = ("near-duplicate-labels", "label-not-in-train")
"""Findings about a label, not about a picture: examples of the label are shown."""
_REDUCED_SIDE_PX = 720
_GAP = 0.03  # between two pictures side by side, over the first one's width


def write_check_page(report: CheckReport, path: str | Path, *, max_megapixels: float = 64.0) -> Path:
    """Writes the page of a check, and gives its file; what was there is replaced only when the new one is complete.

    It is one file, and fetches nothing. Without JavaScript it shows the same; only filters and keys are missing. Images
    above ``max_megapixels`` are not decoded.

    Raises:
        ArgusError: The file cannot be written.
    """
    environment = page_environment(__package__)
    environment.filters["digits"] = grouped_digits
    suspects = _suspects(report)
    chosen = _chosen(suspects)
    # What cannot be opened is named among the findings; there is nothing to look at.
    pictures = (one for suspect in chosen if (one := _draw(suspect, max_megapixels)) is not None)
    samples = draw_samples(pictures, environment)
    sample_kinds = Counter(kind for sample in samples for kind in sample.kinds)
    page = render_page(
        environment,
        "check.html.jinja",
        _SCRIPTS,
        kind_of_page="Argus data check",
        data={"title": Path(report.data).name or report.data, "subtitle": report.data},
        report=report,
        images=report.images,
        objects=report.objects,
        count=Counter(one.severity for one in report.findings),
        facts=_facts(report),
        findings=findings_html(report.findings, sample_kinds),
        kinds=[(alike[0].slug, alike[0].severity) for alike in by_kind(report.findings, frequent_first=True)],
        samples=samples,
        sample_kinds=sample_kinds,
        suspects=len(suspects),
        chosen=len(chosen),
        labels=sorted(report.labels.items(), key=lambda item: (-item[1].objects, item[0])),
        labels_shown=_LABELS_SHOWN,
        histograms=report.histograms(),
    )
    write_text_atomically(path, page)
    return Path(path)


@dataclass(slots=True)
class _Suspect:
    """A picture and what was found about it; with another one, which it is a copy of."""

    picture: CheckedPicture
    other: CheckedPicture | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def errors(self) -> int:
        return sum(one.severity == "error" for one in self.findings)


def _suspects(report: CheckReport) -> list[_Suspect]:
    """Every picture that a finding is about, worst first."""
    by_name: dict[str, list[CheckedPicture]] = defaultdict(list)
    for picture in report.pictures:
        by_name[picture.name].append(picture)
    suspects: dict[tuple[int, int | None], _Suspect] = {}

    def note(one: Finding, picture: CheckedPicture, other: CheckedPicture | None = None) -> None:
        key = (id(picture), None if other is None else id(other))
        suspects.setdefault(key, _Suspect(picture, other)).findings.append(one)

    for one in report.findings:
        image, label = one.numbers.get("image"), one.numbers.get("label")
        if image is not None and (places := by_name.get(image)):
            # An image that stands in the data twice: the record that the finding names.
            picture = next((p for p in places if p.where == one.where), places[0])
            others = by_name.get(one.numbers.get("other_image") or "", [])
            note(one, picture, others[0] if others else None)
        elif image is None and label is not None and one.slug in _LABEL_KINDS:
            showing = (p for p in report.pictures if any(_is_or_below(text, label) for text in p.labels))
            for picture in islice(showing, _EXAMPLES_OF_A_LABEL):
                note(one, picture)
    return sorted(suspects.values(), key=lambda s: (-s.errors, -len(s.findings)))


def _is_or_below(text: str, label: str) -> bool:
    return f"{text}/".startswith(f"{label}/")


def _chosen(suspects: Sequence[_Suspect]) -> list[_Suspect]:
    """The worst, among them some of each kind: a thousand boxes of one kind must not hide the others."""
    if len(suspects) <= MAX_PICTURES:
        return list(suspects)
    chosen: dict[int, _Suspect] = {}
    shown: Counter[str] = Counter()
    for suspect in suspects:
        kinds = {one.slug for one in suspect.findings}
        if any(shown[kind] < _OF_EACH_KIND for kind in kinds) and len(chosen) < MAX_PICTURES:
            chosen[id(suspect)] = suspect
            shown.update(kinds)
    for suspect in suspects:
        if len(chosen) == MAX_PICTURES:
            break
        chosen.setdefault(id(suspect), suspect)
    return [suspect for suspect in suspects if id(suspect) in chosen]


def _draw(suspect: _Suspect, max_megapixels: float) -> FlawedPicture | None:
    """The picture, opened and reduced, with what is wrong with it; ``None`` where it cannot be opened."""
    picture = suspect.picture
    try:
        image, size, as_stored = _open(picture, max_megapixels)
        beside = None if suspect.other is None else _open(suspect.other, max_megapixels)
    except ImageError:
        return None
    flaws: list[Flaw] = []
    for one in sorted(suspect.findings, key=lambda one: one.severity != "error"):
        found_box, label = one.numbers.get("box"), one.numbers.get("label")
        if found_box is None and one.numbers.get("image") is None and label is not None:
            of_label = [(box, text) for box, text in _objects(picture) if _is_or_below(text, label)]
            flaws += [Flaw(one.slug, one.severity, one.what, box) for box, _ in of_label]
        else:
            # The boxes of a source were found on the pixels as stored; turned ones are named, and not drawn.
            box = drawable(found_box) if as_stored else None
            flaws.append(Flaw(one.slug, one.severity, one.what, box))
    bad = {flaw.box_xyxy_px for flaw in flaws}
    others = [(box, text) for box, text in _objects(picture) if box not in bad]
    name = picture.name
    if beside is not None and suspect.other is not None:
        image, size, moved = _side_by_side((image, size), beside[:2], suspect.other)
        others += moved
        name = f"{picture.name} | {suspect.other.name}"
    return FlawedPicture(
        image=image,
        size=size,
        name=name,
        where=picture.where,
        flaws=flaws[:_FLAWS_SHOWN],
        others=others,
        more_flaws=max(0, len(flaws) - _FLAWS_SHOWN),
    )


def _objects(picture: CheckedPicture) -> list[tuple[Box, str]]:
    boxes = [(float(a), float(b), float(c), float(d)) for a, b, c, d in picture.boxes_xyxy_px]
    return list(zip(boxes, picture.labels, strict=True))


def _open(picture: CheckedPicture, max_megapixels: float) -> tuple[Image.Image, tuple[int, int], bool]:
    """The picture as its boxes see it, reduced; its size before that; and whether it is as stored.

    A record's boxes are on the stored pixels, and its image has no size here where it is turned; those of a source
    are on the upright picture.
    """
    as_stored = picture.size is None or exif_orientation(picture.path) == UPRIGHT
    image = open_image(picture.path, exif="ignore" if as_stored else "upright", max_megapixels=max_megapixels)
    size = image.size
    image.thumbnail((_REDUCED_SIDE_PX, _REDUCED_SIDE_PX), Image.Resampling.LANCZOS)
    return image, size, as_stored


def _side_by_side(
    first: tuple[Image.Image, tuple[int, int]],
    second: tuple[Image.Image, tuple[int, int]],
    other: CheckedPicture,
) -> tuple[Image.Image, tuple[int, int], list[tuple[Box, str]]]:
    """Two pictures equally tall on one sheet, in the first one's pixels, and the second one's objects there."""
    (image, size), (partner, partner_size) = first, second
    height = image.height
    width = max(1, round(partner.width * height / partner.height))
    gap = round(_GAP * image.width)
    sheet = Image.new("RGB", (image.width + gap + width, height), "white")
    sheet.paste(image, (0, 0))
    sheet.paste(partner.resize((width, height), Image.Resampling.LANCZOS), (image.width + gap, 0))
    to_pixels = size[0] / image.width
    scale = size[1] / partner_size[1]
    left = (image.width + gap) * to_pixels
    moved = [
        ((left + x1 * width * to_pixels / partner_size[0], y1 * scale,
          left + x2 * width * to_pixels / partner_size[0], y2 * scale), text)
        for (x1, y1, x2, y2), text in _objects(other)
    ]  # fmt: skip
    return sheet, (round(sheet.width * to_pixels), size[1]), moved


def _facts(report: CheckReport) -> dict[str, str]:
    facts = {}
    if report.limits is not None:
        facts["pixels of an image after the resize"] = f"{report.limits[0]:,} to {report.limits[1]:,}"
    tokens = token_statistics(report.vision_tokens)
    if tokens is not None:
        facts["vision tokens of an image"] = _spread(tokens.min, tokens.mean, tokens.max)
    if counted := report.conversation_tokens:
        mean = sum(counted) / len(counted)
        facts["tokens of a conversation"] = _spread(min(counted), mean, max(counted))
    if report.pictures:
        most = max(report.pictures, key=lambda picture: len(picture.labels))
        facts["most objects in an image"] = f"{len(most.labels)} in {most.name}"
        alike = Counter(picture.size for picture in report.pictures if picture.size is not None)
        if alike:
            (width, height), count = alike.most_common(1)[0]
            others = alike.total() - count
            more = f" ({count}; {others} other)" if others else ""
            facts["size of images"] = f"{width} × {height}{more}"
    return facts


def _spread(least: float, mean: float, most: float) -> str:
    return f"{show_number(least)} to {show_number(most)}, mean {mean:.0f}"
