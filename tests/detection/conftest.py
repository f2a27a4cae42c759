"""A checkpoint of random weights, small enough to be made anew for each test process, and pictures to show it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from argusvl.detection.data.descriptions import scenes_of
from argusvl.detection.data.prompts import PROMPTS
from argusvl.detection.data.records import ObjectAnnotation, Record, Scene, write_records
from argusvl.detection.data.sampling.tokenizer import tokenizer_texts, train_tokenizer
from argusvl.detection.model.architecture import qwen_config, random_qwen
from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.detection.predict.checkpoint import DetectionAssets, save_teacher_pool

LABELS = ("挡风板", "标签贴纸", "bbu基带处理单元")
DESCRIPTIONS = ("挡风板/已安装", "标签贴纸", "bbu基带处理单元/华为", "bbu基带处理单元/中兴")
MIN_PIXELS, MAX_PIXELS = 28 * 28 * 4, 28 * 28 * 16


def draw_scene(path: Path, size: tuple[int, int], seed: int) -> Scene:
    """A picture of two rectangles, and what it shows."""
    width, height = size
    image = Image.new("RGB", size, (40 + 9 * seed % 100, 60, 70))
    pen = ImageDraw.Draw(image)
    boxes = [(5.0, 5.0, width / 2, height / 3), (width / 3, height / 2, width - 5.0, height - 5.0)]
    objects = []
    for k, box in enumerate(boxes):
        pen.rectangle(box, fill=(200, 30 * k, 20 * seed % 255))
        objects.append(ObjectAnnotation(bbox_2d=box, desc=DESCRIPTIONS[(seed + k) % len(DESCRIPTIONS)]))
    image.save(path)
    return Scene(images=(path.name,), objects=tuple(objects))


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A records file of five pictures in different sizes; the fourth record shows two pictures."""
    folder = tmp_path_factory.mktemp("scenes")
    sizes = [(160, 120), (120, 160), (200, 90), (112, 112), (140, 100), (100, 140)]
    drawn = [draw_scene(folder / f"{k}.png", size, k) for k, size in enumerate(sizes)]
    second = [ObjectAnnotation(o.bbox_2d, o.desc, image=1) for o in drawn[4].objects]
    double = Scene(images=("3.png", "4.png"), objects=(*drawn[3].objects, *second))
    records = [Record(student=scene) for scene in (*drawn[:3], double, drawn[5])]
    write_records(folder / "val.jsonl", records)
    return folder / "val.jsonl"


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder as training writes it, with random weights and a pool of three teachers."""
    folder = tmp_path_factory.mktemp("checkpoint")
    pool_root = tmp_path_factory.mktemp("pool")
    pool = [draw_scene(pool_root / f"teacher{k}.png", (150, 110), 10 + k) for k in range(3)]
    prompts = [text for p in PROMPTS.values() for text in (p.system, p.find, p.several)]
    texts = tokenizer_texts(
        scenes_of(Record(student=s) for s in pool), prompts, max_side=256, seed=0, numbers=40
    )
    tokenizer = train_tokenizer(texts, 500)
    config = qwen_config(
        tokenizer,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=96,
        vision_hidden_size=32,
        vision_depth=2,
        vision_num_heads=2,
        vision_intermediate_size=64,
        vision_window_size=56,
        vision_fullatt_block_indexes=[1],
        max_position_embeddings=2048,
    )
    torch.manual_seed(0)
    head = ArgusDetectionConfig(
        qwen_config=config,
        num_queries=12,
        hidden_size=32,
        num_heads=4,
        ffn_size=64,
        decoder_num_layers=2,
        caption_decoder_num_layers=1,
        caption_max_tokens=6,
    )
    model = ArgusForDetection(head, random_qwen(config, "sdpa"))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder / "qwen")
    DetectionAssets(
        labels=LABELS,
        vocabulary="open",
        prompt_language="zh",
        model_max_length=1024,
        over_length_policy="refuse",
        min_pixels=MIN_PIXELS,
        max_pixels=MAX_PIXELS,
        vision_tokens_warn=100,
        vision_tokens_max=200,
        vision_tokens_policy="refuse",
    ).save(folder)
    save_teacher_pool(folder, pool, pool_root)
    return folder


@pytest.fixture(scope="session")
def small_model() -> tuple[str, ...]:
    """Overrides of the complete configuration that make its model tiny; its vocabulary is closed."""
    model = "hidden_size=32 num_attention_heads=2 num_key_value_heads=1 intermediate_size=48 vocab_size=400"
    head = "hidden_size=32 num_heads=2 ffn_size=48 caption_decoder_num_layers=1 caption_max_tokens=40"
    pixels = "vision_intermediate_size=48 max_pixels=12544 vision_tokens_max=16 vision_tokens_warn=16"
    return (
        *model.split(),
        *(f"detection_{word}" for word in f"{head} num_queries=8".split()),
        *pixels.split(),
    )
