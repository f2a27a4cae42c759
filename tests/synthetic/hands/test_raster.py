"""The rasteriser against one that tries every pixel with every triangle."""

from __future__ import annotations

import numpy as np

from argusvl.synthetic.hands.raster import rasterise

SIZE = (31, 23)


def by_trying_all(points: np.ndarray, depths: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[H, W] nearest face (-1: none) and its depth."""
    width, height = SIZE
    found, nearest = np.full((height, width), -1), np.full((height, width), np.inf)
    for number, face in enumerate(faces):
        a, b, c = points[face]
        matrix = np.array([[a[0], b[0], c[0]], [a[1], b[1], c[1]], [1, 1, 1]])
        if np.linalg.det(matrix) >= 0 or (depths[face] <= 0).any():
            continue
        for y in range(height):
            for x in range(width):
                weights = np.linalg.solve(matrix, [x + 0.5, y + 0.5, 1])
                depth = 1 / (weights @ (1 / depths[face]))
                if (weights >= 0).all() and depth < nearest[y, x]:
                    found[y, x], nearest[y, x] = number, depth
    return found, nearest


def test_the_nearest_triangle_is_seen_at_its_depth() -> None:
    generator = np.random.default_rng(0)
    points = generator.uniform([-10, -8], [41, 31], (60, 2))
    depths = generator.uniform(0.3, 2, 60)
    depths[:2] = -0.5  # behind the camera
    faces = generator.permutation(60).reshape(20, 3)
    expected, nearest = by_trying_all(points, depths, faces)
    fragments = rasterise(points, depths, faces, SIZE)
    found = np.full(SIZE[0] * SIZE[1], -1)
    found[fragments.pixel] = fragments.face
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    assert (found >= 0).sum() > 200
    np.testing.assert_allclose(fragments.depth, nearest.ravel()[fragments.pixel], rtol=1e-5)


def test_values_are_linear_in_space_and_not_in_the_picture() -> None:
    """A floor that goes away from the camera: what is interpolated is the place itself."""
    corners = np.array([[-1.0, 0.5, 0.6], [1.0, 0.5, 0.6], [0.0, 0.5, 6.0]])
    points = 20 * corners[:, :2] / corners[:, 2:] + np.array(SIZE) / 2
    faces = np.array([[0, 1, 2]])
    fragments = rasterise(points, corners[:, 2], faces, SIZE)
    place = fragments.of(corners.astype(np.float32), faces)
    seen = 20 * place[:, :2] / place[:, 2:] + np.array(SIZE) / 2
    centre = np.stack([fragments.pixel % SIZE[0], fragments.pixel // SIZE[0]], axis=1) + 0.5
    assert len(place) > 50
    np.testing.assert_allclose(seen, centre, atol=1e-3)
    np.testing.assert_allclose(place[:, 2], fragments.depth, rtol=1e-4)


def test_neighbours_leave_no_gap() -> None:
    """A surface of many triangles covers each pixel within it."""
    grid = np.stack(np.meshgrid(np.linspace(2, 28, 9), np.linspace(2, 20, 9)), axis=-1)
    grid[1:-1, 1:-1] += np.random.default_rng(1).uniform(-1, 1, (7, 7, 2))
    place = np.arange(81).reshape(9, 9)
    a, b, c, d = (part.ravel() for part in (place[:-1, :-1], place[:-1, 1:], place[1:, 1:], place[1:, :-1]))
    faces = np.concatenate([np.stack([a, c, b], 1), np.stack([a, d, c], 1)])
    fragments = rasterise(grid.reshape(-1, 2), np.ones(81), faces, SIZE)
    assert len(fragments.pixel) == 26 * 18
