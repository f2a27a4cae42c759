"""What a GPU computes, beside what the CPU does: ``make test-gpu``.

All other tests compute on the CPU, on every machine alike. ``ARGUS_TEST_DEVICE=cpu`` runs these there, too: that shows
nothing of a GPU, but that the tests themselves are right.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from argusvl.assets import model_folder
from argusvl.cli.main import run
from argusvl.core.boxes import iou_xyxy
from argusvl.detection.model.attention import attend_segments
from argusvl.detection.predict import Predictor

DEVICE = os.environ.get("ARGUS_TEST_DEVICE", "cuda")

pytestmark = [
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="there is no GPU"),
    pytest.mark.usefixtures("quiet_logging"),
]


ON_A_GPU = pytest.mark.skipif(DEVICE != "cuda", reason="it is about a GPU's memory, or how many there are")
ARGUS = [sys.executable, "-m", "argusvl"]


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty drawn pictures, divided into train, val and test."""
    folder = tmp_path_factory.mktemp("gpu") / "data"
    assert run(["data", "synth", "bbu-room", str(folder), "--images", "20", "--seed", "0"]) == 0
    return folder


@pytest.fixture(scope="session")
def config(drawn: Path) -> Path:
    """As `argus init` writes it, of a few steps, in float32 on the GPU; its output folder must be named."""
    file = drawn.parent / "mine.yaml"
    with file.open("w", encoding="utf-8") as out:
        subprocess.run(
            [*ARGUS, "init", str(drawn), "--model", "argus-tiny", "--no-price"], stdout=out, check=True
        )
    return file


FEW: dict[str, Any] = {
    "bf16": "false",
    "max_steps": 4,
    "eval_steps": 4,
    "save_steps": 2,
    "logging_steps": 1,
    "per_device_train_batch_size": 2,
}


def training(config: Path, out: Path, *options: str, device: str = DEVICE, **changes: Any) -> list[str]:
    """Words of a command that trains for some steps."""
    values = {**FEW, "device": device, "output_dir": out, **changes}
    return ["train", str(config), *options, *(f"{name}={value}" for name, value in values.items())]


def logged(out: Path) -> list[dict[str, float]]:
    """What each step logged."""
    state = json.loads((out / "trainer_state.json").read_text("utf-8"))
    return [entry for entry in state["log_history"] if "grad_norm" in entry]


def trained(config: Path, out: Path, *options: str, **changes: Any) -> list[dict[str, float]]:
    """Trains for some steps; what each of them logged."""
    assert run(training(config, out, *options, **changes)) == 0
    return logged(out)


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("shared", [1, 2], ids=["as many keys", "shared keys"])
def test_packed_attention_is_that_of_each_segment(causal: bool, dtype: torch.dtype, shared: int) -> None:
    generator = torch.Generator().manual_seed(0)
    lengths, heads, width = [5, 64, 1, 130, 17], 4, 32
    shape = (sum(lengths), heads, width)
    query, key, value = (
        torch.randn(*shape, generator=generator).to(DEVICE, dtype).requires_grad_() for _ in range(3)
    )
    boundaries = torch.tensor([0, *np.cumsum(lengths)], device=DEVICE)
    found = attend_segments(query, key, value, boundaries, causal=causal, scale=width**-0.5)
    expected = torch.cat(
        [
            F.scaled_dot_product_attention(
                *(t.double().transpose(0, 1) for t in parts), is_causal=causal
            ).transpose(0, 1)
            for parts in zip(*(t.split(lengths) for t in (query, key, value)), strict=True)
        ]
    )
    tolerance = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}[dtype]
    torch.testing.assert_close(found.double(), expected, atol=tolerance, rtol=tolerance)
    weights = torch.randn(*shape, generator=generator).to(DEVICE)
    for one, other in zip(
        torch.autograd.grad((found.float() * weights).sum(), (query, key, value)),
        torch.autograd.grad((expected * weights.double()).sum(), (query, key, value)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=4 * tolerance, rtol=4 * tolerance)


@pytest.mark.parametrize("collator", ["standard", "packed"])
def test_a_training_has_the_losses_that_it_has_on_the_cpu(
    collator: str, config: Path, tmp_path: Path
) -> None:
    here = trained(config, tmp_path / "gpu", collator_type=collator)
    there = trained(config, tmp_path / "cpu", collator_type=collator, device="cpu")
    assert len(here) == len(there) == 4
    # The first step alone is of the same weights: rounding grows from one to the next.
    for one, other, near in zip(here, there, (1e-3, 2e-2, 2e-2, 2e-2), strict=True):
        terms = [name for name in other if name.endswith("loss")]
        assert "caption_loss" in terms
        assert [one[t] for t in terms] == pytest.approx([other[t] for t in terms], rel=near, abs=1e-3)
    assert here[0]["grad_norm"] == pytest.approx(there[0]["grad_norm"], rel=1e-2)


def test_bfloat16_is_near_to_float32(config: Path, tmp_path: Path) -> None:
    fast = trained(config, tmp_path / "fast", bf16="true", collator_type="packed")
    exact = trained(config, tmp_path / "exact", collator_type="packed")
    assert fast[0]["loss"] == pytest.approx(exact[0]["loss"], rel=5e-2)
    assert fast[0]["grad_norm"] == pytest.approx(exact[0]["grad_norm"], rel=0.3)


def test_a_killed_training_with_data_workers_goes_on(config: Path, tmp_path: Path) -> None:
    changes = {"dataloader_num_workers": 2, "max_steps": 6, "eval_steps": 6}
    child = subprocess.Popen([*ARGUS, *training(config, tmp_path / "parts", **changes)])
    until = time.monotonic() + 120
    while not (tmp_path / "parts" / "checkpoint-2").is_dir():
        assert child.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    parts = trained(config, tmp_path / "parts", "--resume", **changes)
    whole = trained(config, tmp_path / "whole", **changes)
    assert [p["loss"] for p in parts] == pytest.approx([w["loss"] for w in whole], rel=1e-2)


def test_adapters_train_in_a_frozen_base(drawn: Path, tmp_path: Path) -> None:
    file = tmp_path / "lora.yaml"
    with file.open("w", encoding="utf-8") as out:
        start = model_folder("argus-tiny") / "qwen"
        command = [*ARGUS, "init", str(drawn), "--model", str(start), "--lora", "--no-price"]
        subprocess.run(command, stdout=out, check=True)
    trained(file, tmp_path / "run", gradient_checkpointing="true", bf16="auto")
    assert run(["export", str(tmp_path / "run"), str(tmp_path / "merged"), "--merge"]) == 0
    assert (tmp_path / "merged" / "config.json").is_file()


def test_boxes_and_text_are_those_of_the_cpu(drawn: Path) -> None:
    pictures = sorted((drawn / "images").iterdir())[:4]
    here, there = (Predictor.from_pretrained("argus-tiny", device=device) for device in (DEVICE, "cpu"))
    for one, other in zip(
        here.predict_detection(pictures, score_threshold=0, batch_size=2),
        there.predict_detection(pictures, score_threshold=0),
        strict=True,
    ):
        surest, all_there = (torch.tensor(d.boxes_xyxy_px) for d in (other, one))
        overlap = iou_xyxy(surest[:10, None], all_there[None]).amax(1)
        assert (overlap > 0.8).float().mean() >= 0.8  # the GPU computes in bfloat16
    assert here.predict_text(pictures[0], max_new_tokens=32)[0].text


def test_figures_are_those_of_the_cpu(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = []
    for device in (DEVICE, "cpu"):
        capsys.readouterr()
        assert run(["eval", "argus-tiny", str(drawn / "test.jsonl"), "--device", device, "--json"]) == 0
        figures.append(json.loads(capsys.readouterr().out))
    one, other = figures
    for name in ("AP50", "recall"):
        assert one[name] == pytest.approx(other[name], abs=0.05)


@ON_A_GPU
def test_a_batch_that_does_not_fit_is_said_before_the_first_step(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**28) / total)
    try:
        assert run(training(config, tmp_path / "run", per_device_train_batch_size=16)) != 0
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    said = capsys.readouterr().err
    assert "per_device_train_batch_size" in said and "Traceback" not in said
    trained(config, tmp_path / "run")


@ON_A_GPU
def test_memory_is_what_is_counted(config: Path, tmp_path: Path) -> None:
    command = training(config, tmp_path / "run", bf16="true", per_device_train_batch_size=4)
    # In a process of its own: the highest of this one may be another test's.
    done = subprocess.run([*ARGUS, *command], capture_output=True, text=True, check=True)
    said = (done.stdout + done.stderr).split("the largest batch fits: ")[1].split("\n")[0]
    samples, tokens, images = (int(part.split()[0]) for part in said.split(", "))
    peak = max(entry["memory/cuda_peak_mib"] for entry in logged(tmp_path / "run"))
    asked = {"--samples": samples, "--tokens": tokens // samples, "--images": images // samples}
    command = ["inspect", "memory", str(tmp_path / "run" / "config.yaml"), "--json"]
    command += [str(word) for pair in asked.items() for word in pair]
    done = subprocess.run([*ARGUS, *command], capture_output=True, text=True, check=True)
    counted = [one["peak"] / 2**20 for one in json.loads(done.stdout)["strategies"]]
    assert any(one == pytest.approx(peak, rel=0.3) for one in counted), (peak, counted)


@ON_A_GPU
def test_more_processes_than_gpus_are_refused_unless_they_compute_on_the_cpu(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = torch.cuda.device_count() + 1
    assert run(training(config, tmp_path / "run", "--processes", str(many))) == 2
    assert "one process a GPU" in capsys.readouterr().err
    if many == 2:
        command = training(config, tmp_path / "run", "--processes", "2", device="cpu", max_steps=2)
        subprocess.run([*ARGUS, *command], check=True)


def test_sharded_over_the_gpus_that_there_are(config: Path, tmp_path: Path) -> None:
    count = max(torch.cuda.device_count(), 1)
    options = ("--processes", str(count))
    changes = {"trainer_arguments": "{fsdp: true}", "max_steps": 2}
    subprocess.run([*ARGUS, *training(config, tmp_path / "parts", *options, **changes)], check=True)
    whole = trained(config, tmp_path / "whole", max_steps=2, per_device_train_batch_size=2 * count)
    parts = logged(tmp_path / "parts")
    assert [p["loss"] for p in parts] == pytest.approx([w["loss"] for w in whole], rel=1e-2)


def test_a_watched_loop_is_healthy() -> None:
    from argus_doctor.watch import Watch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4)).to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    teacher = torch.randn(8, 4, device=DEVICE)
    watch = Watch(model, optimizer, source=False)
    for _ in range(60):
        inputs = torch.randn(32, 8, device=DEVICE)
        targets = (inputs @ teacher).argmax(1)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(inputs, targets))
    assert watch.report() == [] and watch.evidence.failures == {}


def test_features_of_pictures_are_those_of_the_cpu() -> None:
    from argusvl.recognition.backbones.table import load_backbone

    pictures = torch.rand(3, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    one, other = (
        load_backbone("efficientnet-lite0", device=device).embed(pictures) for device in (DEVICE, "cpu")
    )
    torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_hands_train_and_are_predicted(tmp_path: Path) -> None:
    data = tmp_path / "hands"
    assert run(["data", "synth", "hands", str(data), "--images", "40", "--seed", "0"]) == 0
    file, out = tmp_path / "config.yaml", tmp_path / "run"
    with file.open("w", encoding="utf-8") as written:
        command = [*ARGUS, "init", str(data), "--task", "manipulation", "--model", "argus-hand"]
        subprocess.run(command, stdout=written, check=True)
    assert run(training(file, out)) == 0
    picture = next((data / "images").iterdir())
    command = [
        "predict",
        str(out),
        str(picture),
        "--device",
        DEVICE,
        "--side",
        "left",
        "--box",
        "20,20,200,200",
    ]
    assert run([*command, "--out", str(tmp_path / "hands.jsonl")]) == 0
    assert np.isfinite(lines_of(tmp_path / "hands.jsonl")[0]["joints_px"]).all()
