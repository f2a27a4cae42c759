"""How often crops are named right: EfficientNet-Lite0, fine-tuned on the same photographs' crops, beside a trained run.

    python benchmarks/photographs.py cards figure                                  # trains, reads test
    python benchmarks/crops_named.py runs/photographs/cards                        # the peer, on the same records
    python benchmarks/crops_named.py data/mine --steps 300 --batch 16 --side 128   # any converted data set

The peer gets every object's true box, a little widened, as a picture of its own; it has a classifier over the classes
of ImageNet's features, trains whole at one rate with flips, shifts and changes of light, and is asked of the test split
once, after the last step. Argus has to find the objects before it names them: of the objects that it finds, the share
that is described to the letter is ``caption_exact`` of ``argus eval``, and ``recall`` times that is the share of all.
Writes ``benchmarks/results/<date>-crops-named.json``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch import Tensor, nn

from argusvl.networks.efficientnet_lite import DIMENSION, MEAN, STD, load_network, packaged_weights

RESULTS = Path("benchmarks/results")
MARGIN = 1.15
"""Of a crop's sides over its box's."""

Crop = tuple[Path, tuple[float, float, float, float], str]


def crops(data: Path, split: str) -> list[Crop]:
    """Picture, box and description of every object."""
    lines = (data / f"{split}.jsonl").read_text("utf-8").splitlines()
    return [
        (data / record["images"][0], tuple(one["bbox_2d"]), one["desc"])
        for record in map(json.loads, lines)
        for one in record["objects"]
    ]


def picture(crop: Crop, side: int, chance: random.Random | None) -> Tensor:
    """``[3, side, side]``, changed at random where there is ``chance``."""
    path, (x1, y1, x2, y2), _ = crop
    with Image.open(path) as image:
        whole = image.convert("RGB")
    shift, scale = (0.0, 0.0), 1.0
    if chance is not None:
        shift = chance.uniform(-0.1, 0.1) * (x2 - x1), chance.uniform(-0.1, 0.1) * (y2 - y1)
        scale = chance.uniform(0.85, 1.2)
    centre = (x1 + x2) / 2 + shift[0], (y1 + y2) / 2 + shift[1]
    half = MARGIN * scale * (x2 - x1) / 2, MARGIN * scale * (y2 - y1) / 2
    box = centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]
    cut = whole.transform((side, side), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
    if chance is not None:
        if chance.random() < 0.5:
            cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for change in (ImageEnhance.Brightness, ImageEnhance.Contrast):
            cut = change(cut).enhance(chance.uniform(0.8, 1.2))
    pixels = torch.from_numpy(np.array(cut)).permute(2, 0, 1).float() / 255
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def fine_tuned(
    train: list[Crop], names: list[str], steps: int, batch: int, side: int, seed: int
) -> nn.Module:
    """The network after training."""
    torch.manual_seed(seed)
    chance = random.Random(seed)
    features = load_network(packaged_weights()).train()
    features._fc = nn.Identity()
    model = nn.Sequential(features, nn.Linear(DIMENSION, len(names)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for _ in range(steps):
        taken = chance.choices(train, k=batch)
        pixels = torch.stack([picture(one, side, chance) for one in taken])
        loss = nn.functional.cross_entropy(
            model(pixels), torch.tensor([names.index(one[2]) for one in taken])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.inference_mode()
def share_right(model: nn.Module, test: list[Crop], names: list[str], side: int) -> float:
    """Of crops that were not learned from; one of a kind that training has not is wrong."""
    right = 0
    for start in range(0, len(test), 64):
        part = test[start : start + 64]
        said = model(torch.stack([picture(one, side, None) for one in part])).argmax(1).tolist()
        right += sum(names[k] == one[2] for k, one in zip(said, part, strict=True))
    return right / len(test)


def main() -> None:
    """Trains the peer on each data set and adds what it came to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="+", help="folders that `argus data convert` made")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=128, help="of a crop, pixels")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    file = RESULTS / f"{datetime.date.today()}-crops-named.json"
    known = json.loads(file.read_text("utf-8")) if file.exists() else {}
    for data in asked.data:
        train, test = crops(data, "train"), crops(data, "test")
        names = sorted({one[2] for one in train})
        began = time.perf_counter()
        model = fine_tuned(train, names, asked.steps, asked.batch, asked.side, asked.seed)
        minutes = (time.perf_counter() - began) / 60
        known[data.name] = {
            "kinds": len(names),
            "train_crops": len(train),
            "test_crops": len(test),
            "steps": asked.steps,
            "batch": asked.batch,
            "side": asked.side,
            "minutes": round(minutes, 1),
            "right": round(share_right(model, test, names, asked.side), 4),
        }
        print(data.name, known[data.name], flush=True)
        file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
