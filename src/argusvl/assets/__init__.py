"""What ships inside the package: the small pre-trained model that Argus starts from where no model hub is near."""

from __future__ import annotations

from pathlib import Path

from argusvl.core.files import user_path

MODELS = {"argus-tiny": Path(__file__).parent / "argus_tiny"}
"""Name in ``model_path`` → checkpoint folder. ``scripts/make_argus_tiny.py`` makes it."""


def model_folder(model_path: str | Path) -> Path:
    """The folder that a ``model_path`` means: a shipped model's, or the path itself.

    A folder of the user's that has a shipped model's name wins.
    """
    path = user_path(str(model_path))
    return MODELS.get(str(path), path) if not path.is_dir() else path
