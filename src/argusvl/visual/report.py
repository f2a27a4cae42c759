"""The report of a run: one HTML file that needs nothing else, to be kept, sent and opened anywhere.

Pictures, charts and the glyphs of the labels are inside the file; nothing is fetched. Boxes are drawn as SVG over
the pictures, so that they stay sharp.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from argusvl.core.errors import ArgusError
from argusvl.core.files import write_text_atomically
from argusvl.core.images import open_image
from argusvl.visual.curves import Chart, charts_of_log
from argusvl.visual.fonts import covered_characters, default_font_path
from argusvl.visual.pairing import LabelledBox, Pair, agreement, pair_up
from argusvl.visual.plots import format_number

_IMAGE_SIDE_PX = 720  # larger images are reduced: the page is looked at, not measured
_JPEG_QUALITY = 84
_DRAWN_PER_GROUP = 6
_FIRST_CJK = 0x2E80  # where the radicals begin; what is before has glyphs everywhere


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One quality figure.

    Attributes:
        name: E.g. ``AP50``.
        before: Before training; ``None`` where it was not measured.
        after: After training; ``None`` where it was not measured.
        note: What it means, in a few words.
    """

    name: str
    before: float | None
    after: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """Truth beside prediction.

    Attributes:
        image: A file, or the image itself. Boxes are in its stored pixels.
        truth: What is there.
        predicted: What was found, as far as it is to be shown.
        caption: Shown under the picture, e.g. the file's name.
    """

    image: Path | Image.Image
    truth: Sequence[LabelledBox]
    predicted: Sequence[LabelledBox]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that a report says.

    Attributes:
        title: The run's name.
        subtitle: One line about it.
        figures: Quality before and after training.
        facts: Other numbers and names, e.g. how long it took.
        log_history: The training log: dictionaries with ``step`` and what was logged then.
        per_class: Figures by class.
        gallery: Truth beside predictions.
        gallery_note: How the pictures were chosen and what is left out.
        configuration: The run's configuration as text.
        environment: Versions and devices.
    """

    title: str
    subtitle: str = ""
    figures: Sequence[FigureRow] = ()
    facts: Mapping[str, float | int | str] = field(default_factory=dict)
    log_history: Sequence[Mapping[str, Any]] = ()
    per_class: Mapping[str, Mapping[str, float | int | None]] = field(default_factory=dict)
    gallery: Sequence[GalleryItem] = ()
    gallery_note: str = ""
    configuration: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def write_report(data: ReportData, path: str | Path) -> Path:
    """Writes the report; what was there is replaced only when the new one is complete.

    Args:
        data: What it says.
        path: The HTML file.

    Returns:
        The file.

    Raises:
        ImageError: A picture of the gallery cannot be opened.
        ArgusError: The file cannot be written.
    """
    target = Path(path)
    write_text_atomically(target, render_report(data))
    return target


def render_report(data: ReportData) -> str:
    """The report as HTML text."""
    environment = Environment(
        loader=PackageLoader("argusvl.visual", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _shown
    environment.filters["bar"] = _bar
    examples = [_example(number, item) for number, item in enumerate(data.gallery)]
    charts = charts_of_log(data.log_history)
    columns = list(dict.fromkeys(name for figures in data.per_class.values() for name in figures))
    return environment.get_template("report.html.jinja").render(
        data=data,
        groups=_grouped(examples),
        charts=[(chart, Markup(chart.svg)) for chart in charts],
        columns=columns,
        tiles=[row for row in data.figures if row.after is not None][:4],
        font=Markup(_embedded_font(_texts(data, charts))),
    )


@dataclass(frozen=True, slots=True)
class _Example:
    """A gallery item, ready for the template."""

    number: int
    caption: str
    width: int
    height: int
    picture: str
    pairs: list[Pair]
    agreement: float
    line: float
    badge: float


def _example(number: int, item: GalleryItem) -> _Example:
    image = item.image if isinstance(item.image, Image.Image) else open_image(item.image, exif="ignore")
    pairs = pair_up(item.truth, item.predicted)
    return _Example(
        number=number,
        caption=item.caption,
        width=image.width,
        height=image.height,
        picture=_data_uri(image),
        pairs=pairs,
        agreement=agreement(pairs),
        line=max(image.size) / 260,
        badge=max(image.size) / 26,
    )


def _grouped(examples: Sequence[_Example]) -> list[tuple[str, str, list[_Example]]]:
    """Worst, best, and others between, each as ``(title, explanation, examples)``."""
    ordered = sorted(examples, key=lambda e: e.agreement)
    if len(ordered) <= _DRAWN_PER_GROUP:
        return [("Examples", "the least agreement first", ordered)] if ordered else []
    size = min(_DRAWN_PER_GROUP, len(ordered) // 3)
    worst, between, best = ordered[:size], ordered[size:-size], ordered[-size:][::-1]
    between = sorted(between, key=lambda e: e.number)
    return [
        ("Worst", "of the pictures kept, those with the least agreement", worst),
        ("Best", "of the pictures kept, those with the most agreement", best),
        ("Others", "the rest, in their order", between),
    ]


def _data_uri(image: Image.Image) -> str:
    picture = image.convert("RGB")
    picture.thumbnail((_IMAGE_SIDE_PX, _IMAGE_SIDE_PX), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")


def _texts(data: ReportData, charts: Sequence[Chart]) -> Iterable[str]:
    """Every text of the report that users wrote."""
    yield from (data.title, data.subtitle, data.gallery_note, data.configuration)
    yield from (text for row in data.figures for text in (row.name, row.note))
    yield from (str(value) for pair in (*data.facts.items(), *data.environment.items()) for value in pair)
    yield from data.per_class
    for item in data.gallery:
        yield item.caption
        yield from (box.label for box in (*item.truth, *item.predicted))
    for chart in charts:
        yield from (chart.title, *(entry.name for entry in chart.legend))


def _embedded_font(texts: Iterable[str]) -> str:
    """A ``@font-face`` with just the Chinese (and Japanese, Korean) glyphs that the report needs (D-004).

    A machine without Chinese fonts would show empty boxes. Without the font's package the reader's own fonts must
    do; the report is no less complete.
    """
    wanted = {character for text in texts for character in text if ord(character) >= _FIRST_CJK}
    try:
        path = default_font_path()
    except ArgusError:
        return ""
    wanted = {character for character in wanted if ord(character) in covered_characters(path)}
    if not wanted:
        return ""
    from fontTools import subset

    options = subset.Options(layout_features=[], hinting=False, desubroutinize=False, notdef_outline=True)
    options.flavor = "woff"
    font = subset.load_font(str(path), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(sorted(wanted)))
    subsetter.subset(font)
    packed = io.BytesIO()
    subset.save_font(font, packed, options)
    encoded = base64.b64encode(packed.getvalue()).decode("ascii")
    source = f'url(data:font/woff;base64,{encoded}) format("woff")'
    scope = f"unicode-range:U+{_FIRST_CJK:X}-10FFFF"
    return f'@font-face{{font-family:"Argus glyphs";font-display:block;src:{source};{scope}}}'


def _shown(value: Any) -> str:
    """A table's cell: numbers short, texts as they are, nothing as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    return f"{value:.3f}" if 0 <= value <= 1 else format_number(value)


def _bar(value: Any) -> float | None:
    """Percentage of a share, for the bar behind it; ``None`` for what is no share."""
    if isinstance(value, float) and 0 <= value <= 1:
        return round(100 * value, 1)
    return None
