"""``argus init`` for hands: a complete configuration, each value that the data decided with the reason why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argusvl.assets import model_folder
from argusvl.config.commented_yaml import write_commented_yaml
from argusvl.config.loading import config_from_mapping
from argusvl.core.files import read_json_object
from argusvl.manipulation.config import HandRunConfig
from argusvl.manipulation.data.dataset import usable
from argusvl.manipulation.data.reading import Format, open_hands
from argusvl.manipulation.model.losses import LOSSES
from argusvl.manipulation.predict.checkpoint import HandAssets
from argusvl.run.checkpoints import checkpoint_at

EVALUATIONS = 5
_BATCH = 16
_PASSES = 152_000
"""Hands that a new model sees, one after the other; as many as with `configs/argus_hand.yaml`."""
_PASSES_FROM_BASE = 19_200
"""As many as with `configs/manipulation_demo.yaml`."""
_SURVEYED = 400

MODEL: dict[str, Any] = {
    "model_path": None,
    "encoder": "efficientnet-lite0",
    "encoder_stages": 5,
    "frozen_stages": 1,
    "positions": True,
    "image_size": 128,
    "hidden_size": 128,
    "num_layers": 2,
    "num_heads": 4,
    "num_refinement_steps": 2,
    "sigma_reparam": True,
    "dropout": 0.0,
    "wide_initialisation": False,
    "objects": [],
}
RATES = {"encoder_lr": 1e-3, "decoder_lr": 2e-3, "refinement_lr": 2e-3, "heads_lr": 2e-3}
RATES_FROM_BASE = {"encoder_lr": 2e-4, "decoder_lr": 5e-4, "refinement_lr": 5e-4, "heads_lr": 5e-4}


def make_starting_config(
    train: Path,
    val: Path | None,
    format_name: Format,
    train_options: Mapping[str, Any],
    val_options: Mapping[str, Any],
    base: str | None = None,
) -> str:
    """The text of a configuration for training data and held-out data of the same format.

    ``base`` is the checkpoint to start from: a name, a run or a folder.

    Raises:
        ArgusError: The data cannot be read, or show no hand; or the checkpoint is none of hands, or damaged.
    """
    of_base: dict[str, Any] = {}
    box_margin = 1.25
    if base is not None:
        checkpoint = checkpoint_at(model_folder(base))
        assets = HandAssets.load(checkpoint)
        shape = read_json_object(checkpoint / "config.json", remedy="copy the checkpoint again")
        of_base = {key: shape[key] for key in MODEL if key in shape}
        of_base |= {"model_path": base, "image_size": assets.image_size}
        of_base["frozen_stages"], box_margin = shape["encoder_frozen_stages"], assets.box_margin
    hands = open_hands(train, format_name, train_options)
    if val is not None:
        open_hands(val, format_name, val_options)
    evenly = range(0, len(hands), max(1, len(hands) // _SURVEYED))
    surveyed = usable([hands[number] for number in evenly])
    objects = sorted({one.held.name for one in surveyed if one.held is not None})
    passes = _PASSES if base is None else _PASSES_FROM_BASE
    every = max(1, passes // _BATCH // EVALUATIONS)
    folder = train.name if train.is_dir() else train.stem
    values: dict[str, Any] = {
        "task": "manipulation",
        "data": {
            "train": str(train),
            **({} if val is None else {"val": str(val)}),
            "max_examples": None,
            "format": format_name,
            **({"train_options": dict(train_options)} if train_options else {}),
            **({"val_options": dict(val_options)} if val_options else {}),
            "box_margin": box_margin,
            "input_noise": 0.0,
            "input_noise_epochs": 0.0,
            "augmentation": {
                **{"rotation": 90.0, "scale": 0.2, "shift": 0.08},
                **{"colour": 0.3, "blur": 0.2, "noise": 0.03, "erase": 0.3, "greyscale": 0.1, "texture": 0.0},
            },
        },
        "model": MODEL | {"objects": objects} | of_base,
        "losses": {f"{name}_weight": spec.weight for name, spec in LOSSES.items()},
        "training": {
            "output_dir": f"runs/{folder}",
            "run_name": folder,
            "seed": 0,
            "num_train_epochs": 1,
            "max_steps": every * EVALUATIONS,
            "per_device_train_batch_size": _BATCH,
            "per_device_eval_batch_size": 64,
            "gradient_accumulation_steps": 1,
            **(RATES if base is None else RATES_FROM_BASE),
            "weight_decay": 0.05,
            "adam_beta2": 0.98,
            "lr_scheduler_type": "cosine",
            "warmup_ratio": 0.05,
            "max_grad_norm": 10.0,
            "ema_decay": 0.995,
            "bf16": "auto",
            "gradient_checkpointing": False,
            "eval_steps": every,
            "save_steps": every,
            "save_total_limit": 2,
            "logging_steps": 20,
            "metric_for_best_model": "mpjpe_root",
        },
        "infrastructure": {
            "device": "auto",
            "report_to": ["tensorboard"],
            "dataloader_num_workers": 1,
            "log_level": "info",
        },
    }
    config_from_mapping(values, HandRunConfig, "argus init")
    over = every * EVALUATIONS * _BATCH / len(hands)
    steps = f"{over:{'.3g' if over < 100 else '.0f'}} passes over {len(hands)} hands"
    known = "objects of the training data whose pose is learned"
    edges = "edges and colours at half of the picture's size: they cost most and change least"
    comments: dict[tuple[str, ...], str] = {
        ("data", "box_margin"): "the crop shows a little more than the hand's box",
        ("data", "input_noise"): "above 0 where predictions begin as the mean pose and stay so",
        ("data", "augmentation", "texture"): "0.5 where the hands are drawn and photographs are what counts",
        ("model", "objects"): known if objects else "the first records hold no object whose pose is known",
        ("model", "frozen_stages"): edges,
        ("training", "num_train_epochs"): "max_steps decides",
        ("training", "max_steps"): steps,
        ("training", "eval_steps"): f"{EVALUATIONS} times, the last one at the end",
    }
    head = f"Hands of {train}, read as {format_name}. Train: argus train THIS_FILE"
    return write_commented_yaml(values, comments, head)
