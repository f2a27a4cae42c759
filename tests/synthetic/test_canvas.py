from __future__ import annotations

import numpy as np
import pytest

from argusvl.synthetic.canvas import Canvas, Pen, Rect, project_rect, quad_to_quad

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
VIEW = quad_to_quad([(0, 0), (80, 0), (80, 60), (0, 60)], [(6, 4), (75, 9), (70, 52), (3, 57)])


def test_a_quadrilateral_is_mapped_onto_the_other_one() -> None:
    hull = project_rect(VIEW, Rect(0, 0, 80, 60))
    assert hull == pytest.approx((3, 4, 75, 57))


@pytest.mark.parametrize("matrix", [IDENTITY, VIEW])
@pytest.mark.parametrize("degrees", [0.0, 33.0])
def test_the_extent_is_where_the_ink_is(matrix: tuple[float, ...], degrees: float) -> None:
    canvas = Canvas(80, 60)
    pen = Pen(canvas, matrix).at(40, 30, degrees)  # type: ignore[arg-type]
    pen.rect(-30, -30, -20, -20, (255, 0, 0))
    canvas.begin()
    pen.rect(-12.5, -7.25, 12.5, 7.25, (255, 255, 255))
    pen.rect(-18, -10, 18, 10, (0, 0, 40), counted=False)
    pen.rect(-12.5, -7.25, 12.5, 7.25, (255, 255, 255))
    ys, xs = np.nonzero(np.asarray(canvas.finished())[..., 1] > 100)
    ink = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    # A pixel that is covered by less than half is not counted as ink, and a turned corner covers none by half.
    assert canvas.extent() == pytest.approx(ink, abs=0.75 if not degrees else 2.0)
