"""Installs both wheels into an empty environment and runs what they promise there: the doctor's three lines beside
PyTorch alone, then `argus demo` in an empty folder. A connection to another machine fails the check.

    make wheels check-wheels
    python scripts/check_wheels.py dist --images 1000 --steps 120   # the whole demo

Takes three to eight minutes on two cores, most of it for pip and the demo.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"

LOOP = """
import torch
from argus_doctor import Watch

torch.manual_seed(0)
x = torch.randn(256, 8)
y = x @ torch.randn(8, 1)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
watch = Watch(model, optimizer)
for step in range(60):
    rows = torch.randint(256, (32,))
    loss = torch.nn.functional.mse_loss(model(x[rows]), y[rows])
    loss.backward()  # the gradient of the step before is still there
    optimizer.step()
    watch.step(loss=loss, batch=(x[rows], y[rows]))
watch.print()
print(*(finding.id for finding in watch.report()))
"""
"""A loop without zero_grad, and the three lines that find it."""

ALONE = """
import ipaddress, sys

def refuse(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        if isinstance(address, tuple) and not ipaddress.ip_address(address[0].partition("%")[0]).is_loopback:
            raise OSError(f"check_wheels: a connection to {address} was tried")
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "", "localhost", "127.0.0.1", "::1"):
        import socket
        if arguments[0] not in (socket.gethostname(), socket.getfqdn()):
            raise OSError(f"check_wheels: the address of {arguments[0]} was asked for")

sys.addaudithook(refuse)
"""
"""Python runs it at every start in that environment: processes may talk to each other, and to nobody else."""


def main() -> None:
    """Checks the wheels in a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dist", nargs="?", type=Path, default=Path("dist"), help="where the wheels are")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--steps", type=int, default=2)
    asked = parser.parse_args()
    wheels = sorted(asked.dist.resolve().glob("*.whl"))
    doctor = next((w for w in wheels if w.name.startswith("argus_doctor-")), None)
    ours = next((w for w in wheels if w.name.startswith("argusvl-")), None)
    if doctor is None or ours is None:
        sys.exit(f"{asked.dist} does not hold both wheels: make wheels")
    with tempfile.TemporaryDirectory() as name:
        check(Path(name), doctor, ours, ["--images", str(asked.images), "--steps", str(asked.steps)])
    print("both wheels do what they promise")


def check(folder: Path, doctor: Path, ours: Path, demo: list[str]) -> None:
    """Installs and runs them; ends the process where something is not as it should be."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    empty = folder / "empty"
    empty.mkdir()

    def pip(*words: str | Path) -> None:
        command = ["-m", "pip", "--disable-pip-version-check", "--quiet", "--no-cache-dir", *map(str, words)]
        run(command, f"pip {words[0]} {Path(words[-1]).name}")

    def run(words: list[str], what: str) -> str:
        begun = time.perf_counter()
        done = subprocess.run([python, *words], cwd=empty, stdout=subprocess.PIPE, text=True, check=False)
        print(f"{time.perf_counter() - begun:6.1f} s  {what}", flush=True)
        if done.returncode:
            sys.exit(f"{what} ended with {done.returncode}\n{done.stdout}")
        return done.stdout

    pip("install", "-c", CONSTRAINTS, "torch")
    before = installed(python)
    pip("install", "-c", CONSTRAINTS, doctor)
    brought = installed(python) - before
    if brought - {"argus-doctor", "numpy", "rich", "markdown-it-py", "mdurl", "pygments"}:
        sys.exit(f"the doctor brings {', '.join(sorted(brought))}")
    if "N-401" not in (found := run(["-c", LOOP], "the doctor, three lines in a loop")):
        sys.exit(f"zero_grad was missing, and the doctor found:\n{found}")

    pip("install", "-c", CONSTRAINTS, "--find-links", ours.parent, ours)
    run(["-m", "pip", "check"], "pip check")
    site = run(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], "python").strip()
    (Path(site) / "sitecustomize.py").write_text(ALONE, encoding="utf-8")
    for words in (["-c", "pass"], ["-c", "import argusvl"], ["-m", "argusvl", "--help"]):
        run(words, f"python {' '.join(words)}")
    run(["-m", "argusvl", "demo", *demo], f"argus demo {' '.join(demo)}")
    figures = json.loads((empty / "runs" / "demo" / "summary.json").read_text("utf-8"))
    report = (empty / "runs" / "demo" / "report.html").read_text("utf-8")
    if "<html" not in report or not 0 <= figures["ap50"] <= 1:
        sys.exit("the demo has left no report")
    print(f"          AP50 {figures['before']['AP50']:.3f} before, {figures['ap50']:.3f} after")


def installed(python: Path) -> set[str]:
    """Names of the packages in an environment."""
    command = [python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return {package["name"].lower().replace("_", "-") for package in found}


if __name__ == "__main__":
    main()
