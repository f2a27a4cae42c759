"""A small Florence-2 with random weights and a tokenizer of bytes, in hub layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    RobertaTokenizer,
)

from argusvl.recognition.florence.model import Florence2

SIDE_PX = 64
STRUCTURE = ["<od>", "</od>", "<cap>", "</cap>", "<poly>", "</poly>", "<sep>"]


def tiny_tokenizer() -> Any:
    """Bytes, and the tokens of Florence-2 after them."""
    words = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "<mask>"]
    tokenizer = RobertaTokenizer(
        vocab={word: index for index, word in enumerate(words)},
        merges=[],
        extra_special_tokens={"image_token": "<image>"},
    )
    added = [*STRUCTURE, *(f"<loc_{number}>" for number in range(1000))]
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in added], True)
    return tokenizer


def tiny_processor(tokenizer: Any, image_seq_length: int = 5) -> Florence2Processor:
    size = {"height": SIDE_PX, "width": SIDE_PX}
    images = CLIPImageProcessorPil(
        size=size,
        crop_size=size,
        do_center_crop=False,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    images.image_seq_length = image_seq_length
    kinds = ["pure_text", "description_with_bboxes", "description_with_bboxes_or_polygons"]
    return Florence2Processor(images, tokenizer, post_processor_config={kind: {} for kind in kinds})


def tiny_model(tokenizer: Any) -> Florence2ForConditionalGeneration:
    torch.manual_seed(0)
    vision = {"embed_dim": [8, 16, 16, 16], "num_heads": [1, 2, 2, 2], "num_groups": [1, 2, 2, 2]}
    vision |= {"depths": [1, 1, 1, 1], "window_size": 2, "projection_dim": 16}
    text = {
        "model_type": "bart",
        "vocab_size": len(tokenizer) + 3,  # released models are padded as well
        "d_model": 16,
        "max_position_embeddings": 160,
    }
    sides = {"layers": 1, "attention_heads": 2, "ffn_dim": 32}
    text |= {f"{side}_{key}": value for side in ("encoder", "decoder") for key, value in sides.items()}
    text |= {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    text |= {"forced_bos_token_id": 0, "forced_eos_token_id": 2}
    config = Florence2Config(vision_config=vision, text_config=text, image_token_id=tokenizer.image_token_id)
    return Florence2ForConditionalGeneration(config)


@pytest.fixture(scope="session")
def florence_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything in one folder, as the hub gives it."""
    folder = tmp_path_factory.mktemp("hub") / "Florence-2-tiny"
    tokenizer = tiny_tokenizer()
    tiny_model(tokenizer).save_pretrained(folder)
    tiny_processor(tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_florence(florence_folder: Path) -> Florence2:
    return Florence2(florence_folder, max_new_tokens=6)


@pytest.fixture(scope="session")
def library_processor() -> Florence2Processor:
    """With the library's own post-processing."""
    return tiny_processor(tiny_tokenizer())
