"""The commands of docs/labelling.md, run on small data in their order."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

PAGE = (Path(__file__).parent.parent / "docs/labelling.md").read_text("utf-8")
COMMANDS = re.findall(r"^ +\.venv/bin/argus (.+)$", PAGE, flags=re.MULTILINE)


def submitted(folder: Path) -> None:
    """What an annotator would export: two boxes in every task of the first round."""
    tasks = json.loads((folder / "round-1/label-studio.json").read_text("utf-8"))
    sides = {"original_width": 112, "original_height": 84, "image_rotation": 0}
    box = {"y": 20, "width": 25, "height": 40}
    values = [box | {"x": 10, "rectanglelabels": ["cell"]}, box | {"x": 60, "rectanglelabels": ["platelet"]}]
    regions = [{"type": "rectanglelabels", "value": value} | sides for value in values]
    export = [{**task, "annotations": [{"result": regions}]} for task in tasks]
    (folder / "export.json").write_text(json.dumps(export), encoding="utf-8")


def test_the_page_leads_from_photographs_to_pre_labels(
    argus: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        picture = Image.effect_noise((112, 84), 20 + 10 * number).convert("RGB")
        for folder in ("photos", "first") if number < 4 else ("photos",):
            Path(folder).mkdir(exist_ok=True)
            picture.save(f"{folder}/{number}.png")
    for command in COMMANDS:
        words, _, target = command.partition(" > ")
        if "export.json" in words:
            submitted(Path("labelling"))
        # What is trained in minutes is only validated here; the shipped model stands for it.
        words = re.sub(r" runs/mine(?= )", " argus-tiny", words)
        words += " --validate-only" if words.startswith("train") else ""
        words = re.sub(
            r"\$\(cat (\S+)\)", lambda found: " ".join(Path(found[1]).read_text("utf-8").split()), words
        )
        said = argus(*shlex.split(words))
        if target:
            Path(target).write_text(said.out, encoding="utf-8")
    tasks = json.loads(Path("labelling/round-2/label-studio.json").read_text("utf-8"))
    place = "/data/local-files/?d=round-2/images/"
    assert tasks and all(one["data"]["image"].startswith(place) for one in tasks)
    assert all(one["predictions"][0]["model_version"] == "argus" for one in tasks)


def test_every_command_of_the_page_is_run() -> None:
    assert len(COMMANDS) == PAGE.count(".venv/bin/argus ") == 12
