"""The site says what is: its commands exist, the tutorial runs, every result is shown, and a broken link is seen."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import benchmarks_page
import reference_pages
import site_links
from argusvl.cli.main import VERBS, run
from argusvl.config.trainer_arguments import OURS
from argusvl.detection.config import DetectionRunConfig
from argusvl.tasks import TASKS

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
GROUPS = ("data", "doctor", "inspect", "recognize")


def commands_of(page: Path) -> Iterator[str]:
    """Every ``argus …`` that is shown, in a block of its own or in a line."""
    text = page.read_text("utf-8")
    yield from re.findall(r"^ +(?:\.venv/bin/)?argus (.+)$", text, flags=re.MULTILINE)
    yield from re.findall(rf"`argus ((?:{'|'.join(VERBS)})\b[^`\n]*)`", text)


def verb_of(command: str) -> tuple[str, ...]:
    """The words whose ``--help`` has the command's options."""
    words = shlex.split(command.replace("…", ""), comments=True)
    named = words[0] in GROUPS and len(words) > 1 and not words[1].startswith("-")
    of_hands = VERBS[words[0]].task is not None and {"manipulation", "argus-hand"} & {*words}
    return (*words[: 2 if named else 1], *(["--task", "manipulation"] if of_hands else []))


COMMANDS = sorted({command for page in [*PAGES, ROOT / "README.md"] for command in commands_of(page)})


@pytest.mark.parametrize("verb", sorted({verb_of(command) for command in COMMANDS}), ids=" ".join)
def test_every_command_that_a_page_shows_has_its_options(argus: Any, verb: tuple[str, ...]) -> None:
    shown = argus(*verb, "--help").out
    for command in (command for command in COMMANDS if verb_of(command) == verb):
        words = shlex.split(command.replace("…", ""), comments=True)
        options = {w for w in words if w.startswith("--")} - {"--task", "--help", "--log-level"}
        assert [o for o in options if not re.search(rf"{o}\b", shown)] == [], command


def test_pages_name_files_that_are_there_and_show_every_verb() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    places = r"\b(?:configs|benchmarks|examples|scripts)/[\w./-]+\.(?:py|yaml|json)"
    # Of the scripts that the page of the earlier ones replaces there are none here.
    earlier = {"scripts/train.py", "scripts/zero2.json"}
    assert [t for t in {*re.findall(places, text)} - earlier if not (ROOT / t).exists()] == []
    assert {command.split()[0] for page in PAGES for command in commands_of(page)} >= {*VERBS} - {"env"}


@pytest.mark.timeout(600)  # eight commands, of which one trains
def test_the_tutorial_runs_from_its_first_command_to_its_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    commands = re.findall(r"^    \.venv/bin/argus (.+)$", text, flags=re.MULTILINE)
    verbs = [command.split()[0] for command in commands]
    assert verbs == ["data", "data", "init", "train", "train", "eval", "predict", "report"]
    for command in commands:
        # Two small steps take the same path as twenty.
        small = "max_steps=2 per_device_train_batch_size=2"
        written, _, target = command.replace("max_steps=20", small).replace("=10", "=2").partition(" > ")
        if target:
            with Path(target).open("w", encoding="utf-8") as file, redirect_stdout(file):
                assert run(shlex.split(written)) == 0, command
        else:
            assert run(shlex.split(written)) == 0, command
    shown = capsys.readouterr()
    assert "66 images, 606 objects: 0 errors, 1 warning" in shown.out + shown.err
    assert "max_steps: 252 # 42 passes over 48 records" in Path("room.yaml").read_text("utf-8")
    assert json.loads(Path("runs/room/test/figures.json").read_text("utf-8"))["objects"] == 55
    assert Path("runs/room/report.html").stat().st_size > 100_000
    assert [*Path("out").iterdir()]


def test_every_result_file_is_on_the_page_of_benchmarks() -> None:
    text = benchmarks_page.page()
    for file in benchmarks_page.RESULTS.glob("*.json"):
        assert f"benchmarks/results/{file.name}" in text
    for benchmark in benchmarks_page.BENCHMARKS.values():
        for word in benchmark.command.split():
            if "/" in word and word.endswith((".py", ".yaml")):
                assert (ROOT / word).exists(), benchmark.command
    assert "| Argus, seed-0 | 600 | 0.902 | 0.904 |" in text  # as the file has it
    assert "| trainer-random | 1,556 | 1.52 | 30% | 3,077 |" in text


def test_a_result_file_that_nobody_shows_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "2026-01-01-something-new.json").write_text("{}")
    with pytest.raises(LookupError, match="something-new"):
        benchmarks_page.page(tmp_path)


def test_the_configuration_page_has_every_key_with_its_docstring() -> None:
    text = reference_pages.configuration_page()
    for entry in TASKS.values():
        for name, section in entry.config_class().model_fields.items():
            assert f"| `{name}` |" in text
            for key, field in getattr(section.annotation, "model_fields", {}).items():
                lines = [one for one in text.splitlines() if one.startswith(f"| `{key}` |")]
                assert any((field.description or "")[:25] in line for line in lines), key


def test_the_command_page_has_every_command() -> None:
    text = reference_pages.cli_page()
    for words in ("argus train", "argus data convert", "argus recognize table", "argus doctor explain"):
        assert f"\n## {words}\n" in text
    assert "### argus predict --task manipulation" in text
    assert text.count("Usage: argus") > len(VERBS)


def test_the_page_for_trainers_names_our_keys() -> None:
    text = (ROOT / "docs" / "from-trainer.md").read_text("utf-8")
    for theirs, ours in re.findall(r"^\| `(\w+)` \| `(\w+)`", text, flags=re.MULTILINE):
        assert ours in OURS[theirs]


def test_keys_that_pages_name_are_keys() -> None:
    keys = {
        key for section in DetectionRunConfig.model_fields.values()
        for key in getattr(section.annotation, "model_fields", {})
    }  # fmt: skip
    text = "".join(
        (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("losses", "matching", "recovery")
    )
    assert {*re.findall(r"`(detection_\w+)`", text)} <= keys


def test_what_is_extrapolated_to_a_million_follows_from_what_was_measured() -> None:
    text = (ROOT / "docs" / "scale.md").read_text("utf-8")
    results = ROOT / "benchmarks" / "results"

    def read(name: str) -> dict:
        return json.loads((results / name).read_text("utf-8"))

    checked = read("2026-11-21-data-check.json")["check"]["images_per_second"]
    assert f"{checked} photographs a second" in text and f"{1e6 / checked / 3600:.1f} hours" in text
    vectors = read("2026-11-22-extraction-throughput.json")["images_per_second"]["extract, exact"]
    assert f"{vectors:.0f} a second" in text and f"{1e6 / vectors / 3600:.1f} hours" in text
    first = read("2026-11-22-startup-records.json")["starts"]["1000000 records"]["first time"]
    assert f"{first['seconds_after']:.0f} s after the imports, {first['peak_mb']:.0f} MB" in text
    weights, layers, width, tokens = 7.07e9, 28, 3584, 1524
    tower, patches, pairs, tower_width = 6.8e8, 4096, 4096 * (4 * 4096 + 28 * 64), 1280
    flops = (
        6 * weights * tokens
        + 12 * layers * width * tokens**2
        + 6 * tower * patches
        + 12 * tower_width * pairs
    )
    assert f"{flops / 1e13:.1f} \\cdot 10^{{13}}" in text
    for share in (0.2, 0.3, 0.4):
        hours = 1e6 * 8.5e13 / (3600 * 9.89e14 * share)
        assert f"| {share} | {hours:.0f} | {hours * 4 / 3:.0f} | {hours * 4 / 3 / 8:.0f} |" in text


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">x</a><a href="b.html#gone">x</a><img src="c.png">'
    )
    (tmp_path / "b.html").write_text('<p id="there"></p><a href="https://example.org/">x</a>')
    assert site_links.broken_links(tmp_path) == ["a.html: b.html#gone", "a.html: c.png"]
