"""What tests of several areas use: the repository, a configuration, a Pascal VOC source, real data, a browser."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import hypothesis
import numpy as np
import pytest
from PIL import ExifTags, Image

from argusvl.core import precision

if TYPE_CHECKING:
    from playwright.sync_api import Browser

VocObject = tuple[str, Sequence[object]]
"""Name and the four values of the box, whatever they are."""

# Tests compute on the CPU, alike on every machine, unless a GPU is named: `make test-gpu` runs those of tests/gpu.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

# The same examples in every run: a change that fails is a change of the code.
hypothesis.settings.register_profile("argus", derandomize=True, deadline=None)
hypothesis.settings.load_profile("argus")


# A shell that starts the tests in the background has them, and what they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Garbage is sought among what the tests make: a million objects of libraries took a tenth of the suite's time."""
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class VocFolder:
    """Writes images and XML below a folder."""

    root: Path

    @staticmethod
    def xml(
        objects: Sequence[VocObject] = (),
        size: tuple[object, object] | None = (64, 48),
        file_name: str = "a.jpg",
    ) -> str:
        """One document; each object stands on its own line, the first on line 3."""
        stated = "" if size is None else f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
        lines = ["<annotation>", f"<filename>{escape(file_name)}</filename>{stated}"]
        for name, (x1, y1, x2, y2) in objects:
            box = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
            lines.append(f"<object><name>{escape(name)}</name><bndbox>{box}</bndbox></object>")
        return "\n".join([*lines, "</annotation>", ""])

    def image(
        self, name: str, size: tuple[int, int] = (64, 48), orientation: int | None = None, seed: int = 0
    ) -> Path:
        """A picture of noise; ``size`` is that of the stored pixels."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
        exif = Image.Exif()
        if orientation is not None:
            exif[ExifTags.Base.Orientation] = orientation
        image.save(path, exif=exif)
        return path

    def text(self, name: str, content: str | bytes) -> Path:
        """Any other file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    def pair(
        self,
        name: str,
        objects: Sequence[VocObject] = (("cell", (4, 4, 40, 30)),),
        size: tuple[int, int] = (64, 48),
        suffix: str = ".jpg",
    ) -> None:
        """An image with its XML beside it."""
        self.image(f"{name}{suffix}", size)
        self.text(f"{name}.xml", self.xml(objects, size, f"{Path(name).name}{suffix}"))

    def tree(self, splits: dict[str, Sequence[str]], objects: Sequence[VocObject] | None = None) -> None:
        """An ``ImageSets/Main`` tree with all the images that its splits name."""
        for split, names in splits.items():
            self.text(f"ImageSets/Main/{split}.txt", "".join(f"{name}\n" for name in names))
            for name in names:
                shown = objects if objects is not None else [("cell", (4, 4, 40, 30))]
                self.image(f"JPEGImages/{name}.jpg")
                self.text(f"Annotations/{name}.xml", self.xml(shown, file_name=f"{name}.jpg"))


@pytest.fixture
def voc(tmp_path: Path) -> VocFolder:
    """An empty source."""
    (tmp_path / "source").mkdir()
    return VocFolder(tmp_path / "source")


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Folder of a shared data set by its name; skips the test where it is absent."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("ARGUS_SHARED_DATA", beside))

    def find(name: str) -> Path:
        if not (root / name).is_dir():
            pytest.skip(f"the shared data set {name} is not at {root} (ARGUS_SHARED_DATA names the folder)")
        return root / name

    return find


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of pyproject.toml."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def complete_config(repository: Path) -> str:
    """YAML of a complete detection run, with sections."""
    return (repository / "tests" / "config" / "complete.yaml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _the_same_precision_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where precision is left to the machine, tests compute in float32."""
    monkeypatch.setattr(precision, "cpu_speed", lambda: 0.5)


@pytest.fixture
def quiet_logging() -> Iterator[None]:
    """The command configures logging; the handlers of this process come back afterwards."""
    root = logging.getLogger("argusvl")
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@dataclass(frozen=True)
class Said:
    """What a call of the command has said."""

    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The values of a stdout of JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def argus(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, quiet_logging: None
) -> Callable[..., Said]:
    """Calls ``argus`` here and now: the exit code is ``code``, and of a user's mistake no traceback is shown."""
    from argusvl.cli.main import run

    monkeypatch.setenv("COLUMNS", "500")  # where lines are broken depends on the length of temporary names

    def call(*words: object, code: int = 0) -> Said:
        capsys.readouterr()
        ended = run([str(word) for word in words])
        said = Said(*capsys.readouterr())
        assert ended == code, said.err
        assert code != 2 or "--debug" in words or "Traceback" not in said.err
        return said

    return call


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a file system of the size asked for (``8m``); skips the test where this process may not mount one."""
    mounted: list[Path] = []

    def make(size: str) -> Path:
        folder = tmp_path / f"disk-{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if (
            shutil.which("mount") is None
            or subprocess.run(command, capture_output=True, check=False).returncode
        ):
            pytest.skip("mounting a small file system is not permitted here")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        # Lazily: a file that is still mapped, or held by a caught error's traceback, decides no test.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium; skips the test where there is none, except in CI.

    One for all areas: a second driver cannot be started beside the first.
    """
    from playwright.sync_api import sync_playwright

    command = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if command is None:
        give_up = pytest.fail if os.environ.get("ARGUS_REQUIRE_CHROMIUM") else pytest.skip
        give_up("Chromium is not installed: apt-get install chromium")
    start = {"executable_path": command, "args": ["--no-sandbox"]}
    with sync_playwright() as driver, driver.chromium.launch(**start) as started:
        yield started
