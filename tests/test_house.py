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


@pytest.mark.parametrize("target", ["setup", "demo", "test", "check", "docs"])
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
    assert installed - {"argus-doctor"} <= names_in(constraints)
    assert not {"torchvision", "timm"} & names_in(constraints)  # each would pull another torch with CUDA
    documented = re.findall(
        r"^\| `([^`]+)`", (repository / "docs/dependencies.md").read_text("utf-8"), re.MULTILINE
    )
    assert {name.lower() for name in documented} == installed | {
        name_of(d) for e in extras.values() for d in e
    }


def test_what_is_imported_is_declared(repository: Path, project: dict[str, Any]) -> None:
    extras = [d for extra in project["project"]["optional-dependencies"].values() for d in extra]
    declared = {name_of(d) for d in [*project["project"]["dependencies"], *extras]}
    # The other halves of pydantic, jinja2, fastapi and uvicorn.
    declared |= {"pydantic-core", "markupsafe", "starlette", "h11"}
    distributions = metadata.packages_distributions() | {"supervision": ["supervision"]}
    for file in sorted((repository / "src").rglob("*.py")):
        for module in imported_by(file) - sys.stdlib_module_names - {"argusvl"}:
            names = {name_of(name) for name in distributions.get(module, [module])}
            assert names & declared, f"{file.relative_to(repository)} imports {module}"


def test_the_doctor_stands_on_torch_numpy_and_rich_alone(repository: Path) -> None:
    package = repository / "packages" / "argus-doctor"
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {name_of(one) for one in project["dependencies"]} == {"torch", "numpy", "rich"}
    extras = {name_of(one) for extra in project["optional-dependencies"].values() for one in extra}
    for file in sorted((package / "src").rglob("*.py")):
        allowed = {"argus_doctor", "torch", "numpy", "rich", *extras, "google"}
        if file.parent.name == "integrations":
            allowed |= {file.stem}
        assert imported_by(file) - sys.stdlib_module_names <= allowed, file


def imported_by(file: Path) -> set[str]:
    """Top-level names of all modules that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


GATES = ("src/argusvl/core/files.py", "src/argusvl/core/images.py", "src/argusvl/core/weight_files.py")
"""Where files of others are opened: ordinary ones only, within limits, and written so that nothing is lost."""

PASSES_BY = {
    "src/argusvl/core/cgroups.py": "files of the kernel",
    "src/argusvl/core/environment.py": "files of the kernel",
    "src/argusvl/core/memory_slope.py": "files of the kernel",
    "src/argusvl/core/threads.py": "files of the kernel",
    "src/argusvl/training/preflight.py": "files of the kernel",
    "src/argusvl/cli/process.py": "the null device, before anything is imported",
    "src/argusvl/run/lock.py": "a lock's descriptor, which is inherited by nobody and holds nothing",
    "src/argusvl/run/checkpoints.py": "writes into an atomic folder",
    "src/argusvl/training/snapshot.py": "writes into an atomic folder",
    "src/argusvl/training/bad_step.py": "writes into an atomic folder",
    "src/argusvl/synthetic/hands/model.py": "an array of the package",
    "src/argusvl/detection/data/preparing/export.py": "writes into an atomic folder",
    "src/argusvl/recognition/few_shot/lance_index.py": "writes into an atomic folder",
    "src/argusvl/visual/chart_files.py": "style sheets of the package",
    "src/argusvl/detection/data/formats/text.py": "YAML by a loader with bounds, of a text that a gate has read",
    "src/argusvl/manipulation/data/formats/dexycb.py": "YAML without objects, and arrays, of what a gate has opened",
    "src/argusvl/detection/data/scan_cache.py": "a cache of our own, whose content a digest seals",
    "src/argusvl/detection/data/sampling/answers.py": "what a model has written, which is repaired first",
    "src/argusvl/detection/data/sampling/tokenizer.py": "what a tokenizer in memory says of itself",
    "src/argusvl/core/ray_cluster.py": "what one process of a command sends to another",
    "src/argusvl/recognition/backbones/transformers_models.py": "what a processor in memory says of itself",
}
"""Files and folders with an opening or a parser beside the gates, and why."""

_OPENING = {"open", "read_text", "read_bytes", "write_text", "write_bytes"}
_CALLS = {
    *("json.load", "json.loads", "yaml.load", "yaml.safe_load", "tomllib.load", "tomllib.loads"),
    *("np.load", "numpy.load", "torch.load", "pickle.load", "pickle.loads", "load_file", "safe_open"),
    *("os.open", "Image.open"),
    *(f"shutil.{name}" for name in ("copy", "copy2", "copyfile", "copytree", "move")),
}
_OWN_READERS = ("files.", "Store.")
"""core.files as a module; stores of vectors, which are opened by their class."""


def passings(file: Path) -> list[str]:
    """Calls in a file that open, parse or copy beside the gates, each with its line."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        method = isinstance(node.func, ast.Attribute) and node.func.attr in _OPENING
        if called not in _CALLS and called != "open" and not method:
            continue
        if any(f"{owner}{called.rpartition('.')[2]}" in called for owner in _OWN_READERS):
            continue
        if called == "json.loads" and ast.unparse(node.args[0]).startswith("json.dumps("):
            continue  # tuples become lists, and nothing is read
        if called == "shutil.copytree" and "copy_function=copy_file" in ast.unparse(node):
            continue
        found.append(f"{file}:{node.lineno}: {called}")
    return found


def test_nothing_is_opened_parsed_or_copied_beside_the_gates(repository: Path) -> None:
    passed_by = set()
    for file in sorted((repository / "src").rglob("*.py")):
        name = file.relative_to(repository).as_posix()
        reason = next((place for place in PASSES_BY if name.startswith(place)), None)
        if name in GATES or not (found := passings(file)):
            continue
        assert reason is not None, (
            f"{found}: use core/files, core/strict_json, core/images or core/weight_files"
        )
        passed_by.add(reason)
    assert passed_by == set(PASSES_BY), "what no longer passes by is no exception"


def test_images_are_opened_in_one_place(repository: Path) -> None:
    """Which formats are read, and by which means, is decided there."""
    opening = [
        path.relative_to(repository).as_posix()
        for path in sorted((repository / "src").rglob("*.py"))
        if re.search(r"\bImage\.open\(|\bImageFile\.Parser\(|\bcv2\.imread", path.read_text(encoding="utf-8"))
    ]
    assert opening == ["src/argusvl/core/images.py"]
