"""A look into a trained detector: one held-out batch, its loss, and where the head's queries look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from argusvl.core.devices import usable_device
from argusvl.core.errors import ConfigError
from argusvl.core.images import open_image
from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.data.sampling.dataset import DetectionDataset
from argusvl.detection.model.decoder import GlobalAttention, LocalSampling
from argusvl.detection.model.modeling import ArgusForDetection, DetectionOutput
from argusvl.detection.task import DetectionTask
from argusvl.task_parts import AttentionMap, Probed
from argusvl.training.losses import LossAggregation

_RECORDS = 4
_QUERIES = 10  # of an image: those of the highest objectness


def probe(checkpoint: Path, config: DetectionRunConfig, *, device: str) -> Probed:
    """The checkpoint with the first held-out records of its run.

    Raises:
        ConfigError: The run has no held-out records.
        CheckpointError: The checkpoint cannot be loaded.
        DataError: A record or one of its images cannot be used.
    """
    task = DetectionTask(config)
    task.load_assets(checkpoint)
    records = task.val_records
    if records is None:
        raise ConfigError(
            "the run has no held-out records to look at", where="data.val", remedy="report without --probe"
        )
    # In float32 whatever the run computes in: a landscape is made of small differences.
    model = ArgusForDetection.from_pretrained(checkpoint, dtype=torch.float32)
    model.to(usable_device(device))  # type: ignore[arg-type]  # transformers wraps `to` with a signature of its own
    model.eval()
    model.loss_settings = task.loss_settings()
    questions = DetectionDataset(
        records, task.processor, limits=task.limits, teachers=None, augmentation=None, seed=0
    )
    count = min(_RECORDS, len(questions))
    batch = task.collate([questions[i] for i in range(count)])
    losses = LossAggregation(task.loss_terms())
    counts = losses.counts_of([batch])
    inputs = batch.to(model.device).inputs

    @torch.no_grad()
    def forward() -> DetectionOutput:
        output: DetectionOutput = model(**inputs)
        return output

    def loss() -> float:
        return float(losses.combine(forward().loss_terms or {}, counts, 1.0)[0])

    def attention() -> list[AttentionMap]:
        names = [name for i in range(count) for name in records[i].student.images]
        return [
            AttentionMap(open_image(records.resolve(name), exif="refuse"), heads, Path(name).name)
            for name, heads in zip(names, raster_attention(model, forward), strict=False)
        ]

    return Probed(model, forward, loss, attention, f"the first {count} records of {records.path}")


def raster_attention(model: ArgusForDetection, forward: Callable[[], DetectionOutput]) -> list[Any]:
    """Where the last decoder layer's queries look in each image: ``[heads, rows, columns]``, each head's sum 1.

    Of an image the queries of the highest objectness count, each the same. Without a head there is nothing.
    """
    if model.detection_head is None:
        return []
    queries: Any = model.detection_head.queries
    with _attention_of(queries.layers[-1].vision) as seen:
        output = forward()
    if not seen or output.objectness_logits is None:
        return []
    mask = output.memory.raster_mask  # [M, H, W]
    weights = seen[-1].unflatten(-1, mask.shape[1:])  # [M, heads, Q, H, W]
    best = output.objectness_logits.topk(min(_QUERIES, weights.shape[2]), dim=1).indices  # [M, K]
    maps = []
    for image, chosen in enumerate(best):
        height, width = int(mask[image, :, 0].sum()), int(mask[image, 0].sum())
        heads = weights[image][:, chosen, :height, :width].sum(1)
        maps.append((heads / heads.sum((1, 2), keepdim=True).clamp_min(1e-12)).float().cpu().numpy())
    return maps


@contextmanager
def _attention_of(vision: nn.Module) -> Iterator[list[Tensor]]:
    """In the body, the attention of each pass over the raster's cells: ``[M, heads, Q, cells]``."""
    seen: list[Tensor] = []

    def sampled(module: Any, _: Any, kwargs: dict[str, Any], output: Any) -> None:
        seen.append(_sampled_cells(module, kwargs, output[1]))

    def ask(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, kwargs | {"need_weights": True, "average_attn_weights": False}

    def attended(_: nn.Module, __: Any, output: Any) -> None:
        seen.append(output[1])

    handles: list[Any] = []
    if isinstance(vision, LocalSampling):
        handles.append(vision.attention.register_forward_hook(sampled, with_kwargs=True))
    elif isinstance(vision, GlobalAttention):
        handles.append(vision.attention.register_forward_pre_hook(ask, with_kwargs=True))
        handles.append(vision.attention.register_forward_hook(attended))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _sampled_cells(module: Any, kwargs: dict[str, Any], weights: Tensor) -> Tensor:
    """Deformable attention samples between cells: its points' weights, spread over the four cells around each.

    ``module`` is an ``RTDetrMultiscaleDeformableAttention`` with one level, ``kwargs`` what it was called with;
    ``weights`` ``[M, Q, heads, 1, points]`` become ``[M, heads, Q, cells]``.
    """
    ((height, width),) = kwargs["spatial_shapes_list"]
    states = kwargs["hidden_states"] + kwargs["position_embeddings"]
    boxes = kwargs["reference_points"][:, :, None, :, None]  # [M, Q, 1, 1, 1, 4]
    offsets = module.sampling_offsets(states).unflatten(-1, (module.n_heads, 1, module.n_points, 2))
    places = boxes[..., :2] + offsets / module.n_points * boxes[..., 2:] * 0.5  # [M, Q, heads, 1, P, 2]
    places = places * places.new_tensor([width, height]) - 0.5
    corner, part = places.floor(), places - places.floor()
    cells = weights.new_zeros(*weights.shape[:3], height * width).float()
    for right in (0, 1):
        for below in (0, 1):
            x, y = corner[..., 0] + right, corner[..., 1] + below
            across = part[..., 0] if right else 1 - part[..., 0]
            share = across * (part[..., 1] if below else 1 - part[..., 1])
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            index = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).long()
            amount = (weights * share * inside).float()
            cells.scatter_add_(-1, index.flatten(3), amount.flatten(3))
    return cells.transpose(1, 2)
