from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageFilter

from argusvl.networks.picture_vectors import PictureVectors


def test_a_picture_is_more_like_its_blurred_copy_than_like_another() -> None:
    random = np.random.default_rng(0)
    first = Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8)).resize((320, 240))
    squares = np.kron(np.indices((12, 16)).sum(0) % 2 * 255, np.ones((20, 20))).astype(np.uint8)
    other = Image.fromarray(squares).convert("RGB")
    network = PictureVectors(torch.device("cpu"))
    vectors = network([first, first.filter(ImageFilter.GaussianBlur(2)), other])
    assert vectors.shape == (3, 1280)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1
    assert network([]).shape == (0, 1280)
