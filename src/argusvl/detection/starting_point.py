"""What a run starts from: random weights, a stock Qwen2.5-VL, or a checkpoint of ours, and what that settles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from argusvl.assets import MODELS, model_folder
from argusvl.core.errors import CheckpointError
from argusvl.core.files import read_json_object
from argusvl.detection.data.checkpoint_layout import has_head

if TYPE_CHECKING:
    from argusvl.detection.model.configuration import ArgusDetectionConfig

_STOCK_TYPE = "qwen2_5_vl"

SHIPPED = "argus-tiny"
"""The shipped model that finds boxes."""


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """What a run starts from.

    Attributes:
        kind: ``random``: new weights; ``stock``: a Qwen2.5-VL, with a new head; ``argus``: a checkpoint of ours.
        model_path: As it stands in the configuration; ``None`` for new weights.
        folder: Where that is.
        head: Shape of the head of a checkpoint of ours.
        longest: Tokens of the longest conversation that the model has been made for, where that is known.
        width: Of the language model, in features, where that is known.
    """

    kind: Literal["random", "stock", "argus"]
    model_path: str | None = None
    folder: Path | None = None
    head: ArgusDetectionConfig | None = None
    longest: int | None = None
    width: int | None = None


def starting_point(model: str | None) -> StartingPoint:
    """What a name, a folder, or nothing means.

    Args:
        model: A Qwen2.5-VL folder in hub layout, a checkpoint of ours, the name of a model that ships with us, or
            ``random``. ``None``: the first model that ships with this installation, else random weights.

    Raises:
        CheckpointError: There is no such model, or the folder is none.
    """
    if model is None:
        model = SHIPPED if MODELS[SHIPPED].is_dir() else "random"
    if model == "random":
        return StartingPoint("random")
    folder = model_folder(model)
    if not folder.is_dir():
        known = SHIPPED
        if model == SHIPPED:
            raise CheckpointError(
                "does not ship with this installation", where=model, remedy="give a folder, or --model random"
            )
        raise CheckpointError(
            "no such folder, and no model of that name",
            where=model,
            remedy=f"give a Qwen2.5-VL folder in hub layout, a checkpoint of ours, {known}, or random",
        )
    if has_head(folder):
        from argusvl.detection.model.loading import load_config

        head = load_config(folder)
        text = head.text_sizes
        return StartingPoint("argus", model, folder, head, text.max_position_embeddings, text.hidden_size)
    longest, width = _stock_sizes(folder)
    return StartingPoint("stock", model, folder, None, longest, width)


def _stock_sizes(folder: Path) -> tuple[int | None, int | None]:
    file = folder / "config.json"
    if not file.is_file():
        raise CheckpointError(
            "no config.json",
            where=folder,
            remedy="give a Qwen2.5-VL folder in hub layout, or a checkpoint that `argus train` wrote",
        )
    values = read_json_object(file, remedy="copy the folder again")
    found = values.get("model_type")
    if found != _STOCK_TYPE:
        raise CheckpointError(
            f"model_type is {found!r}, expected {_STOCK_TYPE!r}",
            where=file,
            remedy="give a Qwen2.5-VL folder in hub layout, or a checkpoint that `argus train` wrote",
        )
    text = values.get("text_config") or values
    longest, width = text.get("max_position_embeddings"), text.get("hidden_size")
    return (longest if isinstance(longest, int) else None), (width if isinstance(width, int) else None)
