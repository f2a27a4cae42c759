"""Predictions for crops, and what they are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from argusvl.core.figures import SPREAD
from argusvl.core.progress import track
from argusvl.manipulation.data.checking import Bools, Floats
from argusvl.manipulation.data.dataset import HandCrop, HandDataset, pixel_values
from argusvl.manipulation.data.joints import NUM_JOINTS
from argusvl.manipulation.data.records import HandView
from argusvl.manipulation.measure.metrics import COMPARED, HandFigures, add_s, evaluate_hands
from argusvl.manipulation.measure.predictions import AS_IT_IS, HandPrediction, predict_crops
from argusvl.synthetic.hands.camera import project
from argusvl.training.parallel import Parallel
from argusvl.training.sandbox import evaluation_sandbox


@dataclass(frozen=True, slots=True, eq=False)
class HandEvaluation:
    """Predictions with their truth.

    Attributes:
        figures: Refined, beside the mean pose.
        coarse: Before refinement.
        views: What is true of each, in the crop.
        scalars: All figures by the names of :data:`~argusvl.manipulation.measure.metrics.FIGURES`.
    """

    figures: HandFigures
    coarse: HandFigures
    predictions: Sequence[HandPrediction]
    views: Sequence[HandView]
    scalars: Mapping[str, float]


_Row = tuple[int, HandPrediction, HandView]


def attention_of(model: nn.Module, crop: HandCrop) -> Floats:
    """Where in a crop the decoder's last layer looks for each joint, mean of its heads: ``[21, h, h]``, of stride 16.

    What goes to the places of stride 32 is spread over those below them; each map's sum is about 1.
    """
    device = next(model.parameters()).device
    camera = torch.from_numpy(crop.view.camera.astype(np.float32))[None]
    pixels = pixel_values([crop.pixels])
    with torch.inference_mode():
        output = model(pixel_values=pixels.to(device), cameras=camera.to(device), output_attentions=True)
    weights = output.attentions[-1][0, :, :NUM_JOINTS].detach().float().mean(0).cpu()
    side = round((weights.shape[1] / 1.25) ** 0.5)  # the coarser map has half of it, rounded somehow
    fine, coarse = weights[:, : side**2].unflatten(1, (side, side)), weights[:, side**2 :]
    coarse = coarse.unflatten(1, (round(coarse.shape[1] ** 0.5), -1))
    spread_out = nn.functional.interpolate(coarse[None], size=(side, side), mode="bilinear")[0]
    return (fine + spread_out * (coarse.shape[1] / side) ** 2).double().numpy()


def evaluate_dataset(
    model: nn.Module,
    dataset: HandDataset,
    mean_pose: Floats,
    *,
    batch_size: int,
    turns: Sequence[int] = AS_IT_IS,
    parallel: Parallel | None = None,
    workers: int = 0,
    progress: bool = False,
) -> HandEvaluation:
    """Measures a model in evaluation mode on held-out hands without random changes.

    ``mean_pose`` ``[21, 3]`` of the training crops is the baseline; ``turns`` are those of
    :func:`~argusvl.manipulation.measure.predictions.predict_crops`; ``workers`` are processes that read pictures.
    """
    parallel = parallel or Parallel()
    mine = list(parallel.share(len(dataset)))

    def predict() -> list[_Row]:
        own = Subset(dataset, mine)
        loader = DataLoader(own, batch_size=batch_size, num_workers=workers, collate_fn=list)
        rows: list[_Row] = []
        numbers = iter(mine)
        for crops in track(loader, len(loader), "Evaluating", enabled=progress):
            pixels, cameras = pixel_values([c.pixels for c in crops]), [c.view.camera for c in crops]
            found = predict_crops(model, pixels, cameras, turns)
            for crop, one in zip(crops, found, strict=True):
                rows.append((next(numbers), one, crop.view))
        return rows

    with evaluation_sandbox(model):
        parts = parallel.gather_results(predict)
    rows = sorted((row for part in parts for row in part), key=lambda row: row[0])
    return measure([row[1] for row in rows], [row[2] for row in rows], mean_pose)


def measure(
    predictions: Sequence[HandPrediction], views: Sequence[HandView], mean_pose: Floats
) -> HandEvaluation:
    """Figures of predictions beside the truth of the same crops, and beside the mean pose ``[21, 3]``."""
    truth, valid = np.stack([v.joints_m for v in views]), np.stack([v.joint_valid for v in views])
    marks, cameras = np.stack([v.joints_px for v in views]), np.stack([v.camera for v in views])
    refined = np.stack([p.joints_m for p in predictions])
    figures = evaluate_hands(refined, truth, valid, mean_pose)
    coarse = evaluate_hands(np.stack([p.coarse_m for p in predictions]), truth, valid, mean_pose)
    scalars = {name: one.value for name, one in figures.figures.items()}
    scalars |= {f"{name}_coarse": coarse.figures[name].value for name in COMPARED}
    scalars |= {f"mean_pose_{name}": figures.figures[name].mean_pose for name in COMPARED}
    off = np.linalg.norm(project(refined, cameras) - marks, axis=-1)[valid]
    scalars["mpjpe_2d"] = float(np.nanmean(off))
    scalars[SPREAD] = spread(refined, truth, valid)
    scalars |= _of_objects(predictions, views)
    return HandEvaluation(figures, coarse, predictions, views, scalars)


def _of_objects(predictions: Sequence[HandPrediction], views: Sequence[HandView]) -> dict[str, float]:
    """Of the pairs whose object or contact is known; nothing where none is."""
    found: dict[str, float] = {}
    pairs = list(zip(predictions, views, strict=True))
    errors = [
        add_s(p.object_pose_m, held.camera_from_object, held.shape.surface(500, np.random.default_rng(0))[0])
        for p, held in ((p, view.held) for p, view in pairs)
        if held is not None and held.shape is not None
    ]
    if errors:
        found["object_add_s"] = float(np.mean(errors))
    if touched := [(p.contact > 0.5, view.contact) for p, view in pairs if view.contact is not None]:
        said, true = (np.stack([pair[k] for pair in touched]).astype(bool) for k in (0, 1))
        both = said.sum() + true.sum()
        found["contact_f1"] = float(2 * (said & true).sum() / both) if both else 1.0
    return found


def spread(predicted: Floats, truth: Floats, valid: Bools) -> float:
    """How much predictions ``[N, 21, 3]`` differ from picture to picture, over how much the truth does; 0: constant."""
    whole = valid.all(1)
    if whole.sum() < 2:
        return float("nan")
    ours, theirs = ((a[whole] - a[whole][:, :1]).std(0).mean() for a in (predicted, truth))
    return float(ours / theirs) if theirs > 0 else float("nan")
