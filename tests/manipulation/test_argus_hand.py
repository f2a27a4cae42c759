"""The base of hands that ships with the package."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from argusvl.assets import MODELS
from argusvl.cli.main import run
from argusvl.manipulation.data.dataset import HandDataset
from argusvl.manipulation.data.reading import open_hands
from argusvl.manipulation.measure.evaluation import evaluate_dataset
from argusvl.manipulation.predict import HandPredictor
from argusvl.manipulation.predict.checkpoint import HandAssets
from argusvl.synthetic.hands import generate

pytestmark = pytest.mark.usefixtures("quiet_logging")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "hands"
    generate(folder, images=24, seed=77, workers=1)
    return folder


def test_it_finds_hands_that_it_has_not_seen(drawn: Path) -> None:
    predictor = HandPredictor.from_pretrained("argus-hand")
    assets = HandAssets.load(MODELS["argus-hand"])
    dataset = HandDataset(list(open_hands(drawn, "folder", {})), assets.crop)
    figures = evaluate_dataset(predictor.model, dataset, assets.mean_pose, batch_size=12).figures
    assert figures.collapsed == ()
    relative, aligned = (figures.figures[name] for name in ("mpjpe_root", "mpjpe_pa"))
    assert relative.value < relative.mean_pose / 2
    assert aligned.value < 0.85 * aligned.mean_pose


def test_training_goes_on_from_it(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the README has it: init from the base, then train."""
    config = tmp_path / "hands.yaml"
    assert run(["init", "--task", "manipulation", str(drawn), "--model", "argus-hand"]) == 0
    config.write_text(capsys.readouterr().out, encoding="utf-8")
    quick = ["max_steps=2", "eval_steps=2", "save_steps=2", "per_device_train_batch_size=8"]
    quick += ["dataloader_num_workers=0", "report_to=[]", f"output_dir={tmp_path / 'run'}"]
    assert run(["train", str(config), *quick]) == 0
    weights = HandPredictor.from_pretrained(tmp_path / "run").model.parameters()
    assert {one.dtype for one in weights} == {torch.float32}
