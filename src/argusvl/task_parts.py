"""What the parts of a task's entry are, beside the engine's :class:`~argusvl.training.protocol.Task`.

A part that computes has few arguments that every task's has; its further keyword arguments with defaults are options of
that task alone, annotated for the command line (``Annotated[int, typer.Option(help=…)]``), and its docstring is the
verb's ``--help``. So its module must be light to import: what does the work is imported inside the function.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image
    from pydantic import BaseModel
    from torch import nn

    from argusvl.core.errors import ArgusError
    from argusvl.visual.sections import RunFolder, Section, TaskReport


ASSETS_FILE = "argus.json"
"""Beside the weights of a checkpoint; its ``task``, or that of the configuration in it, names the task."""


class Prediction(Protocol):
    """What was found in one image."""

    @property
    def note(self) -> str:
        """What the caller should know of the image; empty where there is nothing."""
        ...

    def __len__(self) -> int:
        """How many things were found."""
        ...

    def to_jsonl(self, image: str) -> dict[str, Any]:
        """The line of ``argus predict``: ``image`` under that key, and what was found, in the image's own pixels."""
        ...


T = TypeVar("T")
P_co = TypeVar("P_co", bound=Prediction, covariant=True)
P_contra = TypeVar("P_contra", bound=Prediction, contravariant=True)


class Predictor(Protocol[P_co]):
    """A checkpoint that is loaded, with what was asked of it."""

    def stream(
        self, images: Sequence[Path], *, batch_size: int, on_error: Callable[[Path, ArgusError], None]
    ) -> Iterator[tuple[Path, P_co]]:
        """Predictions in the order of the images; one that cannot be used is told and left out."""
        ...


class LoadPredictor(Protocol[P_co]):
    """``argus predict``: loads a checkpoint; options say what is asked of it."""

    def __call__(self, checkpoint: Path, *, device: str) -> Predictor[P_co]:
        """Raises ``ArgusError`` where the checkpoint or an option cannot be used, before anything heavy is imported."""
        ...


class DrawPrediction(Protocol[P_contra]):
    """``argus predict --draw``: an image with what was found in it."""

    def __call__(self, image: Path, prediction: P_contra, *, font_path: Path | None) -> Image.Image:
        """``font_path``: of what is written; by default one that has Chinese glyphs."""
        ...


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation came to.

    Attributes:
        figures: By name, JSON-ready; what is no figure of the task may be among them.
        show: Shows them to people under a title, on stderr; by default a table of what the task declares.
        write: Writes into a folder what the task's report sections need beside ``figures.json``.
    """

    figures: Mapping[str, Any]
    show: Callable[[str], None] | None = None
    write: Callable[[Path], None] | None = None


class EvaluateCheckpoint(Protocol):
    """``argus eval``: measures a checkpoint on annotated data."""

    def __call__(
        self, checkpoint: Path, data: Path, *, device: str, batch_size: int, for_report: bool
    ) -> Evaluated:
        """``for_report``: whether :attr:`Evaluated.write` will be asked for."""
        ...


MakeTaskReport: TypeAlias = "Callable[[RunFolder], TaskReport]"
"""``argus report``: the sections that the task adds to a run's report. Raises ``DataError`` where a file is damaged."""

CompareRuns: TypeAlias = "Callable[[Mapping[str, RunFolder]], Sequence[Section]]"
"""``argus report RUN RUN``: what evaluations on the same data say of the runs, by their names; the first is compared
with. Raises ``DataError`` where a file is damaged."""


@dataclass(frozen=True, slots=True)
class AttentionMap:
    """Where a model looks in a picture.

    Attributes:
        image: The picture.
        heads: ``[heads, rows, columns]``: each head's attention over a grid that covers the picture.
        name: The picture's.
    """

    image: Image.Image
    heads: NDArray[Any]
    name: str


@dataclass(frozen=True, slots=True)
class Probed:
    """A trained model with a held-out batch, to be looked into.

    Attributes:
        model: In evaluation mode.
        forward: Passes the batch through it, with its targets; nothing in it is random.
        loss: The batch's.
        attention: Where it looks in the batch's pictures; empty where it has nothing of the kind.
        batch: What the batch is, in words.
    """

    model: nn.Module
    forward: Callable[[], Any]
    loss: Callable[[], float]
    attention: Callable[[], Sequence[AttentionMap]]
    batch: str


class ProbeCheckpoint(Protocol):
    """``argus report --probe``: loads a run's checkpoint with a batch of the run's held-out data."""

    def __call__(self, checkpoint: Path, config: Any, *, device: str) -> Probed:
        """``config``: the run's, of the task's class. Raises ``ArgusError`` where one of them cannot be used."""
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture that somebody has sent; its header was checked, its pixels are not decoded yet.

    Attributes:
        data: The bytes of its file.
        size: ``(width, height)`` of the upright picture.
        turned: Whether its EXIF tag says that the stored pixels must be turned.
        max_megapixels: What it may have at most.
    """

    data: bytes
    size: tuple[int, int]
    turned: bool
    max_megapixels: float

    def picture(self) -> Image.Image:
        """Decodes it, upright and RGB.

        Raises:
            ImageError: It is damaged or truncated.
        """
        from argusvl.core.images import open_image

        return open_image("image", exif="upright", max_megapixels=self.max_megapixels, data=self.data)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A question about one picture that a loaded checkpoint answers.

    Attributes:
        path: Where it is asked, e.g. ``/v1/detect``.
        summary: A line about it.
        settings: What may be asked for besides; no field is required, and each has bounds.
        found: What an answer holds besides the picture and the model.
        prepare: ``(upload, settings)`` → what waits for the model. Called on a thread of its own, beside the model's
            work. Raises ``DataError`` where the picture or a setting cannot be used.
        answer: What waits, and the settings of each question → ``found`` for each, in one pass of the model. Never
            called twice at the same time.
        example: Of ``found``, JSON-ready.
        together: Settings → what must be equal for two questions to be answered in one pass.
    """

    path: str
    summary: str
    settings: type[BaseModel]
    found: type[BaseModel]
    prepare: Callable[[Upload, Any], Any]
    answer: Callable[[Sequence[Any], Sequence[Any]], Sequence[BaseModel]]
    example: Mapping[str, Any]
    together: Callable[[Any], Hashable] = lambda settings: None


@dataclass(frozen=True, slots=True)
class Service:
    """A checkpoint that is loaded to answer for as long as a process lives.

    Attributes:
        task: What it was trained for.
        endpoints: What can be asked.
        labels: What it can name; empty where it names nothing.
    """

    task: str
    endpoints: Sequence[Endpoint]
    labels: Sequence[str] = ()


class LoadService(Protocol):
    """``argus serve``: loads a checkpoint, to be asked from outside."""

    def __call__(self, checkpoint: Path, *, device: str) -> Service:
        """Raises ``ArgusError`` where the checkpoint cannot be used, before anything heavy is imported."""
        ...


class Workplace(Protocol):
    """What an agent's tool may reach: files below the folders that were allowed, and checkpoints that were named."""

    def image(self, name: str) -> Path:
        """An image, its bytes and pixels within the limits. Raises ``ArgusError`` of whatever else the name means."""
        ...

    def folder(self, name: str) -> Path:
        """A folder from which no link leads out. Raises ``ArgusError`` of whatever else the name means."""
        ...

    def file_or_folder(self, name: str, *, most_bytes: int) -> Path:
        """As :meth:`folder`, or an ordinary file of at most so many bytes."""
        ...

    def checkpoint(self, name: str | None, task: str) -> Path:
        """The folder of a named checkpoint of the task; its first one without a name."""
        ...

    def loaded(self, folder: Path, load: Callable[[Path], T]) -> T:
        """What ``load`` makes of a checkpoint's folder; kept for the next call."""
        ...

    def shown(self, path: Path) -> str:
        """How a path is named to the agent: as it lies in its folder."""
        ...


@dataclass(frozen=True, slots=True)
class AgentTool:
    """``argus mcp``: a question that an agent may ask.

    Attributes:
        name: Of the tool.
        description: What it does, for the agent.
        request: Its arguments; each field has a description.
        answer: What it gives.
        run: Answers a request. Raises ``ArgusError`` where it cannot.
    """

    name: str
    description: str
    request: type[BaseModel]
    answer: type[BaseModel]
    run: Callable[[Workplace, Any], BaseModel]
