"""A transparent sheet on which one object is drawn in layers, with the exact extent of what is solid.

Shapes are scan-converted at two to four times the size and averaged, so that edges are smooth; the extent is read
off the large masks, to a fraction of a pixel. Patterns are painted at the final size, which is what makes it fast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from argusvl.synthetic.canvas import Rect
from shapes.outlines import Outline
from shapes.paint import Paint, Plane

_MIN_LINE_PX = 1.1


class Sheet:
    """A square sheet around an object's centre ``x, y`` in the picture, turned clockwise, no farther than ``reach``.

    Attributes:
        left: Column of the picture under the sheet's first column.
        top: Row of the picture under the sheet's first row.
        colour: Colour times coverage ``[3, h, w]``.
        coverage: 0 to 1, ``[h, w]``.
    """

    def __init__(self, x: float, y: float, reach: float, degrees: float) -> None:
        self.left, self.top = math.floor(x - reach) - 1, math.floor(y - reach) - 1
        side = math.ceil(2 * reach) + 4
        self._x, self._y = x - self.left, y - self.top
        self._cos, self._sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        self._zoom = 4 if reach < 36 else 3 if reach < 100 else 2
        self.colour: Plane = np.zeros((3, side, side), dtype=np.float32)
        self.coverage: Plane = np.zeros((side, side), dtype=np.float32)
        self._low = [math.inf, math.inf]
        self._high = [-math.inf, -math.inf]

    def extent(self) -> Rect:
        """Extent of the layers in the picture's pixels, not clipped to it."""
        (x0, y0), (x1, y1) = self._low, self._high
        return Rect(self.left + x0, self.top + y0, self.left + x1, self.top + y1)

    def lay(
        self,
        paint: Paint,
        *outlines: Outline,
        holes: Sequence[Outline] = (),
        opacity: float = 1.0,
        soft: float = 0.0,
        atop: bool = False,
    ) -> None:
        """Paints filled outlines of the object's frame as one layer, in which holes are left open.

        ``soft`` is the radius of the edge's blur in pixels; ``atop``: only where the sheet is covered already.
        """
        placed = [self._place(outline) for outline in outlines]
        opened = [self._place(outline) for outline in holes]

        def draw(pen: ImageDraw.ImageDraw, dx: float, dy: float) -> None:
            for shape, value in ((placed, 255), (opened, 0)):
                for outline in shape:
                    pen.polygon(((outline - (dx, dy)) * self._zoom - 0.5).ravel().tolist(), fill=value)

        self._layer(placed, 0.0, draw, paint, opacity, soft, atop)

    def trace(
        self,
        paint: Paint,
        width: float,
        *paths: Outline,
        closed: bool = True,
        opacity: float = 1.0,
        soft: float = 0.0,
        atop: bool = False,
    ) -> None:
        """Paints lines of ``width`` pixels along paths as one layer; arguments as for :meth:`lay`."""
        width = max(width, _MIN_LINE_PX)
        placed = [self._place(path) for path in paths]
        pixels = max(1, round(width * self._zoom))

        def draw(pen: ImageDraw.ImageDraw, dx: float, dy: float) -> None:
            for path in placed:
                # Beyond the start again, so that the corner there is joined like the others.
                whole = np.concatenate([path, path[:2]]) if closed else path
                line = ((whole - (dx, dy)) * self._zoom - 0.5).ravel().tolist()
                pen.line(line, fill=255, width=pixels, joint="curve")

        self._layer(placed, width, draw, paint, opacity, soft, atop)

    def stamp(self, paint: Paint, glyph: Image.Image, height: float) -> None:
        """Paints a mask (mode L) at a height in pixels, centred on the origin."""
        side, zoom = self.coverage.shape[0], self._zoom
        scale = glyph.height / (height * zoom)
        a, b = self._cos * scale, self._sin * scale
        x, y = self._x * zoom, self._y * zoom
        matrix = (a, b, glyph.width / 2 - a * x - b * y, -b, a, glyph.height / 2 + b * x - a * y)
        size = (side * zoom, side * zoom)
        mask = glyph.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        self._count(mask.point(lambda value: 255 if value > 127 else 0), 0, 0)
        self._blend(np.asarray(mask.reduce(zoom), dtype=np.float32) / 255, 0, 0, paint, atop=False)

    def cut(self, *outlines: Outline) -> None:
        """Makes holes through all layers."""
        placed = [self._place(outline) for outline in outlines]
        x0, y0, x1, y1 = self._region(placed, 0.0)
        mask = Image.new("L", ((x1 - x0) * self._zoom, (y1 - y0) * self._zoom))
        pen = ImageDraw.Draw(mask)
        for outline in placed:
            pen.polygon(((outline - (x0, y0)) * self._zoom - 0.5).ravel().tolist(), fill=255)
        left = 1 - np.asarray(mask.reduce(self._zoom), dtype=np.float32) / 255
        self.colour[:, y0:y1, x0:x1] *= left
        self.coverage[y0:y1, x0:x1] *= left

    def _place(self, outline: Outline) -> Outline:
        return outline @ np.array(((self._cos, self._sin), (-self._sin, self._cos))) + (self._x, self._y)

    def _region(self, placed: list[Outline], margin: float) -> tuple[int, int, int, int]:
        side = self.coverage.shape[0]
        low = np.min([outline.min(axis=0) for outline in placed], axis=0) - margin
        high = np.max([outline.max(axis=0) for outline in placed], axis=0) + margin
        x0, y0 = (max(0, min(side - 1, math.floor(v))) for v in low)
        x1, y1 = (max(0, min(side, math.ceil(v) + 1)) for v in high)
        return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)

    def _layer(self, placed, width, draw, paint, opacity, soft, atop) -> None:  # type: ignore[no-untyped-def]
        x0, y0, x1, y1 = self._region(placed, 0.5 * width + 2.5 * soft)
        mask = Image.new("L", ((x1 - x0) * self._zoom, (y1 - y0) * self._zoom))
        draw(ImageDraw.Draw(mask), x0, y0)
        if not atop:
            self._count(mask, x0, y0)
        small = mask.reduce(self._zoom)
        if soft > 0.2:
            small = small.filter(ImageFilter.GaussianBlur(soft))
        self._blend(np.asarray(small, dtype=np.float32) * (opacity / 255), x0, y0, paint, atop=atop)

    def _count(self, mask: Image.Image, x0: int, y0: int) -> None:
        box = mask.getbbox()
        if box is not None:
            left, top, right, bottom = (v / self._zoom for v in box)
            self._low = [min(self._low[0], x0 + left), min(self._low[1], y0 + top)]
            self._high = [max(self._high[0], x0 + right), max(self._high[1], y0 + bottom)]

    def _blend(self, mask: Plane, x0: int, y0: int, paint: Paint, *, atop: bool) -> None:
        height, width = mask.shape
        region = (slice(y0, y0 + height), slice(x0, x0 + width))
        xs = np.arange(x0 + 0.5 - self._x, x0 + width - self._x, dtype=np.float32)[None, :]
        ys = np.arange(y0 + 0.5 - self._y, y0 + height - self._y, dtype=np.float32)[:, None]
        colours = paint.planes(xs * self._cos + ys * self._sin, ys * self._cos - xs * self._sin)
        coverage = self.coverage[region]
        under = self.colour[:, region[0], region[1]]
        under *= 1 - mask
        if atop:
            under += colours * (mask * coverage)
        else:
            under += colours * mask
            coverage += mask * (1 - coverage)
