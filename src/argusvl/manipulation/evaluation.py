"""Predictions for crops, and what they are worth."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from argusvl.core.camera import project
from argusvl.manipulation.alignment import Bools, Floats
from argusvl.manipulation.data.dataset import HandCrop, HandDataset, pixel_values
from argusvl.manipulation.metrics import HandFigures, evaluate_hands
from argusvl.training.parallel import Parallel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class HandPrediction:
    """What a model says of one crop, in the crop's camera frame.

    Attributes:
        joints_m: ``[21, 3]``, refined.
        coarse_m: ``[21, 3]``, before refinement.
        confidence: ``[21]`` from 0 to 1.
        sampling_px: ``[steps, 21, 2]``: where each step of refinement looked, crop pixels.
        contact: ``[21]`` probability that a joint touches the object.
        object_kind: Index of the likeliest object; -1 where the model knows none.
        object_pose_m: ``[3, 4]``, camera's frame of the crop.
    """

    joints_m: Floats
    coarse_m: Floats
    confidence: Floats
    sampling_px: Floats
    contact: Floats
    object_kind: int
    object_pose_m: Floats


@dataclass(frozen=True, slots=True, eq=False)
class HandEvaluation:
    """Predictions with their truth.

    Attributes:
        figures: Refined, beside the mean pose.
        coarse: Before refinement.
        predictions: One for each hand.
        scalars: All figures by the names of :data:`~argusvl.manipulation.figures.FIGURES`.
    """

    figures: HandFigures
    coarse: HandFigures
    predictions: Sequence[HandPrediction]
    scalars: Mapping[str, float]


def predict_crops(model: nn.Module, crops: Sequence[HandCrop], device: torch.device) -> list[HandPrediction]:
    """One forward pass."""
    cameras = torch.from_numpy(np.stack([c.view.camera for c in crops]).astype(np.float32))
    with torch.inference_mode():
        output = model(
            pixel_values=pixel_values([c.pixels for c in crops]).to(device), cameras=cameras.to(device)
        )
    return predictions_of(output)


def predictions_of(output: Any) -> list[HandPrediction]:
    """A model's output, hand by hand."""

    def array(tensor: torch.Tensor) -> Floats:
        return tensor.detach().double().cpu().numpy()

    hand = output.hand
    refined, coarse = array(hand["joints_3d_refined"]), array(hand["joints_3d"])
    confidence, contact = array(hand["confidence"]), array(output.contact.sigmoid())
    sampling = array(output.sampling_px).swapaxes(0, 1)
    held = output.object
    kinds = [-1] * len(refined) if held is None else held["kind_logits"].argmax(-1).tolist()
    poses = np.tile(np.eye(3, 4), (len(refined), 1, 1))
    if held is not None:
        poses = np.concatenate([array(held["rotation"]), array(held["position"])[..., None]], axis=-1)
    return [
        HandPrediction(*one)
        for one in zip(refined, coarse, confidence, sampling, contact, kinds, poses, strict=True)
    ]


def evaluate_dataset(
    model: nn.Module,
    dataset: HandDataset,
    mean_pose: Floats,
    *,
    batch_size: int,
    parallel: Parallel | None = None,
    workers: int = 0,
    progress: bool = False,
) -> HandEvaluation:
    """Measures a model on held-out hands.

    Args:
        model: In evaluation mode.
        dataset: Without random changes.
        mean_pose: ``[21, 3]``: of the training crops, the baseline.
        batch_size: Hands in a forward pass.
        parallel: The ranks that share the work.
        workers: Processes that read pictures.
        progress: Whether to show a bar.
    """
    device = next(model.parameters()).device
    mine = range(len(dataset)) if parallel is None else parallel.share(len(dataset))
    loader = DataLoader(
        torch.utils.data.Subset(dataset, list(mine)),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=list,
    )
    rows: list[tuple[HandPrediction, Floats, Bools, Floats, Floats]] = []
    for crops in tqdm(loader, disable=not progress, desc="evaluating"):
        for crop, found in zip(crops, predict_crops(model, crops, device), strict=True):
            view = crop.view
            rows.append((found, view.joints_m, view.joint_valid, view.joints_px, view.camera))
    if parallel is not None:
        rows = parallel.gather_results(rows)
    return measure(rows, mean_pose)


def measure(
    rows: Sequence[tuple[HandPrediction, Floats, Bools, Floats, Floats]], mean_pose: Floats
) -> HandEvaluation:
    """Figures of predictions: each with joints, their validity, marks in the crop and K."""
    predictions = [row[0] for row in rows]
    truth, valid, marks, cameras = (np.stack([row[k] for row in rows]) for k in (1, 2, 3, 4))
    refined = np.stack([p.joints_m for p in predictions])
    figures = evaluate_hands(refined, truth, valid, mean_pose)
    coarse = evaluate_hands(np.stack([p.coarse_m for p in predictions]), truth, valid, mean_pose)
    scalars = {name: one.value for name, one in figures.figures.items()}
    scalars |= {f"{name}_coarse": coarse.figures[name].value for name in ("mpjpe_root", "mpjpe_pa")}
    scalars |= {f"mean_pose_{n}": figures.figures[n].mean_pose for n in ("mpjpe_root", "mpjpe_pa")}
    off = np.linalg.norm(project(refined, cameras) - marks, axis=-1)[valid]
    scalars["mpjpe_2d"] = float(np.nanmean(off))
    scalars["spread"] = spread(refined, truth, valid)
    return HandEvaluation(figures, coarse, predictions, scalars)


def spread(predicted: Floats, truth: Floats, valid: Bools) -> float:
    """How much predictions differ from picture to picture, relative to how much the truth does; 0 is a constant.

    Args:
        predicted: ``[N, 21, 3]``.
        truth: ``[N, 21, 3]``.
        valid: ``[N, 21]``.
    """
    whole = valid.all(1)
    if whole.sum() < 2:
        return float("nan")
    ours, theirs = ((a[whole] - a[whole][:, :1]).std(0).mean() for a in (predicted, truth))
    return float(ours / theirs) if theirs > 0 else float("nan")
