from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from argusvl.detection.commands.probing import raster_attention
from argusvl.detection.data.records import RecordFile
from argusvl.detection.data.sampling.collation import Collator
from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.detection.predict import Predictor
from argusvl.detection.predict.inference import RecordQuestions


@pytest.mark.parametrize("queries", ["proposals", "learned"])
def test_attention_lies_on_each_pictures_cells(tiny_checkpoint: Path, scenes: Path, queries: str) -> None:
    predictor = Predictor.from_pretrained(tiny_checkpoint, device="cpu")
    model = predictor.model
    if queries == "learned":
        config = ArgusDetectionConfig(**{**model.config.to_dict(), "queries": "learned"})
        torch.manual_seed(0)
        model = ArgusForDetection(config, model.qwen).eval()
    records = RecordQuestions(RecordFile(scenes), predictor.processor, predictor.assets.limits)
    questions = [records[i] for i in (0, 1)]
    collate = Collator(
        predictor.processor,
        labels=predictor.assets.labels,
        vocabulary="open",
        caption_max_tokens=6,
        for_inference=True,
    )
    batch = collate([sample for sample, _ in questions]).inputs
    with torch.no_grad():
        plain = model(**batch)
        maps = raster_attention(model, lambda: model(**batch))
        again = model(**batch)
    grids = [(p.resized_height // 14, p.resized_width // 14) for _, m in questions for p in m.plans]
    assert [one.shape for one in maps] == [(4, *grid) for grid in grids]
    assert all(np.allclose(one.sum((1, 2)), 1, atol=1e-5) and (one >= 0).all() for one in maps)
    assert torch.equal(plain.boxes_raw, again.boxes_raw)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.detection_head.modules())
