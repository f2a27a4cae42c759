"""How near ``argus-hand`` comes to MediaPipe Hands on photographs that nobody has labelled.

    python -m venv PEER && PEER/bin/pip install mediapipe==0.10.14
    python benchmarks/hands_beside_mediapipe.py PHOTOGRAPHS --mediapipe PEER/bin/python
    python benchmarks/hands_beside_mediapipe.py PHOTOGRAPHS --mediapipe PEER/bin/python --checkpoint argus-hand \
        --checkpoint runs/hands

MediaPipe is a reference here, and not the truth: it looks at windows of several sizes, and a hand counts where at least
three of them agree about its landmarks to an eighth of its extent. Each checkpoint gets the box of those landmarks,
widened by a tenth, and the side. Figures: distance in the picture, as a share of the hand's extent; in space, in mm,
after the best similarity, and relative to the wrist at MediaPipe's length of the palm.
Writes ``benchmarks/results/<date>-hands-beside-mediapipe.json``, or the file that ``--out`` names.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WINDOWS = (1.0, 0.6, 0.4, 0.25)  # of the picture's shorter side; the first is the whole picture
AGREED, AGREEMENT = 3, 0.125
SMALLEST_PX = 40
MIDDLE_FINGER, WRIST = 9, 0


def reference(folder: Path) -> list[dict[str, Any]]:
    """Hands that MediaPipe finds; runs in its own environment, which has nothing of ours."""
    from mediapipe import solutions  # type: ignore[import-not-found]

    look = solutions.hands.Hands(static_image_mode=True, max_num_hands=6, model_complexity=1)
    hands = []
    for file in sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")):
        image = Image.open(file).convert("RGB")
        for seen in agreed([one for window in windows(image) for one in landmarks(look, image, window)]):
            hands.append({"image": str(file.relative_to(folder)), **seen})
    return hands


def windows(image: Image.Image) -> list[tuple[int, int, int, int]]:
    """Squares that overlap by two thirds, and the whole picture."""
    width, height = image.size
    boxes = [(0, 0, width, height)]
    for share in WINDOWS[1:]:
        side = int(min(width, height) * share)
        for top in range(0, height - side + 1, max(1, side // 3)):
            boxes += [
                (left, top, left + side, top + side) for left in range(0, width - side + 1, max(1, side // 3))
            ]
    return boxes


def landmarks(look: Any, image: Image.Image, window: tuple[int, int, int, int]) -> list[dict[str, Any]]:
    """What is seen in a window: points ``[21, 2]`` of the picture, joints ``[21, 3]`` in mm, the side."""
    cut = image.crop(window)
    larger = max(1.0, 256 / cut.width)
    pixels = np.asarray(cut.resize((round(cut.width * larger), round(cut.height * larger))))
    found = look.process(pixels)
    if not found.multi_hand_landmarks:
        return []
    seen = []
    for flat, solid, named in zip(
        found.multi_hand_landmarks, found.multi_hand_world_landmarks, found.multi_handedness, strict=True
    ):
        points = np.array([(p.x, p.y) for p in flat.landmark]) * cut.size + window[:2]
        joints = 1000 * np.array([(p.x, p.y, p.z) for p in solid.landmark])
        # It takes pictures for those of a mirror.
        side = {"Left": "right", "Right": "left"}[named.classification[0].label]
        seen.append({"points": points, "joints": joints, "side": side})
    return seen


def agreed(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each hand about which enough windows say the same."""
    groups: list[list[dict[str, Any]]] = []
    for one in seen:
        for group in groups:
            first = group[0]["points"]
            if np.linalg.norm(one["points"].mean(0) - first.mean(0)) < 0.4 * np.ptp(first, axis=0).max():
                group.append(one)
                break
        else:
            groups.append([one])
    hands = []
    for group in groups:
        middle = np.median([one["points"] for one in group], axis=0)
        extent = np.ptp(middle, axis=0).max()
        away = [np.linalg.norm(one["points"] - middle, axis=1).mean() / extent for one in group]
        near = [one for one, distance in zip(group, away, strict=True) if distance < AGREEMENT]
        sides = [one["side"] for one in near]
        if len(near) < AGREED or extent < SMALLEST_PX or len(set(sides)) > 1:
            continue
        nearest = group[int(np.argmin(away))]
        hands.append(
            {"points": middle.tolist(), "joints": nearest["joints"].tolist(), "side": nearest["side"]}
        )
    return hands


def measured(checkpoint: str, folder: Path, hands: list[dict[str, Any]]) -> dict[str, float]:
    """A checkpoint's distances from the reference, means over hands."""
    from argusvl.assets import model_folder
    from argusvl.manipulation.measure.metrics import align_by_similarity
    from argusvl.manipulation.predict.predictor import HandPredictor, HandQuery
    from argusvl.run.checkpoints import checkpoint_at

    predictor = HandPredictor.from_pretrained(checkpoint_at(model_folder(checkpoint)))
    rows = []
    for hand in hands:
        image = Image.open(folder / hand["image"]).convert("RGB")
        points, joints = np.array(hand["points"]), np.array(hand["joints"])
        low, high = points.min(0), points.max(0)
        extent = (high - low).max()
        box = np.concatenate(
            [np.maximum(low - 0.05 * extent, 0), np.minimum(high + 0.05 * extent, image.size)]
        )
        found = predictor.predict([image], [HandQuery(box, hand["side"])])[0]
        own = 1000 * (found.joints_m - found.joints_m[WRIST])
        theirs = joints - joints[WRIST]
        palm = np.linalg.norm(theirs[MIDDLE_FINGER]) / np.linalg.norm(own[MIDDLE_FINGER])
        rows.append(
            (
                np.linalg.norm(found.joints_px - points, axis=1).mean() / extent,
                np.linalg.norm(align_by_similarity(own[None], theirs[None])[0] - theirs, axis=1).mean(),
                np.linalg.norm(own * palm - theirs, axis=1).mean(),
            )
        )
    names = ("in_picture", "after_similarity_mm", "to_wrist_mm")
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--mediapipe", type=Path, help="Python of an environment with mediapipe")
    parser.add_argument(
        "--reference", action="store_true", help=argparse.SUPPRESS
    )  # this is that environment
    parser.add_argument("--checkpoint", action="append", metavar="CHECKPOINT")
    today = datetime.date.today().isoformat()
    default = Path(__file__).parent / "results" / f"{today}-hands-beside-mediapipe.json"
    parser.add_argument("--out", type=Path, default=default, help="JSON file for the result")
    options = parser.parse_args()
    if options.reference:
        print(json.dumps(reference(options.photographs)))
        return
    if options.mediapipe is None:
        parser.error("--mediapipe is missing")
    from argusvl.core.files import write_text_atomically

    command = [options.mediapipe, __file__, options.photographs, "--reference"]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    hands = json.loads(found.splitlines()[-1])
    if not hands:
        sys.exit(f"{options.photographs}: MediaPipe finds no hand. What to do: name a folder that shows some")
    result = {
        "date": today,
        "reference": "mediapipe 0.10.14, windows that agree",
        "hands": len(hands),
        "pictures": sorted({hand["image"] for hand in hands}),
        "checkpoints": {
            name: measured(name, options.photographs, hands) for name in options.checkpoint or ["argus-hand"]
        },
    }
    print(json.dumps(result["checkpoints"], indent=1))
    write_text_atomically(options.out, json.dumps(result, indent=1) + "\n")
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
