"""The scaled lane is used where it gives the same answers on the pictures at hand, and nowhere else."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from samples import write_photos
from torch import Tensor

from argusvl.core.errors import DataError
from argusvl.recognition.backbones.views import ViewedBackbone
from argusvl.recognition.extraction import agreement
from argusvl.recognition.extraction.agreement import require_agreement
from argusvl.recognition.extraction.extractor import extract


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures of coarse patches, far larger than any backbone here takes; not to be written to."""
    folder = tmp_path_factory.mktemp("photos")
    for n in range(30):
        coarse = np.random.default_rng(n).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)
        picture.save(folder / f"{n:03d}.jpg", quality=95)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


class ByHash:
    """Vectors that a single changed pixel makes others."""

    def __init__(self, tiny: Any) -> None:
        self._tiny = tiny

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tiny, name)

    def embed(self, batch: Tensor) -> Tensor:
        digests = (hashlib.sha256(picture.numpy().tobytes()).digest() for picture in batch)
        return torch.stack([torch.tensor(list(digest), dtype=torch.float32) - 128 for digest in digests])


class WithClasses(ByHash):
    """The same, and yet each picture is of the class that its mean brightness says."""

    class_weights = torch.zeros(4, 33)

    def embed(self, batch: Tensor) -> Tensor:
        return torch.cat([super().embed(batch), batch.mean(dim=(1, 2, 3))[:, None]], dim=1)

    def logits_of(self, vectors: Tensor) -> Tensor:
        return -(vectors[:, -1:] - torch.tensor([-1.0, 0.0, 0.2, 1.0])).abs()


def measured(backbone: Any, folder: Path) -> tuple[str, int, int]:
    """What the answer is, of how many pictures it is another, and of how many; as is said where too few agree."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(agreement, "LEAST_AGREEMENT", 1.01)
        with pytest.raises(DataError) as told:
            require_agreement(backbone, folder, names(folder), progress=False)
    found = re.search(r"changes the ([a-z ]+) of (\d+) of (\d+) pictures", str(told.value))
    assert found is not None
    return found[1], int(found[2]), int(found[3])


def test_lanes_that_give_the_same_answers_may_be_used(photos: Path, tiny: Any) -> None:
    require_agreement(tiny, photos, names(photos), progress=False)
    answer, others, number = measured(tiny, photos)
    assert (answer, number) == ("most alike picture", 30) and others <= 3


def test_lanes_that_give_other_answers_are_refused_with_figures(
    photos: Path, tmp_path: Path, tiny: Any
) -> None:
    with pytest.raises(
        DataError, match=r"changes the most alike picture of \d+ of 30 pictures: \d+% agree, 90% must"
    ) as e:
        extract(photos, tmp_path / "store", ByHash(tiny), lane="scaled", progress=False)
    assert "--lane exact" in str(e.value)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("viewed", [False, True])
def test_a_network_with_classes_is_judged_by_them(photos: Path, tiny: Any, viewed: bool) -> None:
    backbone: Any = WithClasses(tiny)
    if viewed:
        backbone.dimension = 33
        backbone = ViewedBackbone([backbone])
    answer, others, number = measured(backbone, photos)
    assert (answer, number) == ("first class", 30) and others <= 3


def test_lanes_that_decode_alike_agree(photos: Path, tmp_path: Path, tiny: Any) -> None:
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    (folder / "damaged.jpg").write_bytes((folder / "000.jpg").read_bytes()[:-2000])
    (folder / "empty.jpg").touch()
    Image.new("RGB", (320, 240)).save(folder / "a.png")
    assert measured(tiny, folder)[2] == 30
    small = write_photos(tmp_path / "small", 5)
    require_agreement(ByHash(tiny), small, names(small), progress=False)  # there is nothing to compare


def test_a_sample_is_taken_of_many(photos: Path, tmp_path: Path, tiny: Any) -> None:
    for number in range(600):
        (tmp_path / f"{number:03d}.jpg").symlink_to(photos / f"{number % 30:03d}.jpg")
    assert measured(tiny, tmp_path)[2] == 64
