"""Heat: values as colours, over a picture, and as cells of a strip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from argusvl.visual.fonts import drawable_text, load_font

# Viridis, at equal distances: ascending in lightness, and told apart without red and green.
_RAMP = np.array(
    [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], dtype=np.float64
)
_HOTTEST = 0.8  # opacity over a picture
_CHARACTER = 0.012  # of a name, as a share of a strip
_TILE, _GAP, _TITLE = 300, 8, 26  # pixels


def colours(shares: NDArray[Any]) -> NDArray[np.uint8]:
    """Values of 0 to 1 → RGB, ``[…, 3]``."""
    place = np.clip(shares, 0, 1) * (len(_RAMP) - 1)
    low = np.minimum(place.astype(int), len(_RAMP) - 2)
    part = (place - low)[..., None]
    rgb: NDArray[np.uint8] = np.rint(_RAMP[low] * (1 - part) + _RAMP[low + 1] * part).astype(np.uint8)
    return rgb


def over_picture(image: Image.Image, heat: NDArray[Any]) -> Image.Image:
    """A picture, greyed, with heat ``[rows, columns]`` over all of it; the hottest cell has the strongest colour."""
    top = float(heat.max())
    share = Image.fromarray((heat / top if top > 0 else heat).astype(np.float32))
    shares = np.clip(np.asarray(share.resize(image.size, Image.Resampling.BILINEAR)), 0, 1)
    ground = np.asarray(image.convert("L").convert("RGB"), dtype=np.float64)
    # By the root: what gets a tenth of the attention must still be seen.
    opacity = (np.sqrt(shares) * _HOTTEST)[..., None]
    return Image.fromarray((ground * (1 - opacity) + colours(np.sqrt(shares)) * opacity).astype(np.uint8))


def contact_sheet(tiles: Sequence[tuple[str, Image.Image]], columns: int) -> Image.Image:
    """Pictures of one size beside each other, each with its title above it."""
    first = tiles[0][1]
    width, height = _TILE, max(1, round(first.height * _TILE / first.width))
    rows = -(-len(tiles) // columns)
    size = columns * (width + _GAP) - _GAP, rows * (height + _TITLE + _GAP) - _GAP
    sheet = Image.new("RGB", size, (255, 255, 255))
    pen, font = ImageDraw.Draw(sheet), load_font(None, 15)
    for i, (title, tile) in enumerate(tiles):
        x, y = i % columns * (width + _GAP), i // columns * (height + _TITLE + _GAP)
        pen.text((x + 2, y + 2), drawable_text(title, None, "escape"), fill=(40, 44, 50), font=font)
        sheet.paste(tile.resize((width, height), Image.Resampling.LANCZOS), (x, y + _TITLE))
    return sheet


def strip(
    rows: Sequence[tuple[str, Sequence[float], bool]], titles: Sequence[str], parts: Sequence[tuple[int, str]]
) -> str:
    """Rows of cells as SVG, one column for each of ``titles``, which is said where it is pointed at.

    A row has a name, values, of which what is not finite stays empty, and whether their colour is by the logarithm;
    ``parts`` says where a part of the columns begins, and its name.
    """
    row, head = 30, 18
    height = head + len(rows) * (row + 20) + 4
    body = []
    of_rows = [head + n * (row + 20) + 16 for n in range(len(rows))]
    for y, (name, values, logarithmic) in zip(of_rows, rows, strict=True):
        shown = [math.log10(v) if logarithmic and v > 0 else math.nan if logarithmic else v for v in values]
        finite = [v for v in shown if math.isfinite(v)]
        low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
        if not logarithmic:
            low, high = 0.0, max(high, 1e-9)
        cells = []
        for i, value in enumerate(shown):
            if math.isfinite(value):
                share = (value - low) / (high - low) if high > low else 0.0
                colour = "#" + colours(np.array(share)).tobytes().hex()
                place = f'x="{100 * i / len(shown):.3f}%" width="{100 / len(shown) + 0.05:.3f}%"'
                cells.append(
                    f'<rect {place} y="{y}" height="{row}" fill="{colour}"><title>{escape(titles[i])}</title></rect>'
                )
        ends = [f"{10**v if logarithmic else v:.3g}" for v in (low, high)]
        label = f"{name}: {ends[0]} (dark) to {ends[1]} (bright)" if finite else name
        body.append(f'<text class="axis" x="0" y="{y - 4}">{escape(label)}</text>{"".join(cells)}')
    count = max(len(titles), 1)
    ends_at = [begin for begin, _ in parts[1:]] + [count]
    for (begin, name), end in zip(parts, ends_at, strict=True):
        at = f"{100 * begin / count:.2f}%"
        for y in (head - 12, *of_rows):  # not through the names
            long = row if y >= head else 14
            body.append(f'<line class="part" x1="{at}" x2="{at}" y1="{y}" y2="{y + long}"/>')
        if (end - begin) / count >= _CHARACTER * len(name):  # else it would run into the next one's
            body.append(f'<text class="axis" x="{at}" dx="4" y="{head - 4}">{escape(name)}</text>')
    return f'<svg class="chart layer-strip" height="{height}" role="img" aria-label="layers">{"".join(body)}</svg>'
