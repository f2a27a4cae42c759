"""How much of a GPU training uses: model FLOPs utilisation (Chowdhery et al., 2022) of the 3B model's shape.

    python benchmarks/gpu_utilisation.py --peak 989e12          # the GPU's dense bfloat16 FLOP/s: H100 SXM 989e12
    python benchmarks/gpu_utilisation.py --peak 989e12 --stock  # both passes beside the stock model
    python benchmarks/gpu_utilisation.py --shape tiny --device cpu --peak 1e11 --stock     # whether the script works

Weights are random, of the published sizes, in bfloat16 with fused AdamW. Useful are 6 FLOPs for each weight and token,
and 12 for each layer, feature and pair of tokens, of the language model and of the vision tower (whose windows are
counted as windows); what checkpointing computes again, and the head, are not counted. Writes
``benchmarks/results/<date>-gpu-utilisation.json``, which grows with each run, unless the shape is tiny.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import inspect
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2_5_VLForConditionalGeneration

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


def look(model: ArgusForDetection, batch: dict[str, Any]) -> None:
    """A forward and a backward pass."""
    with torch.autocast(model.device.type, dtype=torch.bfloat16):
        terms = model(**batch).loss_terms
        assert terms is not None
        torch.stack([term.float() for term in terms.values()]).sum().backward()


def timed(work: Callable[[], Any], device: torch.device) -> tuple[float, float | None]:
    """Seconds of one call once warm, and the most that the GPU's allocator gave out, GiB."""
    on_gpu = device.type == "cuda"
    for _ in range(WARM_UP):
        work()
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    for _ in range(STEPS):
        work()
    if on_gpu:
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - begun) / STEPS
    return seconds, round(torch.cuda.max_memory_allocated() / 2**30, 2) if on_gpu else None


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
    parser.add_argument("--stock", action="store_true", help="time the stock model on the same tokens, too")
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
        look(model, batch)
        optimizer.step()
        optimizer.zero_grad()

    seconds, highest = timed(train, device)
    passes = timed(lambda: look(model, batch), device)[0] if options.stock else None
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
        "peak_gib": highest,
    }
    if passes is not None:
        del model, optimizer
        gc.collect()  # a model holds itself by its hooks
        qwen = config.qwen_config
        with device:
            stock = Qwen2_5_VLForConditionalGeneration(qwen).to(torch.bfloat16).train()
        names = inspect.signature(stock.forward).parameters
        padded = replace(shape, packed=False).batch(config)
        batch = {k: v.to(device) for k, v in padded.items() if k in names and isinstance(v, torch.Tensor)}
        batch.pop("position_ids")  # it counts them itself
        stock_passes, _ = timed(lambda: stock(**batch).loss.backward(), device)
        result["seconds_of_passes"] = {"ours": round(passes, 4), "stock": round(stock_passes, 4)}
    print(json.dumps(result, indent=1))
    if options.shape != "tiny":
        out = Path(__file__).parent / "results" / f"{datetime.date.today()}-gpu-utilisation.json"
        before = json.loads(out.read_text("utf-8"))["runs"] if out.is_file() else []
        written = {"date": datetime.date.today().isoformat(), "machine": f"{os.cpu_count()} cores"}
        out.write_text(json.dumps(written | {"runs": [*before, result]}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
