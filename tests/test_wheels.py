"""The two wheels hold what runs, all of it, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from email import message_from_string
from pathlib import Path

import pytest

MEGABYTES = {"argusvl": 25, "argus_doctor": 1}
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds a package's wheel from a copy: what an earlier build has left in the tree is not in it."""
    built: dict[str, Path] = {}

    def build(name: str) -> Path:
        if name not in built:
            folder = tmp_path_factory.mktemp(name)
            source = repository if name == "argusvl" else repository / "packages" / "argus-doctor"
            junk = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source / "src", folder / "src", ignore=junk)
            for file in ("pyproject.toml", "README.md", "LICENSE"):
                shutil.copyfile(source / file, folder / file)
            command = [sys.executable, "-c", BUILD, str(folder)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            (built[name],) = folder.glob("*.whl")
        return built[name]

    return build


def metadata_of(wheel: Path, file: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(f".dist-info/{file}"))
        return archive.read(name).decode("utf-8")


@pytest.mark.parametrize("name", MEGABYTES)
def test_it_holds_the_package_whole_and_nothing_beside_it(
    repository: Path, wheel: Callable[[str], Path], name: str
) -> None:
    root = repository / ("src" if name == "argusvl" else "packages/argus-doctor/src")
    files = (path for path in (root / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    with zipfile.ZipFile(wheel(name)) as archive:
        packed = {n for n in archive.namelist() if ".dist-info/" not in n}
    assert packed == {path.relative_to(root).as_posix() for path in files}
    assert wheel(name).stat().st_size <= MEGABYTES[name] * 1_000_000


def test_what_is_measured_with_and_made_by_stays_outside(wheel: Callable[[str], Path]) -> None:
    with zipfile.ZipFile(wheel("argusvl")) as archive:
        names = archive.namelist()
    assert not [n for n in names if re.search(r"(^|/)(tests?|benchmarks?|suites|peers|scripts|results)/", n)]
    assert {"argusvl/detection/commands/demo.yaml", "argusvl/assets/argus_tiny/model.safetensors"} <= {*names}


def test_the_doctor_asks_for_three_packages(wheel: Callable[[str], Path]) -> None:
    needs = message_from_string(metadata_of(wheel("argus_doctor"), "METADATA")).get_all("Requires-Dist", [])
    always = [need for need in needs if "extra ==" not in need]
    assert {re.split(r"[<>=]", need)[0] for need in always} == {"torch", "numpy", "rich"}


def test_both_bring_their_commands_and_know_each_others_version(wheel: Callable[[str], Path]) -> None:
    ours, doctors = (message_from_string(metadata_of(wheel(name), "METADATA")) for name in MEGABYTES)
    assert "argus = argusvl.__main__:main" in metadata_of(wheel("argusvl"), "entry_points.txt")
    assert "argus-doctor = argus_doctor.__main__:main" in metadata_of(
        wheel("argus_doctor"), "entry_points.txt"
    )
    assert f"argus-doctor[lint,trackers]=={doctors['Version']}" in ours.get_all("Requires-Dist", [])
