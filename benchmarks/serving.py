"""How many pictures `argus serve` answers, how long each waits, and what happens when it is soaked, killed and fuzzed.

Draws small pictures of shapes, starts the server on a free port of this machine and asks it with wrk (Debian's package
`wrk`), from 1 to 64 clients, each with one request at a time; batched and one at a time take turns, so that both meet
the same machine. `soak` watches the server's resident memory over many requests, `kill` ends it with SIGKILL under load
and starts it again, `fuzz` lets schemathesis (installed anywhere, `--schemathesis PROGRAM`) ask by the OpenAPI
document.

    python benchmarks/serving.py throughput --seconds 6 --rounds 2
    python benchmarks/serving.py soak --requests 20000 --minutes 9
    python benchmarks/serving.py kill --kills 6
    python benchmarks/serving.py fuzz --schemathesis schemathesis --minutes 3

Each part is written into today's file of ``benchmarks/results/``, beside the parts that are there.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import http.client
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from argusvl import __version__
from argusvl.core.memory_slope import fit_slope
from argusvl.core.threads import usable_cores

RESULTS = Path("benchmarks/results")
BATCH = 8
CLIENTS = {64: (1, 4, 16, 64), 224: (16,)}
"""Sides of the pictures, pixels, and how many clients ask about them: in a pass over small ones the overhead counts,
over larger ones the arithmetic."""

WRK = """
local file = io.open("{picture}", "rb")
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["Content-Type"] = "image/png"
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('RESULT {{"requests": %d, "us": %d, "p50": %d, "p95": %d, "p99": %d, "errors": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(95), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
Result = dict[str, Any]
_PATIENT = ("--max-seconds", "120")
"""On a machine that others use, too, the last of 64 clients may wait long."""


class Server:
    """A process of `argus serve`."""

    def __init__(self, *options: str, models: Sequence[str] = ("argus-tiny",), port: int = 0) -> None:
        words = [sys.executable, "-m", "argusvl", "serve", *models, "--port", str(port), *options]
        self.process = subprocess.Popen(
            [*words, "--log-level", "debug"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self.precision = "?"
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.precision = found[1] if (found := re.search(r"computing in (\w+)", line)) else self.precision
            if found := re.search(r"on http://[\d.]+:(\d+)", line):
                self.port = int(found[1])
                break
        threading.Thread(target=self._read_on, daemon=True).start()
        self.errors: list[str] = []
        self.ask("GET", "/readyz")

    def _read_on(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "ERROR" in line or "Traceback" in line:
                self.errors.append(line)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request on a connection of its own: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": "image/png"} if body else {})
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    @property
    def resident(self) -> int:
        """Bytes of resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 0, "SIGTERM is an ordinary end"


def draw(folder: Path, count: int, side: int) -> list[Path]:
    """Drawn pictures, each of another width."""
    folder.mkdir()
    words = [sys.executable, "-m", "argusvl", "data", "synth", "bbu-room", str(folder / "drawn")]
    subprocess.run([*words, "--images", str(max(count, 8)), "--seed", "1"], check=True, capture_output=True)
    files = sorted(p for p in (folder / "drawn").rglob("*") if p.suffix in (".png", ".jpg"))[:count]
    made = []
    for number, file in enumerate(files):
        with Image.open(file) as picture:
            small = picture.convert("RGB").resize((side + number, side))
        small.save(folder / f"{number}.png")
        made.append(folder / f"{number}.png")
    return made


def wrk(server: Server, picture: Path, clients: int, seconds: float) -> Result:
    """Requests per second and percentiles of one run of wrk."""
    script = picture.with_suffix(".lua")
    script.write_text(WRK.format(picture=picture))
    words = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "120s", "-s", str(script)]
    told = subprocess.run(
        [*words, f"http://127.0.0.1:{server.port}/v1/detect"], check=True, capture_output=True, text=True
    )
    found = json.loads(re.search(r"RESULT (.*)", told.stdout)[1])  # type: ignore[index]
    assert not found["errors"], told.stdout
    assert found["requests"] >= 20, "too few answers to tell anything: give more --seconds"
    milliseconds = {f"{p}_ms": round(found[p] / 1000, 1) for p in ("p50", "p95", "p99")}
    return {"per_second": found["requests"] / found["us"] * 1e6, **milliseconds}


def throughput(folder: Path, seconds: float, rounds: int) -> Result:
    """Batched beside one at a time."""
    told: Result = {"seconds": seconds, "rounds": rounds, "batch": BATCH, "pictures": {}}
    with (
        Server(*_PATIENT, "--max-batch", "1", "--wait-ms", "0") as single,
        Server(*_PATIENT, "--max-batch", str(BATCH)) as batched,
    ):
        told["precision"] = {"one at a time": single.precision, "batched": batched.precision}
        for side, numbers in CLIENTS.items():
            (picture,) = draw(folder / str(side), 1, side)
            for server in (single, batched):
                wrk(server, picture, 16, 2)
            rows = []
            for clients in numbers:
                runs: dict[str, list[Result]] = {"one at a time": [], "batched": []}
                for _ in range(rounds):
                    runs["one at a time"].append(wrk(single, picture, clients, seconds))
                    runs["batched"].append(wrk(batched, picture, clients, seconds))
                row: Result = {"clients": clients}
                for way, found in runs.items():
                    row[way] = {
                        name: round(statistics.median(one[name] for one in found), 1) for name in found[0]
                    }
                row["ratio"] = round(row["batched"]["per_second"] / row["one at a time"]["per_second"], 2)
                rows.append(row)
                print(side, json.dumps(row), flush=True)
            told["pictures"][f"{side}x{side}"] = rows
    return told


def soak(folder: Path, requests: int, minutes: float) -> Result:
    """Resident memory over many requests, and its slope."""
    (picture,) = draw(folder / "soak", 1, min(CLIENTS))
    done: list[int] = []
    resident: list[int] = []
    with Server() as server:
        wrk(server, picture, 16, 5)  # arenas and caches fill
        began, so_far = time.monotonic(), 0
        while so_far < requests and time.monotonic() - began < 60 * minutes:
            found = wrk(server, picture, 16, 5)
            so_far += round(found["per_second"] * 5)
            done.append(so_far)
            resident.append(server.resident)
            print(so_far, resident[-1] >> 20, "MiB", flush=True)
        slope = fit_slope(done, resident)
    return {
        "requests": so_far,
        "seconds": round(time.monotonic() - began),
        "resident_mib": [round(value / 2**20, 1) for value in resident],
        "bytes_a_request": slope.as_dict(),
    }


def kill(folder: Path, kills: int) -> Result:
    """Eight clients with a picture each, which is of a width of its own."""
    pictures = [file.read_bytes() for file in draw(folder / "kill", 8, min(CLIENTS))]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path, stop = "/v1/detect?threshold=0.05", threading.Event()
    told: Counter[str] = Counter()
    wrong: list[str] = []
    server = Server(port=port)
    precisions = [server.precision]
    wanted = [json.loads(server.ask("POST", path, picture)[1]) for picture in pictures]

    def ask(number: int) -> None:
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request("POST", path, pictures[number], {"Content-Type": "image/png"})
                reply = connection.getresponse()
                body = reply.read()
            except (OSError, http.client.HTTPException):
                told["no answer"] += 1
                time.sleep(0.05)
                continue
            finally:
                connection.close()
            told[str(reply.status)] += 1
            if reply.status == 200 and (why := _differs(json.loads(body), wanted[number])):
                wrong.append(f"{number}: {why}")

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(len(pictures))]
    for client in clients:
        client.start()
    for _ in range(kills):
        time.sleep(3)
        server.process.kill()
        server.process.wait()
        server = Server(port=port)
        precisions.append(server.precision)
    time.sleep(3)
    stop.set()
    for client in clients:
        client.join()
    with server:
        pass
    others = [
        (one, dict(other, image=one["image"])) for one in wanted for other in wanted if other is not one
    ]
    return {
        "kills": kills,
        "told_apart_by_objects_alone": sum(1 for one, other in others if _differs(other, one)) / len(others),
        "clients": len(pictures),
        "told": dict(told),
        "wrong": wrong[:5],
        "precisions": precisions,
    }


def _differs(answer: Result, wanted: Result) -> str | None:
    """Whether an answer is another picture's. In a batch the last digits of half precision may be others."""
    if answer["image"] != wanted["image"] or answer["model"] != wanted["model"]:
        return f"{answer['image']} of {answer['model']}"
    sure = [one for one in wanted["objects"] if one["score"] > 0.2]
    for one in sure:
        near = [
            other
            for other in answer["objects"]
            if np.abs(np.subtract(other["box_xyxy_px"], one["box_xyxy_px"])).max() < 3
        ]
        if not any(abs(other["score"] - one["score"]) < 0.1 for other in near):
            return f"no object like {one}"
    return None


def fuzz(program: str, minutes: float) -> Result:
    """Requests made by the OpenAPI document."""
    with Server(*_PATIENT, models=("argus-tiny", "argus-hand")) as server:
        url = f"http://127.0.0.1:{server.port}/openapi.json"
        until, runs, outputs = time.monotonic() + 60 * minutes, [], ""
        seed = 0
        while time.monotonic() < until:
            seed += 1
            words = [
                program,
                "run",
                url,
                "--seed",
                str(seed),
                "--max-examples",
                "40",
                "--request-timeout",
                "200",
            ]
            # Which bytes are a picture, no schema says: that they are refused is no contradiction to it.
            words += ["--exclude-checks", "positive_data_acceptance", "--phases", "examples,coverage,fuzzing"]
            words += ["--max-time", f"{max(until - time.monotonic(), 10):.0f}"]
            done = subprocess.run(words, capture_output=True, text=True)
            runs.append(done.returncode)
            outputs = done.stdout
            found = re.search(r"(\d+) generated", done.stdout)
            print(f"seed {seed}: {done.returncode}, {found[1] if found else '?'} cases", flush=True)
            if done.returncode:
                print(outputs[-6000:])
                break
        text = server.ask("GET", "/metrics")[1].decode()
        statuses: Counter[str] = Counter()
        for status, count in re.findall(
            r'argus_requests_total\{route="[^"]*",status="(\d+)"\} ([\d.]+)', text
        ):
            statuses[status] += int(float(count))
        version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.strip()
        return {
            "schemathesis": version,
            "minutes": round(minutes - (until - time.monotonic()) / 60, 1),
            "runs": len(runs),
            "failed": sum(1 for code in runs if code),
            "requests": sum(statuses.values()),
            "statuses": dict(sorted(statuses.items())),
            "errors_logged": len(server.errors),
        }


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=["throughput", "soak", "kill", "fuzz"])
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--schemathesis", default="schemathesis")
    parser.add_argument("--minutes", type=float, default=3)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    with _folder() as folder:
        if asked.part == "throughput":
            found = throughput(folder, asked.seconds, asked.rounds)
        elif asked.part == "soak":
            found = soak(folder, asked.requests, asked.minutes)
        elif asked.part == "kill":
            found = kill(folder, asked.kills)
        else:
            found = fuzz(asked.schemathesis, asked.minutes)
    import torch

    today = datetime.date.today().isoformat()
    file = RESULTS / f"{today}-serving.json"
    result = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"date": today}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    result |= {
        "argus": __version__,
        "machine": f"{usable_cores()} cores, {platform.machine()}, no GPU; shared with other work",
        "torch": torch.__version__,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }
    result[asked.part] = {"commit": commit, "load_before": round(load, 1), **found}
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    print(json.dumps(found, indent=1))
    file.write_text(text, encoding="utf-8")
    print(f"written: {file}")


if __name__ == "__main__":
    main()
