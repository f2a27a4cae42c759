"""The device that was asked for, or an error: never another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from argusvl.core.errors import ConfigError

if TYPE_CHECKING:
    import torch


def usable_device(device: str | torch.device) -> torch.device:
    """A device on which a tensor can be made.

    Args:
        device: As torch names it, e.g. ``cpu`` or ``cuda:1``, or ``auto``: a GPU where there is one.

    Raises:
        ConfigError: The name is unknown, or this machine has no such device.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device {str(device)!r} cannot be used: {str(error).splitlines()[0]}", remedy="use cpu or auto"
        ) from None
    return chosen
