"""The table of tasks: name → the task's entry. What stands above the tasks asks here; the engine never does."""

from __future__ import annotations

import contextlib
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from argusvl.assets import MODELS, model_folder
from argusvl.core.errors import ArgusError, CheckpointError, ConfigError
from argusvl.core.figures import FIGURES_FILE
from argusvl.core.files import read_json, real_path
from argusvl.run.layout import CONFIG_FILE
from argusvl.task_parts import ASSETS_FILE

if TYPE_CHECKING:
    from argusvl.config.loading import RawConfig
    from argusvl.config.schema import RunConfig
    from argusvl.core.figures import FigureSpec

Part = Literal[
    "predictor", "evaluation", "report", "pictures", "probe", "comparison", "service", "agent_tools"
]

DEFAULT_TASK = "detection"
"""Of checkpoints that name none: folders in hub layout, and what ships."""


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """Where a task's parts are, as ``module:name``; imported only when asked for. All but two may be absent.

    Attributes:
        config: Its configuration class.
        summary: What it learns, in a line.
        finds: What its predictor finds in a picture, one of them.
        task: What makes, from a configuration, the :class:`~argusvl.training.protocol.Task` that the engine trains.
        figures: The table of its figures: name → :class:`~argusvl.core.figures.FigureSpec`.
        predictor: A :class:`~argusvl.task_parts.LoadPredictor`.
        pictures: A :class:`~argusvl.task_parts.DrawPrediction` for what the predictor finds.
        evaluation: An :class:`~argusvl.task_parts.EvaluateCheckpoint`.
        evaluation_files: What its evaluation writes into a folder beside ``figures.json``.
        report: A :class:`~argusvl.task_parts.MakeTaskReport`.
        probe: A :class:`~argusvl.task_parts.ProbeCheckpoint`.
        comparison: A :class:`~argusvl.task_parts.CompareRuns`.
        service: A :class:`~argusvl.task_parts.LoadService`.
        agent_tools: A tuple of :class:`~argusvl.task_parts.AgentTool`.
        commands: Commands of its own under the verbs that are left to the tasks: ``init``, ``data convert``,
            ``inspect tokens``. The function's signature is the command line.
    """

    config: str
    task: str
    summary: str = ""
    finds: str = "object"
    figures: str | None = None
    predictor: str | None = None
    pictures: str | None = None
    evaluation: str | None = None
    evaluation_files: tuple[str, ...] = ()
    report: str | None = None
    probe: str | None = None
    comparison: str | None = None
    service: str | None = None
    agent_tools: str | None = None
    commands: Mapping[str, str] = field(default_factory=dict)

    def config_class(self) -> type[RunConfig]:
        """The configuration class."""
        found: type[RunConfig] = pkgutil.resolve_name(self.config)
        return found

    def task_class(self) -> Any:
        """What meets ``training.protocol.Task`` when it is called with a configuration."""
        return pkgutil.resolve_name(self.task)

    def has_verb(self, verb: str) -> bool:
        """Whether it has a part, or a command, for ``argus VERB``."""
        part = {"predict": self.predictor, "eval": self.evaluation}.get(verb)
        return part is not None or any(command.split()[0] == verb for command in self.commands)

    def figure_specs(self) -> Mapping[str, FigureSpec]:
        """What it declares of its figures."""
        found: Mapping[str, FigureSpec] = {} if self.figures is None else pkgutil.resolve_name(self.figures)
        return found


TASKS: dict[str, TaskEntry] = {
    "detection": TaskEntry(
        config="argusvl.detection.config:DetectionRunConfig",
        task="argusvl.detection.task:DetectionTask",
        summary="find and describe every object in an image",
        figures="argusvl.detection.measure.figures:FIGURES",
        predictor="argusvl.detection.commands.prediction:load_predictor",
        pictures="argusvl.detection.commands.prediction:draw",
        evaluation="argusvl.detection.commands.evaluation:evaluate_checkpoint",
        evaluation_files=(
            "predictions.jsonl",
            "answers.jsonl",
            "gallery.json",
            "precision_recall.json",
            "calibration.json",
        ),
        report="argusvl.detection.report.sections:task_report",
        probe="argusvl.detection.commands.probing:probe",
        comparison="argusvl.detection.report.comparison:compare",
        service="argusvl.detection.commands.service:load_service",
        agent_tools="argusvl.detection.commands.agent_tools:TOOLS",
        commands={
            "demo": "argusvl.detection.commands.demo:demo",
            "init": "argusvl.detection.commands.init:init",
            "export": "argusvl.detection.commands.export:export",
            "data convert": "argusvl.detection.commands.data:convert",
            "data export": "argusvl.detection.commands.data:export",
            "data check": "argusvl.detection.commands.data:check",
            "data synth": "argusvl.detection.commands.data:synth",
            "data split": "argusvl.detection.commands.data:split",
            "data pool": "argusvl.detection.commands.data:pool",
            "data prelabel": "argusvl.detection.commands.data:prelabel",
            "data next": "argusvl.detection.commands.next_pictures:next_pictures",
            "inspect tokens": "argusvl.detection.commands.inspect:tokens",
            "inspect params": "argusvl.detection.commands.inspect:params",
            "inspect memory": "argusvl.detection.commands.inspect_memory:memory",
        },
    ),
    "manipulation": TaskEntry(
        config="argusvl.manipulation.config:HandRunConfig",
        task="argusvl.manipulation.task:HandTask",
        finds="hand",
        summary="find the joints of a hand, and the pose of what it holds",
        figures="argusvl.manipulation.measure.metrics:FIGURES",
        predictor="argusvl.manipulation.commands.prediction:load_predictor",
        pictures="argusvl.manipulation.commands.prediction:draw",
        evaluation="argusvl.manipulation.commands.evaluation:evaluate_checkpoint",
        evaluation_files=("hands",),
        report="argusvl.manipulation.report.sections:task_report",
        service="argusvl.manipulation.commands.service:load_service",
        agent_tools="argusvl.manipulation.commands.agent_tools:TOOLS",
        commands={"init": "argusvl.manipulation.commands.init:init"},
    ),
}


def load_run_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Loads a run's configuration by the schema of the task that it names.

    Args:
        path: The YAML file: with sections, flat, or mixed.
        overrides: ``key=value`` texts; the value is YAML, the key bare or with its sections.

    Raises:
        ConfigError: The task is unknown, or a key is missing, unknown, ill-typed, given twice, or contradicts
            another.
    """
    from argusvl.config.loading import build, read_config

    raw = read_config(path, overrides)
    return build(raw, _entry(raw).config_class())


def task_entry(name: str) -> TaskEntry:
    """The entry of a task.

    Raises:
        ConfigError: There is no such task.
    """
    if name not in TASKS:
        from argus_doctor.wording import did_you_mean

        raise ConfigError(f"unknown task {name!r}{did_you_mean(name, TASKS)}", remedy=_known())
    return TASKS[name]


def task_part(name: str, part: Part) -> Any:
    """A part of a task's entry; :mod:`argusvl.task_parts` says what it can do.

    Raises:
        ConfigError: There is no such task, or it has no such part.
    """
    place: str | None = getattr(task_entry(name), part)
    if place is None:
        those = [other for other, entry in TASKS.items() if getattr(entry, part) is not None]
        raise _lacking(name, f"no {part}", those)
    return pkgutil.resolve_name(place)


def task_command(name: str, command: str) -> Callable[..., Any]:
    """A command of a task, e.g. ``data convert``.

    Raises:
        ConfigError: There is no such task, or it has no such command.
    """
    place = task_entry(name).commands.get(command)
    if place is None:
        those = [other for other, entry in TASKS.items() if command in entry.commands]
        raise _lacking(name, f"no `argus {command}`", those)
    found: Callable[..., Any] = pkgutil.resolve_name(place)
    return found


def task_at(path: str | Path) -> str | None:
    """The task of a checkpoint, a run's folder, an evaluation's or a configuration; ``None`` where it does not say.

    Args:
        path: As users give it. What is damaged does not say; who needs it will find out.
    """
    with contextlib.suppress(ArgusError, OSError, ValueError):
        place = real_path(model_folder(path))
        if place.is_file():
            return _task_in_config(place) if place.suffix in (".yaml", ".yml") else None
        for name in (ASSETS_FILE, FIGURES_FILE):
            if (place / name).is_file() and (found := _task_in_json(place / name)):
                return found
        run = place.parent if re.fullmatch(r"(checkpoint|best)-\d+", place.name) else place
        return _task_in_config(run / CONFIG_FILE)
    return None


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint that a path or name means: what ships, a run's best or newest, or the folder itself.

    Raises:
        CheckpointError: There is no such folder, or the record of the best one is damaged.
    """
    from argusvl.run.checkpoints import checkpoint_at

    folder = checkpoint_at(model_folder(path))
    if not folder.is_dir():
        shipped = " or ".join(MODELS)
        raise CheckpointError(
            "no such checkpoint folder", where=folder, remedy=f"check the path, or take {shipped}"
        )
    return folder


def _known() -> str:
    return f"write one of: {', '.join(TASKS)}"


def _lacking(name: str, what: str, those: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"the task {name} has {what}", remedy=f"tasks that have it: {', '.join(those) or 'none'}"
    )


def _entry(raw: RawConfig) -> TaskEntry:
    named = raw.task
    if named is None:
        raise ConfigError("task: missing. It is: the name of the task", where=raw.source, remedy=_known())
    if not isinstance(named.value, str):
        raise ConfigError(f"task: should be text, found {named.value!r}", where=named.where, remedy=_known())
    try:
        return task_entry(named.value)
    except ConfigError as error:
        raise ConfigError(f"task: {error.what}", where=named.where, remedy=error.remedy) from None


def _task_in_json(file: Path) -> str | None:
    value = read_json(file)
    if not isinstance(value, dict):
        return None
    config = value.get("config")
    named = value.get("task") or (config.get("task") if isinstance(config, dict) else None)
    return named if isinstance(named, str) else None


def _task_in_config(file: Path) -> str | None:
    if not file.is_file():
        return None
    from argusvl.config.loading import read_config

    named = read_config(file).task
    return named.value if named is not None and isinstance(named.value, str) else None


if TYPE_CHECKING:  # mypy holds the parts of each task to what they are said to be
    from argusvl.detection.commands import agent_tools, evaluation, prediction, probing
    from argusvl.detection.config import DetectionRunConfig
    from argusvl.detection.data.detections import Detections
    from argusvl.detection.report import comparison, sections
    from argusvl.detection.task import DetectionTask
    from argusvl.manipulation.commands import agent_tools as hand_agent_tools
    from argusvl.manipulation.commands import evaluation as hand_evaluation
    from argusvl.manipulation.commands import prediction as hand_prediction
    from argusvl.manipulation.config import HandRunConfig
    from argusvl.manipulation.predict.predictor import Hand, Hands
    from argusvl.manipulation.report import sections as hand_report
    from argusvl.manipulation.task import HandTask
    from argusvl.task_parts import (
        AgentTool,
        CompareRuns,
        DrawPrediction,
        EvaluateCheckpoint,
        LoadPredictor,
        MakeTaskReport,
        ProbeCheckpoint,
    )
    from argusvl.training.protocol import DrawsPictures, FinishesRuns, Task

    _task: Callable[[DetectionRunConfig], Task] = DetectionTask
    _shows: Callable[[DetectionRunConfig], DrawsPictures] = DetectionTask
    _finishes: Callable[[DetectionRunConfig], FinishesRuns] = DetectionTask
    _predictor: LoadPredictor[Detections] = prediction.load_predictor
    _pictures: DrawPrediction[Detections] = prediction.draw
    _evaluation: EvaluateCheckpoint = evaluation.evaluate_checkpoint
    _report: MakeTaskReport = sections.task_report
    _probe: ProbeCheckpoint = probing.probe
    _comparison: CompareRuns = comparison.compare
    _agent_tools: tuple[AgentTool, ...] = agent_tools.TOOLS

    _hand_task: Callable[[HandRunConfig], Task] = HandTask
    _hand_shows: Callable[[HandRunConfig], DrawsPictures] = HandTask
    _hand_predictor: LoadPredictor[Hand | Hands] = hand_prediction.load_predictor
    _hand_pictures: DrawPrediction[Hand | Hands] = hand_prediction.draw
    _hand_evaluation: EvaluateCheckpoint = hand_evaluation.evaluate_checkpoint
    _hand_report: MakeTaskReport = hand_report.task_report
    _hand_agent_tools: tuple[AgentTool, ...] = hand_agent_tools.TOOLS
