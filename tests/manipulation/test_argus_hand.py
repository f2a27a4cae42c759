"""The base of hands that ships with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from argusvl.assets import MODELS
from argusvl.manipulation.assets import HandAssets
from argusvl.manipulation.data.dataset import HandDataset
from argusvl.manipulation.data.reading import open_hands
from argusvl.manipulation.evaluation import evaluate_dataset
from argusvl.manipulation.predictor import HandPredictor
from argusvl.synthetic.hands import generate
from argusvl.tasks import task_at

MOST_BYTES = 12 * 2**20


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "hands"
    generate(folder, images=40, seed=77, workers=1)
    return folder


def test_it_is_small_and_says_its_task() -> None:
    folder = MODELS["argus-hand"]
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= MOST_BYTES
    assert task_at("argus-hand") == "manipulation"


def test_it_finds_hands_that_it_has_not_seen(drawn: Path) -> None:
    predictor = HandPredictor.from_pretrained("argus-hand")
    assets = HandAssets.load(MODELS["argus-hand"])
    dataset = HandDataset(list(open_hands(drawn, "folder", {})), assets.crop)
    figures = evaluate_dataset(predictor.model, dataset, assets.mean_pose, batch_size=20).figures
    assert figures.collapsed == ()
    relative, aligned = (figures.figures[name] for name in ("mpjpe_root", "mpjpe_pa"))
    assert relative.value < relative.mean_pose / 2
    assert aligned.value < 0.85 * aligned.mean_pose
