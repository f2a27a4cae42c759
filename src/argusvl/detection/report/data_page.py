"""The page of a data check: findings by kind, the worst pictures with their boxes, figures; one file, no network.

A picture is drawn as SVG over its reduced JPEG, in the pixels of the stored image, so that a box that reaches
outside of it is seen outside of it. Without JavaScript the page shows the same; only filters and keys are missing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup
from PIL import Image

from argus_doctor.findings import Finding, Severity, by_kind
from argusvl.core.files import write_text_atomically
from argusvl.visual.page import findings_html, grouped_digits, page_environment, render_page, script_sources
from argusvl.visual.pictures import jpeg_uri, reduced_jpeg

MAX_BYTES = 5_000_000
"""Of all pictures together, as JPEG: the page can still be sent by mail."""

_SCRIPTS = ("theme.js", "samples.js")
_LABELS_SHOWN = 100
_OUTSIDE = 0.2  # how far outside the picture is shown, over its longer side
_RING = 0.035  # radius of the ring about a box that is too small to be seen, over the picture's longer side


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong with a picture.

    Attributes:
        kind: Its kind's name.
        severity: How bad.
        text: What is wrong, with the numbers.
        box_xyxy_px: The box concerned as it was found, in any order of its corners; ``None`` where it is the whole
            picture, or not a box at all.
    """

    kind: str
    severity: Severity
    text: str
    box_xyxy_px: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class FlawedPicture:
    """A picture with what is wrong with it.

    Attributes:
        image: The picture; it may be reduced already.
        size: ``(width, height)`` of the stored image; boxes are in its pixels.
        name: Shown beside it.
        where: ``file:line`` of its annotation.
        flaws: What is wrong, worst first.
        others: Boxes and labels of its other objects.
        more_flaws: How many more things are wrong with it than are named.
    """

    image: Image.Image
    size: tuple[int, int]
    name: str
    where: str
    flaws: Sequence[Flaw]
    others: Sequence[tuple[tuple[float, float, float, float], str]] = ()
    more_flaws: int = 0


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A label with its counts; ``splits`` has the objects by split."""

    label: str
    images: int
    objects: int
    splits: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DataPage:
    """Everything that the page says.

    Attributes:
        title: The data's name.
        subtitle: One line about it.
        images: By split.
        objects: How many there are.
        findings: What was found.
        labels: Class balance, most frequent first.
        histograms: What is counted → range and how many.
        facts: Other figures: name → text.
        notes: What was not checked, and what figures rest on.
        pictures: The worst samples; drawn from one after the other, so that they need not all be in memory.
        flawed_pictures: How many pictures have something wrong with them.
        chosen_pictures: How many of those were chosen to be shown; some of them cannot be opened.
    """

    title: str
    subtitle: str
    images: Mapping[str, int]
    objects: int
    findings: Sequence[Finding] = ()
    labels: Sequence[LabelRow] = ()
    histograms: Mapping[str, Sequence[tuple[str, int]]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    pictures: Iterable[FlawedPicture] = ()
    flawed_pictures: int = 0
    chosen_pictures: int = 0

    def count(self, severity: Severity) -> int:
        """How many findings are as bad as this."""
        return sum(one.severity == severity for one in self.findings)


def write_data_page(data: DataPage, path: str | Path) -> Path:
    """Writes the page; what was there is replaced only when the new one is complete.

    Args:
        data: What it says.
        path: The HTML file.

    Returns:
        The file.

    Raises:
        ArgusError: The file cannot be written.
    """
    target = Path(path)
    write_text_atomically(target, render_data_page(data))
    return target


def render_data_page(data: DataPage) -> str:
    """The page as HTML text."""
    environment = page_environment(__package__)
    environment.filters["digits"] = grouped_digits
    scripts = script_sources(environment, _SCRIPTS)
    samples = _samples(data.pictures, environment)
    sample_kinds = Counter(kind for sample in samples for kind in sample.kinds)
    return render_page(
        environment,
        "check.html.jinja",
        scripts,
        kind_of_page="Argus data check",
        data=data,
        findings=findings_html(data.findings, sample_kinds),
        kinds=[(alike[0].slug, alike[0].severity) for alike in by_kind(data.findings, frequent_first=True)],
        samples=samples,
        sample_kinds=sample_kinds,
        labels_shown=_LABELS_SHOWN,
        most={name: max((n for _, n in rows), default=0) for name, rows in data.histograms.items()},
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    """A flawed picture, ready for the template."""

    picture: FlawedPicture
    svg: Markup
    ratio: float

    @property
    def kinds(self) -> list[str]:
        return list(dict.fromkeys(flaw.kind for flaw in self.picture.flaws))


@dataclass(frozen=True, slots=True)
class _Shape:
    """A box as it is drawn: its corners in order, and the centre of a ring where it would hardly be seen."""

    corners: tuple[float, float, float, float]
    ring: tuple[float, float] | None
    severity: str
    flaw: int | None
    label: str


def _samples(pictures: Iterable[FlawedPicture], environment: Environment) -> list[_Sample]:
    """As many of the pictures as a page can carry, drawn."""
    template = environment.get_template("sample.svg.jinja")
    samples: list[_Sample] = []
    room = MAX_BYTES
    for picture in pictures:
        jpeg = reduced_jpeg(picture.image)
        room -= len(jpeg)
        if room < 0 and samples:
            break
        view = _view(picture)
        drawn = template.render(
            uri=jpeg_uri(jpeg),
            picture=picture,
            view=view,
            shapes=_shapes(picture, view),
            radius=_RING * max(picture.size),
        )
        samples.append(_Sample(picture, Markup(drawn), view[2] / view[3]))
    return samples


def _view(picture: FlawedPicture) -> tuple[float, float, float, float]:
    """What is shown, ``(left, top, width, height)``: the picture, and around it as much as its boxes reach."""
    width, height = picture.size
    reach = _OUTSIDE * max(width, height)
    boxes = [flaw.box_xyxy_px for flaw in picture.flaws if flaw.box_xyxy_px is not None]
    xs = [v for box in boxes for v in (box[0], box[2])]
    ys = [v for box in boxes for v in (box[1], box[3])]
    left, right = max(min([0.0, *xs]), -reach), min(max([float(width), *xs]), width + reach)
    top, bottom = max(min([0.0, *ys]), -reach), min(max([float(height), *ys]), height + reach)
    return left, top, right - left, bottom - top


def _shapes(picture: FlawedPicture, view: tuple[float, float, float, float]) -> list[_Shape]:
    """Bad boxes over good ones."""
    shapes = [_shape(box, view, picture, "fine", None, label) for box, label in picture.others]
    for number, flaw in enumerate(picture.flaws):
        if flaw.box_xyxy_px is not None:
            shapes.append(_shape(flaw.box_xyxy_px, view, picture, flaw.severity, number, flaw.text))
    return shapes


def _shape(
    box: tuple[float, float, float, float],
    view: tuple[float, float, float, float],
    picture: FlawedPicture,
    severity: str,
    flaw: int | None,
    label: str,
) -> _Shape:
    left, right = sorted((box[0], box[2]))
    top, bottom = sorted((box[1], box[3]))
    # Renderers lose their way with coordinates of many digits; far outside is outside.
    far = 4 * max(picture.size)
    left, right = (min(max(x, -far), far) for x in (left, right))
    top, bottom = (min(max(y, -far), far) for y in (top, bottom))
    ring = None
    if flaw is not None and _hardly_seen((left, top, right, bottom), view, _RING * max(picture.size)):
        ring = _nearest_inside(((left + right) / 2, (top + bottom) / 2), view, _RING * max(picture.size))
    return _Shape((left, top, right, bottom), ring, severity, flaw, label)


def _hardly_seen(
    box: tuple[float, float, float, float], view: tuple[float, float, float, float], radius: float
) -> bool:
    """Whether a box is small, next to a line, or outside of what is shown."""
    width, height = box[2] - box[0], box[3] - box[1]
    across = min(box[2], view[0] + view[2]) - max(box[0], view[0])
    down = min(box[3], view[1] + view[3]) - max(box[1], view[1])
    return max(width, height) < radius or min(width, height) < radius / 6 or min(across, down) < 0


def _nearest_inside(
    point: tuple[float, float], view: tuple[float, float, float, float], radius: float
) -> tuple[float, float]:
    """Where a ring is wholly seen; a box far outside is pointed at from the rim."""
    left, top, width, height = view
    x = min(max(point[0], left + radius), max(left + width - radius, left))
    y = min(max(point[1], top + radius), max(top + height - radius, top))
    return x, y


def drawable(box: Sequence[float | str] | None) -> tuple[float, float, float, float] | None:
    """A box of four finite numbers, or nothing."""
    if box is None or len(box) != 4:
        return None
    numbers = [v for v in box if isinstance(v, int | float) and math.isfinite(v)]
    return (numbers[0], numbers[1], numbers[2], numbers[3]) if len(numbers) == 4 else None
