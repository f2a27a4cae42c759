"""Keys of a detection run that contradict each other: the error names the key to change."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from argusvl.config.loading import load_config
from argusvl.core.errors import ConfigError
from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.measure.evaluation import Figures


@pytest.fixture
def path(tmp_path: Path, complete_config: str) -> Path:
    file = tmp_path / "run.yaml"
    file.write_text(complete_config, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("model_path=weights", "model_path: is given together with architecture"),
        ("architecture=null", "model.model_path: neither a folder of weights nor an architecture"),
        (
            "architecture=null model_path=weights tokenizer_path=words",
            "model.tokenizer_path: is given together with model_path, which has a tokenizer of its own",
        ),
        ("transfer_vocab_size=320", "without model_path: there is no vocabulary to transfer from"),
        (
            'vision_lr=0 merger_lr=0 peft_method=lora peft_parts=[llm] base_dtype=float32 peft_options={"r":4,'
            '"lora_alpha":8,"lora_dropout":0.0}',
            "model.peft: is given without model_path",
        ),
        ("min_pixels=300000", "data.min_pixels: 300000 is more than max_pixels, 200704"),
        ("scale_min=1.5", "data.augmentation.scale_min: 1.5 is more than scale_max, 1.0"),
        ("hidden_size=66", "architecture.hidden_size: 66 is not divisible by 2 times num_attention_heads, 4"),
        ("num_key_value_heads=3", "num_key_value_heads: 4 attention heads cannot share 3 evenly"),
        ("vision_hidden_size=36", "36 is not divisible by 4 times vision_num_heads, 2; write 32"),
        (
            "vision_window_size=100",
            "model.architecture.vision_window_size: 100 is no multiple of 28; write 112",
        ),
        ("vision_fullatt_block_indexes=[0,2]", "block_indexes: [2] is beyond the last of 2 layers"),
        ("detection_hidden_size=66", "detection_hidden_size: 66 is not divisible by detection_num_heads, 4"),
        ("detection_num_queries=3", "detection_positives_per_object: 4 is more than the 3 queries"),
        (
            "detection_assignment=several_to_one detection_nms_iou=null",
            "detection_nms_iou: is null while detection_assignment is several_to_one",
        ),
        (
            "detection_queries=learned detection_second_eye=efficientnet-lite0",
            "detection_second_eye: efficientnet-lite0 reads boxes, and learned queries begin without",
        ),
        ("vision_tokens_warn=600", "data.vision_tokens_warn: 600 is more than vision_tokens_max, 500"),
        ("model_max_length=400", "400 tokens cannot hold an image of vision_tokens_max, 500"),
        ("teacher_ratio=0.5 num_teachers=0", "data.num_teachers: is 0 while teacher_ratio is 0.5"),
        ("labels=[a,b,a]", "data.labels: holds ['a'] more than once"),
        ("labels=[]", "data.labels: is an empty list"),
        ("max_steps=0", "training.max_steps: is 0; write -1"),
        (
            "vision_lr=0 merger_lr=0 llm_lr=0 detection_lr=0 adapter_lr=0",
            "training.detection_lr: is 0 like all other rates: nothing would train",
        ),
        (
            "collator_type=packed attn_implementation=eager",
            "attn_implementation: eager attention does not know where the samples of a packed row begin",
        ),
        ("packed_max_tokens=4096", "data.packed_max_tokens: is given while nothing is packed"),
        (
            "collator_type=packed packed_max_tokens=600 model_max_length=1000",
            "packed_max_tokens: 600 tokens do not hold a sample of model_max_length, 1000",
        ),
        ("gradient_checkpointing_parts=[head]", "parts: is given while gradient_checkpointing is false"),
        ('phases=[{"until":0.5},{"until":0.25}]', "training.phases: they end at [0.5, 0.25]"),
        ("attn_implementation=flash_attention_2", "flash_attention_2 does not run on device cpu"),
    ],
)
def test_a_contradiction_names_the_key(path: Path, overrides: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(path, DetectionRunConfig, overrides.split())
    assert said in str(raised.value)


def test_images_that_would_be_refused_are_warned_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load_config(path, DetectionRunConfig, ["max_pixels=784000", "vision_tokens_policy=refuse"])
    assert "data.max_pixels: 784000 allows images of 1000 merged tokens" in caplog.text


def test_every_metric_that_may_choose_a_checkpoint_is_a_figure_of_an_evaluation() -> None:
    metrics = DetectionRunConfig.model_fields["training"].annotation.model_fields["metric_for_best_model"]
    figures = set(Figures.__dataclass_fields__)
    assert set(metrics.annotation.__args__) <= figures
