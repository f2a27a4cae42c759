"""How much of a GPU training uses: model FLOPs utilisation (Chowdhery et al., 2022) of the 3B model's shape.

    python benchmarks/gpu_utilisation.py --peak 989e12          # the GPU's dense bfloat16 FLOP/s: H100 SXM 989e12
    python benchmarks/gpu_utilisation.py --shape tiny --device cpu --peak 1e11     # whether the script works

Weights are random, of the published sizes, in bfloat16 with fused AdamW. Useful are 6 FLOPs for each weight and token,
and 12 for each layer, feature and pair of tokens, of the language model and of the vision tower (whose windows are
counted as windows); what checkpointing computes again, and the head, are not counted. Writes
``benchmarks/results/<date>-gpu-utilisation.json``, unless the shape is tiny.
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from pathlib import Path

import torch

from argusvl.assets import model_folder
from argusvl.core.devices import usable_device
from argusvl.detection.measure.footprint import BatchShape
from argusvl.detection.model.architecture import PUBLISHED
from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.loading import load_config
from argusvl.detection.model.losses import SHIPPED
from argusvl.detection.model.modeling import ArgusForDetection

WARM_UP, STEPS = 3, 10
HEAD = {"hidden_size": 512, "num_heads": 8, "ffn_size": 2048, "decoder_num_layers": 3}


def useful_flops(model: ArgusForDetection, shape: BatchShape) -> float:
    """Of one forward and backward pass of the stock model."""
    qwen, text, vision = model.qwen.model, model.config.text_sizes, model.config.vision_sizes
    _, rows, columns = shape.grid
    patches = rows * columns
    words = shape.tokens
    layers = sum(p.numel() for p in qwen.language_model.layers.parameters())
    logits = text.vocab_size * text.hidden_size
    language = 6 * words * (layers + logits) + 12 * text.num_hidden_layers * text.hidden_size * words**2
    whole = len(vision.fullatt_block_indexes)
    window = (vision.window_size // vision.patch_size) ** 2
    pairs = patches * (whole * patches + (vision.depth - whole) * window)
    tower = (
        6 * patches * sum(p.numel() for p in qwen.visual.blocks.parameters())
        + 12 * vision.hidden_size * pairs
    )
    return float(shape.samples * (language + shape.images * tower))


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=(*PUBLISHED, "tiny"), default="3B")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--peak", type=float, required=True, help="dense bfloat16 FLOP/s of the device")
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--checkpointing", action="store_true")
    options = parser.parse_args()
    device = usable_device(options.device)

    shape = BatchShape(samples=options.samples, tokens=options.tokens, packed=True)
    if options.shape == "tiny":
        config = load_config(model_folder("argus-tiny"))
        shape = BatchShape(samples=1, tokens=256, images=1, image_tokens=64, objects=4, packed=True)
    else:
        config = ArgusDetectionConfig(PUBLISHED[options.shape].config(), **HEAD)
    torch.manual_seed(0)
    with device:
        model = ArgusForDetection(config).to(torch.bfloat16)
    model.loss_settings = SHIPPED
    model.train()
    if options.checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    batch = {
        key: value.to(device) if isinstance(value, torch.Tensor) else value
        for key, value in shape.batch(model.config).items()
    }

    def train() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            terms = model(**batch).loss_terms
            assert terms is not None
            torch.stack([term.float() for term in terms.values()]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(WARM_UP):
        train()
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    for _ in range(STEPS):
        train()
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - begun) / STEPS
    result = {
        "shape": options.shape,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "samples": shape.samples,
        "tokens": shape.tokens,
        "checkpointing": options.checkpointing,
        "seconds_per_step": round(seconds, 4),
        "tokens_per_second": round(shape.samples * shape.tokens / seconds, 1),
        "peak_flops": options.peak,
        "utilisation": round(useful_flops(model, shape) / seconds / options.peak, 4),
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if device.type == "cuda" else None,
    }
    print(json.dumps(result, indent=1))
    if options.shape != "tiny":
        out = Path(__file__).parent / "results" / f"{datetime.date.today()}-gpu-utilisation.json"
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
