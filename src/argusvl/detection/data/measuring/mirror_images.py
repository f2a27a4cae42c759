"""Whether pictures could have been taken mirrored, which decides whether training shows them so.

A linear probe on EfficientNet-Lite0's features is asked whether a picture is mirrored, as RotNet asks how far one is
turned (Gidaris et al., 2018, arXiv 1803.07728), and answers for pictures that it was not fitted on. Of cells and of
playing cards it guesses; of a chess board before one camera it is nearly always right: there a mirrored picture is one
that nobody will take.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def mirrored_told_apart(files: Sequence[Path]) -> float | None:
    """The share of the pictures told from their mirror images, from 0.5 (guessed) to 1; ``None`` of a few.

    Looks at :data:`MOST` of them, which takes some five seconds.

    Raises:
        ImageError: One cannot be read.
    """
    chosen = list(dict.fromkeys(files))
    if len(chosen) < LEAST:
        return None
    chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, min(MOST, len(chosen))).astype(int)]
    pixels = torch.stack([_pixels(file) for file in chosen])
    network = load_network(packaged_weights()).fold_norms().eval()
    with torch.no_grad():
        parts = [network(part) for part in torch.cat([pixels, pixels.flip(3)]).split(_AT_ONCE)]
    return _accuracy(torch.cat(parts).numpy(), len(chosen))


def _pixels(file: Path) -> Tensor:
    picture = open_image(file, exif="upright").resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BILINEAR)
    values = (np.asarray(picture, dtype=np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(
        STD, np.float32
    )
    return torch.from_numpy(values).permute(2, 0, 1)


def _accuracy(features: np.ndarray, pictures: int) -> float:
    """Of the probe: the pictures' features, then those of their mirror images."""
    # scikit-learn takes a second to import, and few commands need it.
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    answers, of_picture = np.repeat([0, 1], pictures), np.tile(np.arange(pictures), 2)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    scores = cross_val_score(probe, features, answers, groups=of_picture, cv=GroupKFold(_FOLDS))
    return float(scores.mean())
