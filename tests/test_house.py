"""The house itself: imports point one way, the documented commands exist, packages are described and pinned."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


def name_of(requirement: str) -> str:
    return re.split(r"[<>=\[ ;]", requirement)[0].lower().replace("_", "-")


def names_in(text: str) -> set[str]:
    return {name_of(line) for line in text.splitlines() if line and not line.startswith("#")}


def test_import_contracts_hold(repository: Path) -> None:
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([tool], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("target", ["setup", "demo", "test", "check"])
def test_make_has_the_documented_targets(repository: Path, target: str) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
    assert f"make {target}" in makefile
    done = subprocess.run(["make", "-n", target], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_dependency_is_justified_and_what_set_up_installs_is_pinned(
    repository: Path, project: dict[str, Any]
) -> None:
    extras = project["project"]["optional-dependencies"]
    installed = {name_of(d) for d in [*project["project"]["dependencies"], *extras["dev"]]}
    constraints = (repository / "constraints.txt").read_text(encoding="utf-8")
    assert all("==" in line for line in constraints.splitlines() if line and not line.startswith("#"))
    assert installed <= names_in(constraints)
    documented = re.findall(
        r"^\| `([^`]+)`", (repository / "docs/dependencies.md").read_text("utf-8"), re.MULTILINE
    )
    assert {name.lower() for name in documented} == installed | {
        name_of(d) for e in extras.values() for d in e
    }


def test_what_is_imported_is_declared(repository: Path, project: dict[str, Any]) -> None:
    extras = [d for extra in project["project"]["optional-dependencies"].values() for d in extra]
    declared = {name_of(d) for d in [*project["project"]["dependencies"], *extras]}
    declared |= {"pydantic-core", "markupsafe"}  # the other half of pydantic and of jinja2
    distributions = metadata.packages_distributions() | {"supervision": ["supervision"]}
    for file in sorted((repository / "src").rglob("*.py")):
        for module in imported_by(file) - sys.stdlib_module_names - {"argusvl"}:
            names = {name_of(name) for name in distributions.get(module, [module])}
            assert names & declared, f"{file.relative_to(repository)} imports {module}"


def imported_by(file: Path) -> set[str]:
    """Top-level names of all modules that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_torch_is_pinned_to_the_version_with_a_cpu_build(repository: Path, project: dict[str, Any]) -> None:
    assert "torch==2.13.0" in (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert "torch>=2.11" in project["project"]["dependencies"]
    pinned = names_in((repository / "constraints.txt").read_text(encoding="utf-8"))
    assert not {"torchvision", "timm"} & pinned  # each would pull another torch with CUDA


def test_images_are_opened_in_one_place(repository: Path) -> None:
    """Which formats are read, and by which means, is decided there."""
    opening = [
        path.relative_to(repository).as_posix()
        for path in sorted((repository / "src").rglob("*.py"))
        if re.search(r"\bImage\.open\(|\bImageFile\.Parser\(|\bcv2\.imread", path.read_text(encoding="utf-8"))
    ]
    assert opening == ["src/argusvl/core/images.py"]
