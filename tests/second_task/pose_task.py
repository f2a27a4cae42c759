"""A second task, whole: the place of a bright spot in small pictures, from folders of ``.npz`` files.

It has nothing of detection: no boxes, no records, no tokens, another figure, and lower is better.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
import typer
from markupsafe import Markup
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from argus_doctor.findings import Finding
from argusvl.config.schema import DataSection, Rate, RunConfig, Section
from argusvl.core.batch import Batch
from argusvl.core.errors import ArgusError, DataError
from argusvl.core.figures import FigureSpec
from argusvl.core.images import open_image
from argusvl.task_parts import Evaluated
from argusvl.training.parallel import Parallel
from argusvl.training.protocol import LossTerm, ParameterGroup
from argusvl.visual.page import page_environment
from argusvl.visual.sections import RunFolder, TaskReport
from argusvl.visual.sections import Section as ReportSection

SIDE = 16
"""Width and height of every picture, pixels."""

FIGURES = {"mpjpe": FigureSpec("mean distance of a point from its truth", "lower", "px")}
WORST = "worst.json"

Picture = NDArray[np.uint8]


class PoseSection(Section):
    """What only this task has."""

    pose_lr: Rate
    """Peak learning rate."""


class PoseRunConfig(RunConfig):
    """The common sections and its own."""

    task: Literal["pose"]
    """Name of the task."""
    data: DataSection
    """``train`` and ``val`` are folders."""
    pose: PoseSection
    """What only this task has."""


# ---- data ------------------------------------------------------------------------------------------------------------


def draw_picture(random: np.random.Generator) -> tuple[Picture, NDArray[np.float32]]:
    """A spot on a noisy ground, ``[16, 16]``, and its centre ``(x, y)`` in pixels."""
    x, y = random.uniform(3, SIDE - 3, 2)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    spot = 200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 6)
    return (spot + random.uniform(0, 30, spot.shape)).astype(np.uint8), np.array([x, y], np.float32)


def synth(
    out: Annotated[Path, typer.Argument(metavar="OUT")],
    images: Annotated[int, typer.Option(help="Pictures to draw.")],
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
) -> None:
    """Draw spots: a .npz file for each picture."""
    out.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for number in range(images):
        picture, point = draw_picture(random)
        np.savez(out / f"{number:04d}.npz", picture=picture, point=point)


class Spots(Dataset[dict[str, Tensor]]):
    """A folder's pictures with their points; in training with noise."""

    def __init__(self, folder: Path, noise: float) -> None:
        self.files = sorted(folder.glob("*.npz"))
        self.noise = noise
        if not self.files:
            raise DataError("holds no .npz file", where=folder, remedy="name another folder")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        with np.load(self.files[index]) as file:
            picture, point = as_tensor(file["picture"]), torch.from_numpy(file["point"])
        return {"picture": picture + self.noise * torch.rand(picture.shape), "point": point}


def as_tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(picture.astype(np.float32) / 255)


# ---- model -----------------------------------------------------------------------------------------------------------


class PoseConfig(PretrainedConfig):
    model_type = "argus_toy_pose"


@dataclass
class PoseOutput(ModelOutput):
    loss_terms: dict[str, Tensor] | None = None
    points: Tensor | None = None


class PoseModel(PreTrainedModel):
    config_class = PoseConfig

    def __init__(self, config: PoseConfig) -> None:
        super().__init__(config)
        self.read = nn.Linear(SIDE * SIDE, 2)
        self.post_init()

    def forward(self, picture: Tensor, point: Tensor | None = None) -> PoseOutput:
        points = self.read(picture.flatten(1)) * SIDE  # [N, 2], pixels
        terms = None if point is None else {"distance": (points - point).abs().sum() / SIDE}
        return PoseOutput(loss_terms=terms, points=points)


# ---- the task as the engine sees it ----------------------------------------------------------------------------------


class PoseTask:
    def __init__(self, config: PoseRunConfig) -> None:
        self.config = config

    def check(self) -> Sequence[Finding]:
        return ()

    def model(self) -> PoseModel:
        return PoseModel(PoseConfig())

    def train_dataset(self) -> Spots:
        return Spots(self.config.data.train, noise=0.1)

    def eval_dataset(self) -> Spots | None:
        return None if self.config.data.val is None else Spots(self.config.data.val, noise=0.0)

    def collate(self, samples: Sequence[dict[str, Tensor]]) -> Batch:
        inputs = {name: torch.stack([s[name] for s in samples]) for name in ("picture", "point")}
        return Batch(inputs, counts={"points": len(samples)})

    def loss_terms(self) -> Sequence[LossTerm]:
        return (LossTerm("distance", "points", 1.0, "distance_loss"),)

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        return (ParameterGroup("all", r".", self.config.pose.pose_lr),)

    def evaluate(self, model: PreTrainedModel, dataset: Dataset[Any], parallel: Parallel) -> dict[str, float]:
        assert isinstance(model, PoseModel) and isinstance(dataset, Spots)
        return {"mpjpe": float(distances(model, dataset).mean())}

    def figures(self) -> Mapping[str, FigureSpec]:
        return FIGURES

    def save_assets(self, folder: Path) -> None:
        (folder / "argus.json").write_text(json.dumps({"task": "pose"}), encoding="utf-8")


@torch.no_grad()
def distances(model: PoseModel, dataset: Spots) -> Tensor:
    """Of each picture's point from its truth, pixels, ``[N]``."""
    samples = [dataset[i] for i in range(len(dataset))]
    points = model(torch.stack([s["picture"] for s in samples])).points
    return (points - torch.stack([s["point"] for s in samples])).norm(dim=-1)


# ---- what stands above the engine ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    x: float
    y: float
    note: str = ""

    def __len__(self) -> int:
        return 1

    def to_jsonl(self, image: str) -> dict[str, Any]:
        return {"image": image, "point": [self.x, self.y]}


@dataclass(frozen=True)
class PosePredictor:
    model: PoseModel
    mirrored: bool

    @torch.no_grad()
    def stream(
        self, images: Sequence[Path], *, batch_size: int, on_error: Callable[[Path, ArgusError], None]
    ) -> Iterator[tuple[Path, Found]]:
        for image in images:
            try:
                picture = np.asarray(open_image(image, exif="upright").convert("L"))
            except ArgusError as error:
                on_error(image, error)
                continue
            x, y = self.model(as_tensor(picture)[None]).points[0].tolist()
            yield image, Found(SIDE - x if self.mirrored else x, y)


def load_predictor(
    checkpoint: Path,
    *,
    device: str,
    mirrored: Annotated[bool, typer.Option("--mirrored", help="Count x from the right.")] = False,
) -> PosePredictor:
    """Find the spot in pictures.

    Examples:

        argus predict runs/pose a.png
    """
    return PosePredictor(PoseModel.from_pretrained(checkpoint).to(device.replace("auto", "cpu")), mirrored)


def evaluate_checkpoint(
    checkpoint: Path, data: Path, *, device: str, batch_size: int, for_report: bool
) -> Evaluated:
    """Measure how far points are from their truth."""
    dataset = Spots(data, noise=0.0)
    found = distances(PoseModel.from_pretrained(checkpoint), dataset)
    worst = {"picture": dataset.files[int(found.argmax())].name, "distance": float(found.max())}

    def write(out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        (out / WORST).write_text(json.dumps(worst), encoding="utf-8")

    return Evaluated({"mpjpe": float(found.mean()), "images": len(dataset)}, write=write)


def task_report(run: RunFolder) -> TaskReport:
    file = run.evaluated / WORST
    if not file.is_file():
        return TaskReport()
    worst = json.loads(file.read_text(encoding="utf-8"))
    text = "<p>The worst picture is {{ picture }}, {{ distance | number }} px away.</p>"
    html = Markup(page_environment().from_string(text).render(worst))
    return TaskReport([ReportSection("points", "Points", html)])


if TYPE_CHECKING:  # as the table holds the tasks that ship
    from argusvl.task_parts import EvaluateCheckpoint, LoadPredictor, MakeTaskReport
    from argusvl.training.protocol import Task

    _task: Callable[[PoseRunConfig], Task] = PoseTask
    _predictor: LoadPredictor[Found] = load_predictor
    _evaluation: EvaluateCheckpoint = evaluate_checkpoint
    _report: MakeTaskReport = task_report
