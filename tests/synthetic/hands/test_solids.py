"""Simple solids: surface, distance and extent say the same thing."""

from __future__ import annotations

import numpy as np
import pytest

from argusvl.core.errors import DataError
from argusvl.synthetic.hands.solids import KINDS, SIZES, Primitive

SOLIDS = [
    Primitive("box", (0.04, 0.07, 0.12)),
    Primitive("cylinder", (0.03, 0.15)),
    Primitive("sphere", (0.035,)),
    Primitive("capsule", (0.02, 0.1)),
    Primitive("cone", (0.04, 0.11)),
]
each = pytest.mark.parametrize("solid", SOLIDS, ids=lambda solid: solid.kind)


def test_every_kind_is_tested() -> None:
    assert [solid.kind for solid in SOLIDS] == list(KINDS) == list(SIZES)


@each
def test_points_of_the_surface_are_on_it_with_normals_that_point_outwards(solid: Primitive) -> None:
    points, normals = solid.surface(700, np.random.default_rng(0))
    np.testing.assert_allclose(solid.distance(points), 0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    # One step along the normal is as far away as it is long; a step back is as deep, but near edges.
    np.testing.assert_allclose(solid.distance(points + 0.004 * normals), 0.004, atol=1e-9)
    inside = solid.distance(points - 0.002 * normals)
    assert (inside < 0).mean() > 0.97 and np.isclose(inside, -0.002).mean() > 0.85
    assert (np.abs(points) <= solid.extent + 1e-9).all()
    np.testing.assert_allclose(np.abs(points).max(0), solid.extent, rtol=0.12)


@each
def test_points_are_even_over_the_surface(solid: Primitive) -> None:
    """As many as there is area within a shell of the solid, which is counted by chance points in its box."""
    generator = np.random.default_rng(1)
    points, _ = solid.surface(20_000, generator)
    around = generator.uniform(-1, 1, (400_000, 3)) * (solid.extent + 0.002)
    shell = around[np.abs(solid.distance(around)) < 0.001]
    for axis in range(3):
        cuts = solid.extent[axis] * np.array([-0.7, -0.2, 0.3, 0.8])
        expected, found = ((values[:, axis, None] < cuts).mean(0) for values in (shell, points))
        np.testing.assert_allclose(found, expected, atol=0.03)


@each
def test_a_mirror_leaves_a_solid_as_it_is(solid: Primitive) -> None:
    points = np.random.default_rng(2).uniform(-0.15, 0.15, (200, 3))
    np.testing.assert_allclose(solid.distance(points * [-1, 1, 1]), solid.distance(points))


@pytest.mark.parametrize(
    ("kind", "size", "said"),
    [
        ("torus", (1.0,), "torus"),
        ("box", (0.1, 0.2), "no size of a box"),
        ("sphere", (0.0,), "no size of a sphere"),
    ],
)
def test_what_is_no_solid_is_refused(kind: str, size: tuple[float, ...], said: str) -> None:
    with pytest.raises(DataError, match=said):
        Primitive(kind, size)
