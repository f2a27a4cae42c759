"""Each example runs as it stands, and the doctor names its fault."""

from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path

import pytest

FINDINGS = {
    "watch_plain_loop": "N-401",
    "watch_transformers_trainer": "N-411",
    "watch_lightning": "N-402",
}


def test_every_example_is_run(repository: Path) -> None:
    assert {file.stem for file in (repository / "examples").glob("*.py")} == set(FINDINGS)


@pytest.mark.parametrize("name", FINDINGS)
def test_the_doctor_names_the_fault_of_an_example(
    name: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "watch_lightning" and importlib.util.find_spec("lightning") is None:
        pytest.skip("lightning is not installed")
    runpy.run_path(str(repository / "examples" / f"{name}.py"), run_name="__main__")
    said = "".join(capsys.readouterr())
    assert FINDINGS[name] in said and said.count("What to do") == 1, said
