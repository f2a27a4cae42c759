"""README.md: its files exist, and its figures are those of the results; test_docs.py asks for its commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text("utf-8")


def test_every_file_that_readme_names_is_there() -> None:
    linked = [t for t in re.findall(r"\]\(([^)#]+)\)", TEXT) if not t.startswith("http")]
    named = re.findall(r"\b(?:configs|benchmarks|docs)/[\w./-]+\w", TEXT)
    assert linked and named
    assert [t for t in {*linked, *named} if not (ROOT / t).exists()] == []


def test_readme_is_a_page_with_the_two_commands() -> None:
    assert len(TEXT.splitlines()) <= 130
    assert re.search(r"^    make demo ", TEXT, flags=re.MULTILINE)
    assert re.search(r"^    make test ", TEXT, flags=re.MULTILINE)


def result(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf-8"))


def row(begins: str) -> str:
    return next(line for line in TEXT.splitlines() if line.startswith(f"| {begins}"))


def test_figures_are_those_of_the_result_files() -> None:
    for one in result("2026-11-26-boxes")["whole"]:
        if one["what"].startswith("as `argus init` writes it") and one["set"] == "cards":
            assert f"{one['test']['AP50']:.3f}" in row("playing cards")
            assert f"{one['steps']} steps" in row("playing cards")
    for one in result("2026-11-27-cards-figure-argus_tiny")["runs"]:
        assert f"{one['steps']} steps" in row("playing cards")
        assert f"{one['test']['AP50']:.3f}" in row("playing cards")
    for one in result("2026-11-27-bccd-figure-argus_tiny")["runs"]:
        assert f"{one['steps']} steps" in row("BCCD")
        assert f"{one['test']['AP50']:.3f} and {one['test']['AP']:.3f}" in row("BCCD")
    for one in result("2026-11-26-chess-figure-argus_tiny")["runs"]:
        assert f"{one['steps']} steps" in row("chess")
        assert f"{one['test']['AP50']:.3f} and {one['test']['AP']:.3f}" in row("chess")
    assert f"{result('2026-11-22-chess-figure-argus_tiny')['runs'][0]['test']['AP50']:.3f}" in row("chess")
    systems = result("2026-11-26-train-throughput-pictures")["systems"]
    for name in ("packed", "trainer-random", "trainer-grouped"):
        assert f"{systems[name]['real_tokens_per_cpu_second']:,}" in row("real tokens")
    bench = result("2026-11-24-doctor-bench")
    assert "{} of {}".format(*bench["reported"]["summary"]["detected"]) in row("reported faults")
    assert "{} of {}".format(*bench["healthy"]["summary"]["healthy_runs_with_alarm"]) in row(
        "reported faults"
    )
    shots = result("2026-11-21-cifar10-fewshot")["command"]["accuracy"]
    assert [
        abs(100 * shots[k] - float(v)) <= 0.0501
        for k, v in zip(("1", "20"), re.findall(r"([\d.]+) %", row("CIFAR-10")), strict=False)
    ] == [True, True]
    hand = result("2026-11-25-argus-hand")["held_out_drawn_hands"]
    assert f"{hand['mpjpe_root']:.1f} mm" in row("a drawn hand")
    watched = next(iter(result("2026-11-24-doctor-overhead")["machines"].values()))
    assert all(f"× {model['watched']:.3f}" in row("what watching") for model in watched[:2])
