"""Cameras: after any change of the picture, what K' sees of the moved points is where the pixels went."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from argusvl.core.errors import DataError
from argusvl.synthetic.hands.camera import (
    PictureMap,
    camera_from_pixel_centres,
    camera_matrix,
    project,
    unproject,
)

SIZE = (320, 240)
K = np.array([[410.0, 3.0, 155.0], [0.0, 430.0, 128.0], [0.0, 0.0, 1.0]])  # neither square nor centred


def some_points(seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.uniform([-0.15, -0.1, 0.5], [0.15, 0.1, 0.8], (21, 3))


def changes(seed: int) -> PictureMap:
    """One to five changes in a random order."""
    generator = np.random.default_rng(seed)
    change = PictureMap.resize(SIZE, SIZE)
    for _ in range(generator.integers(1, 6)):
        width, height = change.size
        left, top = generator.uniform(-30, 40, 2)
        new = tuple(int(v) for v in generator.integers(100, 400, 2))
        crop = (left, top, left + generator.uniform(80, width), top + generator.uniform(80, height))
        makers = [
            lambda crop=crop, new=new: PictureMap.crop(crop, new),
            lambda old=change.size, new=new: PictureMap.resize(old, new),
            lambda old=change.size: PictureMap.mirror(old),
            lambda old=change.size: PictureMap.rotation(old, float(generator.uniform(-180, 180))),
        ]
        change = change.then(makers[generator.integers(4)]())
    return change


def test_a_point_is_seen_where_the_formula_says() -> None:
    camera = camera_matrix(500, 400, 160, 120)
    assert project(np.array([[0.1, -0.2, 2.0]]), camera).tolist() == [[185.0, 80.0]]


def test_projecting_and_unprojecting_undo_each_other() -> None:
    points = some_points()
    back = unproject(project(points, K), points[:, 2], K)
    np.testing.assert_allclose(back, points, atol=1e-12)
    batch = torch.tensor(points)[None], torch.tensor(K)[None]
    torch.testing.assert_close(unproject(project(*batch), batch[0][..., 2], batch[1]), batch[0])


def test_half_precision_is_left_for_float32() -> None:
    points, camera = torch.tensor(some_points()).bfloat16(), torch.tensor(K).bfloat16()
    seen = project(points, camera)
    assert seen.dtype == torch.float32
    torch.testing.assert_close(seen, project(points.float(), camera.float()))


def test_gradients_pass_through_both() -> None:
    points = torch.tensor(some_points(), requires_grad=True)
    camera = torch.tensor(K)
    unproject(project(points, camera), points[:, 2], camera).sum().backward()
    torch.testing.assert_close(points.grad, torch.ones_like(points))


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_any_changes_keep_the_projection_and_distances(seed: int) -> None:
    points, change = some_points(seed), changes(seed)
    camera, turn = change.camera(K)
    moved = points @ turn.T
    np.testing.assert_allclose(project(moved, camera), change.points_px(project(points, K)), atol=1e-8)
    single = project(torch.tensor(moved).float(), torch.tensor(camera).float()).numpy()
    assert np.abs(single - change.points_px(project(points, K))).max() <= 0.01
    before, after = (np.linalg.norm(joints - joints[0], axis=1) for joints in (points, moved))
    np.testing.assert_allclose(after, before)
    np.testing.assert_array_equal(moved[:, 2], points[:, 2])
    assert camera[0, 0] > 0 and camera[1, 1] > 0 and camera[1, 0] == 0 and camera[2].tolist() == [0, 0, 1]
    assert np.linalg.det(turn) == pytest.approx(-1 if change.mirrors else 1)


def test_a_turn_is_clockwise_on_the_screen() -> None:
    turned = PictureMap.rotation((100, 100), 90).points_px(np.array([[50.0, 10.0]]))
    np.testing.assert_allclose(turned, [[90, 50]])


def dot(centre: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """A soft dot whose centre lies anywhere between the pixels."""
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    return Image.fromarray(np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 32).astype(np.float32))


def centre_of(picture: Image.Image) -> np.ndarray:
    light = np.asarray(picture, dtype=np.float64)
    x, y = np.meshgrid(np.arange(picture.width) + 0.5, np.arange(picture.height) + 0.5)
    return np.array([(light * x).sum(), (light * y).sum()]) / light.sum()


@pytest.mark.parametrize(
    "change",
    [
        PictureMap.crop((60, 40, 260, 200), (256, 256)),
        PictureMap.crop((60.3, 40.7, 259.9, 199.6), (111, 87)),
        PictureMap.crop((-40, -30, 300, 250), (224, 224)),
        PictureMap.resize(SIZE, (160, 120)),
        PictureMap.resize(SIZE, (101, 77)),
        PictureMap.resize(SIZE, (500, 500)),
        PictureMap.mirror(SIZE),
        PictureMap.rotation(SIZE, 33),
        PictureMap.rotation(SIZE, -100)
        .then(PictureMap.mirror(SIZE))
        .then(PictureMap.crop((50, 20, 270, 220), (192, 160))),
    ],
    ids=["crop", "odd crop", "crop beyond", "half", "smaller", "larger", "mirror", "turn", "all"],
)
def test_pixels_go_where_the_points_go(change: PictureMap) -> None:
    for point in some_points(3)[:4] * [0.5, 0.5, 1]:
        seen = project(point[None], K)[0]
        camera, turn = change.camera(K)
        expected = project((turn @ point)[None], camera)[0]
        assert np.abs(centre_of(change.picture(dot(seen, SIZE))) - expected).max() <= 0.01


def test_the_centre_of_the_first_pixel_is_half_a_pixel_from_the_corner() -> None:
    by_centres = camera_matrix(400, 400, 159.5, 119.5)  # OpenCV's middle of 320×240
    np.testing.assert_array_equal(camera_from_pixel_centres(by_centres), camera_matrix(400, 400, 160, 120))
    # Left as it is, such a K would be wrong by half a pixel, and after enlarging by more.
    enlarged = PictureMap.resize(SIZE, (640, 480)).camera(camera_from_pixel_centres(by_centres))[0]
    assert enlarged[:2, 2].tolist() == [320, 240]


def test_a_crop_without_area_is_refused() -> None:
    with pytest.raises(DataError, match="no area"):
        PictureMap.crop((5, 5, 5, 9), (10, 10))
    with pytest.raises(DataError, match="no map of pictures"):
        PictureMap(np.zeros((3, 3)), (10, 10))
