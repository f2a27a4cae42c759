"""What each part of the hand model is worth: the training of its base, short, with one part changed.

    python benchmarks/hands_ablations.py                       # all, 300 steps each
    python benchmarks/hands_ablations.py --only positions sigma_reparam --steps 1500

Needs the drawn hands of ``configs/manipulation_demo.yaml``, whose head says how they are drawn. Each row is a run of
``configs/argus_hand.yaml`` with the changes that the row names, nothing else; one that has ended is not trained again.
Writes ``benchmarks/results/<date>-hands-ablations.json``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from pathlib import Path

CONFIG = "configs/argus_hand.yaml"
DATA = ["train=runs/hands/data/train", "val=runs/hands/data/val"]
WORK = Path("runs/hands-ablations")
RESULTS = Path("benchmarks/results")

CHANGES: dict[str, list[str]] = {
    "as_it_is": [],
    "refinement": ["num_refinement_steps=0"],
    "sigma_reparam": ["sigma_reparam=false"],
    "positions": ["positions=false"],
    "diversity": ["diversity_weight=0.02"],
    "input_noise": ["input_noise=0.1", "input_noise_epochs=1"],
}
"""Name of a row → what is changed."""

SHOWN = ("mpjpe_root", "mpjpe_pa", "mpjpe_root_coarse", "mpjpe_2d", "spread", "mean_pose_mpjpe_root")


def train(name: str, steps: int) -> dict[str, object]:
    """One run's last figures, and what the doctor found."""
    out = WORK / f"{name}-{steps}"
    state = out / f"checkpoint-{steps}" / "trainer_state.json"
    if not state.is_file():
        quick = [
            f"max_steps={steps}",
            f"eval_steps={min(100, steps)}",
            f"save_steps={steps}",
            "ema_decay=null",
        ]
        words = ["train", CONFIG, *DATA, f"output_dir={out}", *quick, *CHANGES[name]]
        subprocess.run([str(Path(sys.executable).with_name("argus")), *words], check=True)
    history = [entry for entry in json.loads(state.read_text())["log_history"] if "eval_mpjpe" in entry]
    events = [json.loads(line) for line in (out / "events.jsonl").read_text("utf-8").splitlines()]
    found = sorted({event["finding"]["id"] for event in events if event["event"] == "found"})
    last = history[-1]
    return {key: round(float(last[f"eval_{key}"]), 3) for key in SHOWN} | {"found": found}


def main() -> None:
    """Trains, prints and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--only", nargs="+", choices=sorted(CHANGES), default=list(CHANGES))
    asked = parser.parse_args()
    file = RESULTS / f"{datetime.date.today()}-hands-ablations.json"
    rows = json.loads(file.read_text()) if file.is_file() else {}
    for name in asked.only:
        rows[f"{name}, {asked.steps} steps"] = {"changes": CHANGES[name], **train(name, asked.steps)}
        file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        print(name, rows[f"{name}, {asked.steps} steps"], flush=True)


if __name__ == "__main__":
    main()
