"""Scenes: what is written of a hand is where it is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from argusvl.manipulation.data.checking import pose_problem, told_side
from argusvl.synthetic.hands.camera import project
from argusvl.synthetic.hands.grasps import CONTACT_M, skin_near_joints
from argusvl.synthetic.hands.rendering import render, silhouette
from argusvl.synthetic.hands.scene import Scene, random_scene
from argusvl.synthetic.hands.solids import KINDS, mesh_of

SIZE = (160, 120)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [random_scene(np.random.default_rng(seed), SIZE) for seed in range(60)]


def test_scenes_are_of_all_sorts(scenes: list[Scene]) -> None:
    assert {scene.side for scene in scenes} == {"left", "right"}
    held = {scene.solid.kind for scene in scenes if scene.solid is not None}
    assert held == {"box", "cylinder", "sphere", "capsule", "cone"} and any(s.solid is None for s in scenes)
    wrists = np.array([scene.joints[9] - scene.joints[0] for scene in scenes])
    assert np.linalg.norm(wrists, axis=1).min() > 0.06
    assert (np.sign(wrists).min(0) < np.sign(wrists).max(0)).all()


def test_joints_are_within_the_silhouette(scenes: list[Scene]) -> None:
    within = []
    for scene in scenes:
        mask = silhouette(scene)
        pixel = np.floor(project(scene.joints, scene.camera)).astype(int)
        seen = ((pixel >= 0) & (pixel < SIZE)).all(1)
        within += mask[pixel[seen, 1], pixel[seen, 0]].tolist()
    assert len(within) > 600 and np.mean(within) > 0.995


def test_most_of_the_hand_is_in_the_picture(scenes: list[Scene]) -> None:
    for scene in scenes:
        seen = project(scene.joints, scene.camera)
        assert ((seen >= 0) & (seen <= SIZE)).all(1).mean() > 0.7 and scene.vertices[:, 2].max() < 5
        assert (scene.box[2:] > scene.box[:2] + 10).all() and (scene.box[2:] <= SIZE).all()
        inside = seen[((seen >= 0) & (seen <= SIZE)).all(1)]
        assert (inside >= scene.box[:2] - 0.5).all() and (inside <= scene.box[2:] + 0.5).all()


def test_the_side_is_that_of_the_fingers(scenes: list[Scene]) -> None:
    told = [(told_side(scene.joints, np.ones(21, bool)), scene.side) for scene in scenes]
    assert all(found in (side, None) for found, side in told)
    assert sum(found is not None for found, _ in told) > len(told) / 2


@pytest.mark.parametrize("kind", KINDS)
def test_contact_agrees_with_the_pose_that_is_written(scenes: list[Scene], kind: str) -> None:
    """On both sides: a left hand's solid is not mirrored in its frame."""
    for scene in scenes:
        if scene.solid is None or scene.pose is None or scene.solid.kind != kind:
            continue
        assert pose_problem(scene.pose) is None
        distance = scene.solid.distance((scene.vertices - scene.pose[:, 3]) @ scene.pose[:, :3])
        for joint in range(21):
            assert bool((distance[skin_near_joints() == joint] < CONTACT_M).any()) == scene.contact[joint]
        assert distance.min() > -0.01
        # The triangles that are drawn are the surface.
        mesh = mesh_of(scene.solid)
        np.testing.assert_allclose(scene.solid.distance(mesh.vertices), 0, atol=1e-6)
        corners = mesh.vertices[mesh.faces]
        outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert ((outward * mesh.normals[mesh.faces].mean(1)).sum(-1) >= -1e-15).all()


def test_a_free_hand_touches_nothing(scenes: list[Scene]) -> None:
    assert not any(scene.contact.any() for scene in scenes if scene.solid is None)


def test_a_picture_shows_the_hand_where_it_is_said_to_be(scenes: list[Scene]) -> None:
    """With the same looks but another place, it changes there and nowhere else."""
    scene = next(s for s in scenes if s.solid is None and 0.1 < silhouette(s).mean() < 0.3)
    for seed in range(20):  # one that is neither shaken nor hidden
        generator = np.random.default_rng(seed)
        image = np.asarray(render(scene, generator)).astype(int)
        away = replace(scene, vertices=scene.vertices * [1, 1, -1])
        without = np.asarray(render(away, np.random.default_rng(seed))).astype(int)
        changed = np.abs(image - without).max(-1) > 12
        if changed.any() and changed[~silhouette(scene)].mean() < 0.02:
            assert changed[silhouette(scene)].mean() > 0.7
            return
    raise AssertionError("the hand is never where it should be")
