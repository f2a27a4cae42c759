"""What was seen inside a trained model: features by layer, attention over pictures, the loss around the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from argusvl.core.files import read_bytes
from argusvl.visual.curves import Chart
from argusvl.visual.heat import contact_sheet, over_picture, strip
from argusvl.visual.page import page_environment
from argusvl.visual.pictures import jpeg_uri, reduced_jpeg
from argusvl.visual.plots import format_number
from argusvl.visual.sections import Section

if TYPE_CHECKING:  # a report without a look inside needs no torch
    from argusvl.visual.feature_statistics import LayerStatistics

_MOST_PARTS = 8
_MOST_HEADS = 8
_TILE_SIDE = 420  # pixels
_HERE = '<div id="inner">'


@dataclass(frozen=True, slots=True)
class Attention:
    """A picture with a model's attention over it.

    Attributes:
        name: The picture's.
        tiles: The picture, then all heads together, then each, with their titles.
    """

    name: str
    tiles: Sequence[tuple[str, Image.Image]]

    def sheet(self) -> Image.Image:
        """All of them in one picture."""
        return contact_sheet(self.tiles, columns=max(3, min(5, -(-len(self.tiles) // 2))))


@dataclass(frozen=True, slots=True)
class Inner:
    """What was seen of one batch.

    Attributes:
        layers: In the order of computing; empty: not looked at.
        landscape: The loss around the weights; ``None``: not computed.
    """

    batch: str
    layers: Sequence[LayerStatistics] = ()
    attention: Sequence[Attention] = ()
    landscape: Chart | None = None

    def features(self) -> Chart | None:
        """The layers as a strip."""
        return feature_strip(self.layers) if self.layers else None


def inner_section(inner: Inner) -> Section:
    """The part of the report."""
    from argusvl.visual.feature_statistics import DEAD_BELOW

    dead = sorted((one for one in inner.layers if one.dead), key=lambda one: -one.dead_share)
    attention = [
        (one.name, [(title, jpeg_uri(reduced_jpeg(tile, _TILE_SIDE))) for title, tile in one.tiles])
        for one in inner.attention
    ]
    template = page_environment().get_template("inner.html.jinja")
    seen = {"inner": inner, "features": inner.features(), "dead": dead, "attention": attention}
    html = template.render(**seen, below=f"{DEAD_BELOW:g}", short=format_number)
    return Section("inner", "", Markup(f"{_HERE}{html}</div>" if html.strip() else ""))


def shows_inner(page: Path) -> bool:
    """Whether a report that is there already has this part."""
    try:
        return _HERE.encode() in read_bytes(page)
    except OSError:
        return False


def attention_over(name: str, image: Image.Image, heads: NDArray[Any]) -> Attention:
    """A picture with ``[heads, rows, columns]`` over it."""
    tiles = [("photograph", image), ("all heads", over_picture(image, heads.sum(0)))]
    tiles += [(f"head {k}", over_picture(image, one)) for k, one in enumerate(heads[:_MOST_HEADS], start=1)]
    return Attention(name, tiles)


def feature_strip(layers: Sequence[LayerStatistics]) -> Chart:
    """Standard deviation, largest value and share of dead units of each layer, in the order of computing."""
    rows = [
        ("standard deviation", [one.std for one in layers], True),
        ("largest absolute value", [max(abs(one.minimum), abs(one.maximum)) for one in layers], True),
        ("share of dead units", [one.dead_share for one in layers], False),
    ]
    titles = [
        f"{one.name} ({one.kind})\nmean {format_number(one.mean)}, std {format_number(one.std)}\n"
        f"from {format_number(one.minimum)} to {format_number(one.maximum)}\n{one.dead} of {one.units} units dead"
        for one in layers
    ]
    return Chart("layers, in the order of computing", strip(rows, titles, _parts(layers)), wide=True)


def _parts(layers: Sequence[LayerStatistics]) -> list[tuple[int, str]]:
    """Where each part of the model begins: the largest part is split by its names until there are enough."""
    parts = _split(layers, 0, 1)
    while len(parts) < _MOST_PARTS:
        largest = max(range(len(parts)), key=lambda i: len(parts[i][2]))
        begin, _, members, depth = parts[largest]
        deeper = next((s for d in range(depth + 1, 9) if len(s := _split(members, begin, d)) > 1), None)
        if deeper is None or len(parts) + len(deeper) - 1 > _MOST_PARTS:
            break
        parts[largest : largest + 1] = deeper
    return [(begin, name) for begin, name, _, _ in parts]


def _split(
    layers: Sequence[LayerStatistics], begin: int, depth: int
) -> list[tuple[int, str, list[LayerStatistics], int]]:
    found = []
    for name, members in groupby(layers, key=lambda one: ".".join(one.name.split(".")[:depth])):
        listed = list(members)
        found.append((begin, ".".join(name.split(".")[-2:]), listed, depth))
        begin += len(listed)
    return found
