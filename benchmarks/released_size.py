"""A model of the published 3B shape, with random weights, trained for two steps by LoRA: does it fit, and into what?

    python benchmarks/released_size.py                                  # on the CPU
    python benchmarks/released_size.py --device cuda --size 7B --steps 20

In bfloat16 with gradient checkpointing: the highest memory of the training (resident, or that the GPU's allocator gave
out) beside what `argus inspect memory` predicts for the same configuration; then head and adapter are saved and merged
into a plain Qwen2.5-VL, which stock transformers loads. Only the weights are no real ones, and the tokenizer is that of
argus-tiny.
Takes 24 GiB of memory and of disk (7B: 64). Writes ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from argusvl import __version__
from argusvl.assets import MODELS
from argusvl.core.devices import usable_device
from argusvl.detection.data.sampling.tokenizer import FULL_VOCABULARY_START
from argusvl.detection.model.architecture import PUBLISHED

RESULTS = Path("benchmarks/results")
GIB = 2**30


def make_base(folder: Path, size: str) -> None:
    """A folder in hub layout: the published shape, random weights, the tokens of ``argus-tiny``."""
    small = MODELS["argus-tiny"] / "qwen"
    config = PUBLISHED[size].config()
    config.text_config.vocab_size = (
        FULL_VOCABULARY_START  # 293 fewer: with more, a tokenizer must be the real one
    )
    words = json.loads((small / "config.json").read_text("utf-8"))
    for name in ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"):
        setattr(config, name, words[name])
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config.text_config, name, words["text_config"][name])
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with usable_device("auto"):
        model = Qwen2_5_VLForConditionalGeneration(config)
    model.save_pretrained(folder)
    for file in small.iterdir():
        if file.name not in ("config.json", "model.safetensors"):
            shutil.copy(file, folder)


def argus(*words: str | Path) -> tuple[str, dict[str, float]]:
    """Runs ``argus``; all it said, its minutes and the most memory that it held for itself, mapped files left out."""
    command = [str(Path(sys.executable).with_name("argus")), *map(str, words)]
    print("$", *command, file=sys.stderr, flush=True)
    began, highest = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out if words[0] == "train" else None, text=True
        )
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            held = re.search(r"RssAnon:\s+(\d+)", status.read_text("utf-8"))
            highest = max(highest, int(held[1]) if held else 0)
            time.sleep(0.5)
        if process.returncode:
            raise SystemExit(f"argus {words[0]} ended with {process.returncode}")
        out.seek(0)
        said = out.read()
    return said, {
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "highest_own_gib": round(highest * 1024 / GIB, 2),
    }


def peak_of(run: Path) -> dict[str, float]:
    """The most that CUDA's allocator gave out, and the seconds of a step once warm, as the run wrote them down."""
    history = json.loads((run / "trainer_state.json").read_text("utf-8"))["log_history"]
    steps = [entry for entry in history if "memory/cuda_peak_mib" in entry]
    seconds = sorted(sum(v for k, v in one.items() if k.startswith("seconds/")) for one in steps[2:])
    return {
        "highest_on_gpu_gib": round(max(one["memory/cuda_peak_mib"] for one in steps) / 1024, 2),
        "seconds_per_step": round(seconds[len(seconds) // 2], 3),
    }


def main(device: str, size: str, steps: int, samples: int) -> None:
    """Makes it, trains it, exports it and loads it."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        base, data, config, run = work / "base", work / "data", work / "mine.yaml", work / "run"
        # In a process of its own: what it held is free before training begins.
        subprocess.run([sys.executable, __file__, "--base", str(base), "--size", size], check=True)
        argus("data", "synth", "bbu-room", data, "--images", "12", "--seed", "0", "--language", "en")
        for held_out in ("val.jsonl", "test.jsonl"):
            (data / held_out).unlink(missing_ok=True)
        written, _ = argus("init", data, "--model", base, "--lora")
        changes = {"max_steps: ": steps, "output_dir: ": run, "device: ": device, "bf16: ": "true"}
        changes |= {
            "gradient_checkpointing: ": "true",
            "logging_steps: ": 1,
            "gradient_accumulation_steps: ": 1,
        }
        changes |= {
            "per_device_train_batch_size: ": samples,
            "teacher_pool: ": "null",
            "teacher_ratio: ": 0.0,
        }
        changes |= {"num_teachers: ": 0}
        for key, value in changes.items():
            written = re.sub(rf"(?m)^( *{key}).*", rf"\g<1>{value}", written)
        config.write_text(written, encoding="utf-8")
        trained, training = argus("train", config)
        (tokens,) = re.findall(r"the largest batch fits: \d+ samples, (\d+) tokens, \d+ images", trained)
        asked = ("--samples", str(samples), "--tokens", str(int(tokens) // samples), "--images", "1")
        counted = json.loads(argus("inspect", "memory", config, *asked, "--json")[0])
        (lora,) = (one for one in counted["strategies"] if one["name"].startswith("LoRA"))
        if device != "cpu":
            training |= peak_of(run)
        _, exporting = argus("export", run, work / "merged", "--merge", "--dtype", "bfloat16")
        check = subprocess.run(
            [sys.executable, __file__, "--load", str(work / "merged")],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        result: dict[str, Any] = {
            "date": datetime.date.today().isoformat(),
            "argus": __version__,
            "commit": commit,
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, "
            + ("no GPU" if device == "cpu" else torch.cuda.get_device_name()),
            "torch": torch.__version__,
            "size": size,
            "config": written.replace(name, "WORK"),
            "predicted_gib": round(lora["peak"] / GIB, 2),
            "training": training | {"steps": steps, "samples": samples, "tokens": int(tokens)},
            "exporting": exporting,
            "loaded_by_transformers": json.loads(check.stdout),
        }
    RESULTS.mkdir(parents=True, exist_ok=True)
    suffix = "" if device == "cpu" else f"-{device}-{size}"
    file = RESULTS / f"{result['date']}-released-size{suffix}.json"
    file.write_text(
        json.dumps(result, indent=2, ensure_ascii=False).replace(name, "WORK") + "\n", encoding="utf-8"
    )
    print(json.dumps(result["training"]), json.dumps(result["loaded_by_transformers"]))
    print(file)


def load(folder: Path) -> None:
    """Stock transformers loads it and computes with it; prints what it saw."""
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.bfloat16)
    with torch.no_grad():
        logits = model(input_ids=torch.arange(5, 25)[None]).logits
    print(
        json.dumps(
            {
                "parameters": sum(p.numel() for p in model.parameters()),
                "finite": bool(torch.isfinite(logits).all()),
                "head_beside_it": (folder / "head").is_dir(),
                "highest_resident_gib": round(
                    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB, 2
                ),
            }
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--size", choices=PUBLISHED, default="3B")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--samples", type=int, default=1, help="of a batch")
    parser.add_argument("--base", type=Path, help=argparse.SUPPRESS)  # these two in processes of their own
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.base:
        make_base(asked.base, asked.size)
    elif asked.load:
        load(asked.load)
    else:
        main(asked.device, asked.size, asked.steps, asked.samples)
