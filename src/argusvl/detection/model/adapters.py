"""Adapters in the layers of the stock part: LoRA and the other methods of PEFT.

PEFT puts its layers into the stock model, which stays what our code calls; PEFT's own wrapper is kept beside it, to
save, load and merge as PEFT does. So an adapter is a folder that PEFT alone can load onto the base.

An adapter means nothing without its base. The checkpoint names it by its path and a fingerprint of its weights.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, PeftType, get_peft_model
from peft.utils import get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict
from torch import Tensor, nn
from transformers import Qwen2_5_VLForConditionalGeneration

from argusvl.assets import MODELS, model_folder
from argusvl.core.errors import CheckpointError, ConfigError, ModelError
from argusvl.core.files import real_path
from argusvl.core.weight_files import (
    check_finite,
    check_floats,
    load_safetensors,
    safetensors_names,
    weights_fingerprint,
)
from argusvl.core.wording import listed
from argusvl.detection.data.checkpoint_layout import ADAPTER_CONFIG, ADAPTER_WEIGHTS, stock_folder
from argusvl.detection.model.peft_methods import make_config

PARTS = {
    "llm": r"model\.language_model\.",
    "vision": r"model\.visual\.blocks\.",
    "merger": r"model\.visual\.merger\.",
}
"""Part, named like its group of parameters → how the names of its modules begin."""

_NAME = "default"
_IN_PEFT = "base_model.model."


class Adapter:
    """The adapter in a stock model's layers; ``peft`` is the stock model as PEFT wraps it."""

    def __init__(self, peft: PeftModel) -> None:
        self._peft = peft

    @classmethod
    def add(
        cls,
        qwen: Qwen2_5_VLForConditionalGeneration,
        method: str,
        parts: Sequence[str],
        options: Mapping[str, Any],
        base: Path,
    ) -> Adapter:
        """Puts a new adapter into the layers of a stock model, in place, and freezes everything else of it.

        Args:
            qwen: The stock model.
            method: PEFT's name of the method, in small letters.
            parts: Keys of :data:`PARTS`.
            options: PEFT's options of the method; ``target_modules`` are the last parts of names of layers, by
                default those of all linear layers.
            base: Folder that the stock model was loaded from.

        Raises:
            ConfigError: No layer fits, PEFT refuses the layers, or the method would change the base's own weights.
        """
        pattern = _target_pattern(qwen, parts, options.get("target_modules"))
        before = [(p, _some_of(p)) for p in qwen.parameters()]
        try:
            with warnings.catch_warnings(action="ignore"):  # of its own use of transformers
                wrapped = get_peft_model(qwen, make_config(method, options, pattern))
        except (ValueError, TypeError, NotImplementedError, ImportError) as error:
            raise ConfigError(
                f"PEFT cannot put {method} into these layers: {error}",
                where="peft_options",
                remedy="correct the options, or choose the layers by target_modules",
            ) from error
        if not all(torch.equal(_some_of(p), values) for p, values in before):
            raise ConfigError(
                f"{method} with these options starts by changing the base's own weights: its adapter would not fit "
                "the base as it is on the disk",
                where="peft_options",
                remedy="choose a start that leaves them, e.g. init_lora_weights: true or gaussian",
            )
        assert isinstance(wrapped, PeftModel)
        wrapped.peft_config[_NAME].base_model_name_or_path = str(real_path(base))
        return cls(wrapped)

    @classmethod
    def load(cls, qwen: Qwen2_5_VLForConditionalGeneration, folder: Path) -> Adapter:
        """Puts a saved adapter into the layers of its base, ready to train on.

        Raises:
            CheckpointError: A file is damaged, or does not fit the base.
        """
        _check_present(folder)
        try:
            with warnings.catch_warnings(action="ignore"):  # of keys that a file lacks we tell ourselves
                wrapped = PeftModel.from_pretrained(qwen, str(folder), is_trainable=True, torch_device="cpu")
        except Exception as error:  # whatever PEFT makes of a file that anyone may have written
            raise _unfit(folder, str(error)) from error
        adapter = cls(wrapped)
        adapter._check_complete(folder)
        return adapter

    def load_weights(self, folder: Path) -> None:
        """Takes the weights of a saved adapter of the same shape.

        Raises:
            CheckpointError: A file is damaged, or does not fit.
        """
        _check_present(folder)
        self._check_complete(folder)
        try:
            set_peft_model_state_dict(self._peft, load_peft_weights(str(folder), device="cpu"), _NAME)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise _unfit(folder, str(error)) from error

    def save(self, folder: Path, state: Mapping[str, Tensor]) -> None:
        """Writes the adapter as PEFT does; ``state`` are the stock model's weights by name, as they are to be saved."""
        own = self._peft.state_dict() | {f"{_IN_PEFT}{name}": tensor for name, tensor in state.items()}
        # "auto" would ask the model hub whether the base has the same vocabulary.
        self._peft.save_pretrained(str(folder), state_dict=own, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # a form that nobody has filled in

    @torch.no_grad()
    def merge(self) -> None:
        """Adds the adapter to the base's weights, and takes it out of the layers.

        Raises:
            ModelError: The method cannot be merged.
        """
        method = PeftType(self._peft.peft_config[_NAME].peft_type).value.lower()
        try:
            merged = self._peft.merge_and_unload(safe_merge=True)
        except (ValueError, NotImplementedError, AttributeError) as error:
            raise ModelError(
                f"PEFT cannot merge this adapter, of method {method}: {error}",
                remedy="export it without --merge, to use it through PEFT beside its base",
            ) from error
        merged.requires_grad_(True)

    def _check_complete(self, folder: Path) -> None:
        """PEFT itself leaves what a file lacks at random, with a warning."""
        own = get_peft_model_state_dict(self._peft, adapter_name=_NAME, save_embedding_layers=False)
        found = safetensors_names(folder / ADAPTER_WEIGHTS)
        missing, unexpected = sorted(own.keys() - found), sorted(found - own.keys())
        if missing or unexpected:
            raise _unfit(
                folder,
                f"missing: {listed(missing, 3) or 'none'}; unexpected: {listed(unexpected, 3) or 'none'}",
            )


def describe_base(model_path: Path, stock: Path) -> dict[str, str]:
    """What a checkpoint says of the base of its adapter, the stock part of ``model_path`` as configured: where it is,
    and how it is told from others.
    """
    shipped = str(model_path) in MODELS and not model_path.is_dir()
    path = str(model_path) if shipped else str(real_path(stock))
    return {"path": path, "fingerprint": weights_fingerprint(stock)}


def find_base(described: Mapping[str, str] | None, checkpoint: Path, given: Path | None) -> Path:
    """The stock part that an adapter was trained on, which is ``given``, or where :func:`describe_base` said.

    Raises:
        CheckpointError: It is not there, or is another one.
    """
    if not described or not {"path", "fingerprint"} <= described.keys():
        raise CheckpointError(
            "does not say which base its adapter is for",
            where=checkpoint,
            remedy="use the checkpoint as `argus train` wrote it",
        )
    base = stock_folder(model_folder(described["path"] if given is None else given))
    if not (base / "config.json").is_file():
        raise CheckpointError(
            f"its adapter needs its base, and there is none at {base}",
            where=checkpoint,
            remedy="put the base back there; or, once for all, make a checkpoint that needs none: "
            "`argus export CHECKPOINT OUT --merge --base FOLDER`, with the folder where the base is now",
        )
    if weights_fingerprint(base) != described["fingerprint"]:
        raise CheckpointError(
            f"its adapter is for another base than {base}: the weights there are not those that it was trained on",
            where=checkpoint,
            remedy="give the base that model_path named in training"
            + ("" if given is not None else ", by `argus export --base FOLDER` where it is elsewhere now"),
        )
    return base


def _target_pattern(
    qwen: Qwen2_5_VLForConditionalGeneration, parts: Sequence[str], names: Sequence[str] | None
) -> str:
    """A regular expression for the layers: PEFT's lists of names would match them in every part."""
    alternatives, found = [], set()
    for part in parts:
        inside = {
            name.rpartition(".")[2]
            for name, module in qwen.named_modules()
            if re.match(PARTS[part], name)
            and (isinstance(module, nn.Linear) if names is None else name.rpartition(".")[2] in names)
        }
        found |= inside
        if inside:
            alternatives.append(rf"{PARTS[part]}(.*\.)?({'|'.join(map(re.escape, sorted(inside)))})")
    unknown = sorted(set(names or ()) - found)
    if unknown:
        raise ConfigError(
            f"no layer of {listed(list(parts), 3)} is called {listed(unknown, 3)}",
            where="peft_options.target_modules",
            remedy="write the last parts of layers' names, such as q_proj, or remove target_modules: all linear layers",
        )
    return "|".join(f"({one})" for one in alternatives)


def _some_of(weight: Tensor) -> Tensor:
    """Values from all over a weight, by which a change of it is seen."""
    flat = weight.detach().flatten()
    return flat[:: max(1, len(flat) // 64)].clone()


def _check_present(folder: Path) -> None:
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(f"no {name}", where=folder, remedy="copy the checkpoint again")
    check_floats(folder / ADAPTER_WEIGHTS)  # PEFT's own error does not say which file is truncated
    check_finite(load_safetensors(folder / ADAPTER_WEIGHTS).items(), folder / ADAPTER_WEIGHTS)


def _unfit(folder: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"the adapter does not fit the model: {why}",
        where=folder,
        remedy="use an adapter with the base and the settings that it was trained with",
    )
