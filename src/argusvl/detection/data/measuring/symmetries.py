"""Whether pictures could have been taken mirrored, or upside down, which decides whether training shows them so.

A linear probe on EfficientNet-Lite0's features is asked whether a picture is mirrored or turned, as RotNet asks
(Gidaris et al., 2018, arXiv 1803.07728), and answers for pictures that it was not fitted on. Of cells and of playing
cards it guesses or nearly so; of a chess board before one camera it is nearly always right: there a mirrored picture
is one that nobody will take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from argusvl.core.images import open_image
from argusvl.networks.efficientnet_lite import MEAN, STD, load_network, packaged_weights

LEAST, MOST = 50, 100
"""Pictures that are looked at; of fewer nothing is found out, and flips make more of them."""
_SIDE_PX, _FOLDS, _AT_ONCE = 224, 5, 16


@dataclass(frozen=True, slots=True)
class ToldApart:
    """The share of the pictures that are told from themselves, from 0.5 (guessed) to 1.

    Attributes:
        mirrored: Left for right.
        turned: By half a turn.
    """

    mirrored: float
    turned: float


def told_apart(files: Sequence[Path]) -> ToldApart | None:
    """Whether pictures are known when they are mirrored, or turned; ``None`` of a few.

    Looks at :data:`MOST` of them, which takes some seconds.

    Raises:
        ImageError: One cannot be read.
    """
    chosen = list(dict.fromkeys(files))
    if len(chosen) < LEAST:
        return None
    chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, min(MOST, len(chosen))).astype(int)]
    pixels = torch.stack([_pixels(file) for file in chosen])
    network = load_network(packaged_weights()).fold_norms().eval()

    def features(pictures: Tensor) -> np.ndarray:
        with torch.no_grad():
            return torch.cat([network(part) for part in pictures.split(_AT_ONCE)]).numpy()

    as_they_are = features(pixels)
    return ToldApart(
        mirrored=_accuracy(as_they_are, features(pixels.flip(3))),
        turned=_accuracy(as_they_are, features(pixels.flip(2, 3))),
    )


def _pixels(file: Path) -> Tensor:
    picture = open_image(file, exif="upright").resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BILINEAR)
    values = (np.asarray(picture, dtype=np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(
        STD, np.float32
    )
    return torch.from_numpy(values).permute(2, 0, 1)


def _accuracy(features: np.ndarray, of_changed: np.ndarray) -> float:
    """Of the probe, which tells pictures from changed ones by their features."""
    # scikit-learn takes a second to import, and few commands need it.
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    answers, of_picture = np.repeat([0, 1], len(features)), np.tile(np.arange(len(features)), 2)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    together = np.concatenate([features, of_changed])
    scores = cross_val_score(probe, together, answers, groups=of_picture, cv=GroupKFold(_FOLDS))
    return float(scores.mean())
