"""How cost grows with the work: records to the first step, objects of a picture, images in a batch, ranks, requests.

    python benchmarks/growth.py                        # everything; the million records take most of the time
    python benchmarks/growth.py objects images         # some
    python benchmarks/growth.py records --most 100000

Each is measured in processor seconds, which a shared machine disturbs least (records, ranks and requests in wall
time), and drawn on logarithmic axes as ``docs/images/growth-<what>.png``: along the dashed line it is proportional,
what bends upward from it is a fault. Writes ``benchmarks/results/<date>-growth.json``, with the slope over the last
tenfold.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from serving import Server
from serving import draw as draw_pictures
from startup import RESULTS, first_step, write_data, write_result

from argusvl.assets import MODELS
from argusvl.detection.measure.footprint import BatchShape
from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.losses import SHIPPED
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.detection.predict.predictor import Predictor
from argusvl.synthetic import draw_set
from argusvl.visual.chart_files import write_chart
from argusvl.visual.curves import make_chart
from argusvl.visual.plots import Series

PICTURES = Path("docs/images")
ROUNDS = 3
Points = dict[int, float]
"""Amount of work → seconds."""


def cpu_seconds(work: Callable[[], object]) -> float:
    """The median of some rounds after one that is not counted."""
    taken = []
    for _ in range(ROUNDS + 1):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return statistics.median(taken[1:])


def records(most: int) -> dict[str, Points]:
    """Seconds until the first step, of records met for the first time and of known ones."""
    found: dict[str, Points] = {"first time": {}, "known": {}}
    for number in (10**k for k in range(3, 1 + round(math.log10(most)))):
        with tempfile.TemporaryDirectory() as folder:
            write_data(Path(folder), number)
            for met in found:
                found[met][number] = first_step(Path(folder), met)["seconds_after"]
    return found


def objects() -> dict[str, Points]:
    """A training step of one picture with more and more objects in it."""
    settings = ArgusDetectionConfig.from_pretrained(MODELS["argus-tiny"])
    settings.num_queries = 1024
    model = ArgusForDetection(
        settings
    ).float()  # the base comes partly in bfloat16, which training does not keep
    model.loss_settings = SHIPPED
    found: Points = {}
    for number in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        batch = BatchShape(tokens=512, images=1, image_tokens=256, objects=number, caption_tokens=6).batch(
            settings
        )
        batch["object_boxes_cxcywh_norm"] = torch.rand(number, 4) * 0.5 + 0.2

        def step(batch: dict[str, object] = batch) -> None:
            terms = model(**batch).loss_terms
            torch.stack([term.float() for term in terms.values()]).sum().backward()

        found[number] = cpu_seconds(step)
    return {"a training step": found}


def images() -> dict[str, Points]:
    """Prediction of more and more images at once."""
    predictor = Predictor.from_pretrained("argus-tiny", device="cpu")
    picture = Image.effect_noise((280, 224), 60).convert("RGB")
    found = {
        number: cpu_seconds(lambda n=number: predictor.predict_detection([picture] * n, batch_size=n))
        for number in (1, 2, 4, 8, 16, 32, 64)
    }
    return {"a batch": found}


def ranks() -> dict[str, Points]:
    """Wall seconds of the same sixteen steps' samples by one process and by two, each with one core."""
    found: Points = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_set("bbu-room", folder / "data", images=40, seed=0, width=224, height=168)
        for processes in (1, 2):
            changes = [
                *(f"train={folder}/data/train.jsonl", "val=null", "teacher_pool=null", "teacher_ratio=0"),
                *("num_teachers=0", f"output_dir={folder}/run{processes}", "logging_steps=1", "report_to=[]"),
                *(
                    f"max_steps={32 // processes}",
                    "per_device_train_batch_size=2",
                    "device=cpu",
                    "bf16=false",
                ),
                *("eval_steps=1000", "save_steps=1000"),
            ]
            command = [sys.executable, "-m", "argusvl", "train", "configs/bbu_room.yaml", "--json"]
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            subprocess.run(
                [*command, "--processes", str(processes), *changes],
                env=environment, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            times = [
                datetime.datetime.fromisoformat(json.loads(line)["time"])
                for line in (folder / f"run{processes}" / "events.jsonl").read_text("utf-8").splitlines()
            ]
            found[processes] = (times[-1] - times[0]).total_seconds()
    return {"64 samples": found}


def requests() -> dict[str, Points]:
    """Wall seconds of more and more requests, sixteen at a time."""
    found: Points = {}
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        body = draw_pictures(Path(folder) / "drawn", 1, 64)[0].read_bytes()

        def ask(_: int) -> None:
            status, _answer = server.ask("POST", "/v1/detect", body)
            assert status == 200, status

        with concurrent.futures.ThreadPoolExecutor(16) as clients:
            list(clients.map(ask, range(64)))
            for number in (16, 64, 256, 1024, 4096):
                begun = time.perf_counter()
                list(clients.map(ask, range(number)))
                found[number] = time.perf_counter() - begun
    return {"16 clients": found}


def slope(points: Points) -> float:
    """Of the logarithms over the last tenfold of the work: 1 is proportional."""
    amounts = sorted(points)
    last = [amount for amount in amounts if amount >= amounts[-1] / 10] if len(amounts) > 2 else amounts
    low, high = last[0], last[-1]
    return math.log(points[high] / points[low]) / math.log(high / low)


def draw(what: str, found: dict[str, Points]) -> None:
    """The picture, on logarithmic axes."""
    series = []
    for name, points in found.items():
        amounts = sorted(points)
        logs = [math.log10(amount) for amount in amounts]
        series.append(Series(name, logs, [points[a] for a in amounts], style="dots"))
        through = points[amounts[-1]]
        proportional = [through * amount / amounts[-1] for amount in amounts]
        series.append(Series("proportional", logs, proportional, style="guide"))
    chart = make_chart(
        f"Seconds by {what}", series, log_scale=True, x_name=f"{what}, as a power of 10", y_name="seconds"
    )
    vector, _ = write_chart(chart, PICTURES, f"growth-{what}")
    vector.unlink()


def main(words: Sequence[str] | None = None) -> None:
    """Measures, draws and writes."""
    kinds = {"objects": objects, "images": images, "ranks": ranks, "requests": requests}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", choices=["records", *kinds], metavar="WHAT")
    parser.add_argument("--most", type=int, default=10**6, help="records")
    asked = parser.parse_args(words)
    file = sorted(RESULTS.glob("*-growth.json"))
    grown = json.loads(file[-1].read_text("utf-8"))["growth"] if file and asked.what else {}
    for what in asked.what or ["records", *kinds]:
        found = records(asked.most) if what == "records" else kinds[what]()
        draw(what, found)
        grown[what] = {
            name: {
                "seconds": {str(amount): round(value, 4) for amount, value in points.items()},
                "slope": round(slope(points), 2),
            }
            for name, points in found.items()
        }
        print(what, json.dumps(grown[what]))
    write_result("growth", {"growth": grown})


if __name__ == "__main__":
    main()
