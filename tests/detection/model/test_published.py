"""The published models' shapes, on the meta device: parameters, groups, memory of the optimizer, official key names."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from argusvl.detection.model.architecture import PUBLISHED, rope_parameters
from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.loading import load_qwen_config
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.detection.task import GROUP_PATTERNS, parameter_groups
from argusvl.training.parameter_groups import assign_parameters, describe_groups

PARAMETERS = {"3B": 3_754_622_976, "7B": 8_292_166_656, "32B": 33_452_718_336, "72B": 73_410_777_344}
"""As the published weights' headers say."""


@functools.cache
def on_meta(name: str) -> ArgusForDetection:
    with torch.device("meta"):
        return ArgusForDetection(ArgusDetectionConfig(PUBLISHED[name].config()))


@pytest.mark.parametrize("name", ["32B", "72B"])
def test_the_stock_part_has_as_many_parameters_as_published(name: str) -> None:
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(PUBLISHED[name].config())
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize(
    ("head_size", "section"), [(128, [16, 24, 24]), (32, [4, 6, 6]), (16, [2, 3, 3]), (8, [2, 1, 1])]
)
def test_positions_share_a_heads_dimensions_as_in_the_published_models(
    head_size: int, section: list[int]
) -> None:
    assert rope_parameters(head_size)["mrope_section"] == section


@pytest.mark.parametrize("name", ["3B", "7B"])
def test_every_parameter_is_in_exactly_one_of_the_five_groups(name: str) -> None:
    model = on_meta(name)
    groups = assign_parameters(
        model, parameter_groups(dict.fromkeys(GROUP_PATTERNS, 1e-5), detection_enabled=True)
    )
    assert {g.name for g in groups} == set(GROUP_PATTERNS)
    placed = [id(p) for g in groups for p in g.parameters.values()]
    assert len(placed) == len(set(placed)) == len(list(model.parameters()))
    rows = {r.group: r for r in describe_groups(model, [g.spec for g in groups])}
    stock = sum(rows[g].parameters for g in ("vision", "merger", "llm"))
    assert stock == PARAMETERS[name]
    assert rows["llm"].parameters / stock > 0.8 and rows["merger"].parameters < rows["vision"].parameters
    # AdamW keeps two moments in float32: 30 GB for 3B, 66 GB for 7B.
    trained = sum(row.trainable for row in rows.values())
    assert 8 * trained / 1e9 == pytest.approx({"3B": 30.2, "7B": 66.5}[name], abs=0.3)


@pytest.mark.parametrize(("name", "tensors"), [("3B", 824), ("7B", 729)])
def test_names_are_those_of_the_published_index(name: str, tensors: int) -> None:
    stock = on_meta(name).qwen
    names = {official(key) for key, _ in stock.named_parameters()}
    assert len(names) == tensors
    assert {key.split(".")[0] for key in names} == {"visual", "model"} | (
        {"lm_head"} if name == "7B" else set()
    )
    assert {"visual.merger.mlp.0.weight", "visual.patch_embed.proj.weight", "model.norm.weight"} <= names
    assert "model.layers.27.self_attn.q_proj.bias" in names


def official(key: str) -> str:
    """A name of transformers 5 as the published checkpoints store it."""
    key = re.sub(r"^model\.visual\.", "visual.", key)
    return re.sub(r"^model\.language_model\.", "model.", key)


def test_a_folder_that_is_not_there_yet_is_known_by_its_name(tmp_path: Path) -> None:
    config: Any = load_qwen_config(tmp_path / "Qwen2.5-VL-7B-Instruct")
    assert config.text_config.hidden_size == 3584
