"""What ships inside the package: small trained models, to start from or to use where no model hub is near."""

from __future__ import annotations

from pathlib import Path

from argusvl.core.files import user_path

MODELS = {
    name: Path(__file__).parent / name.replace("-", "_")
    for name in ("argus-tiny", "argus-hand", "argus-hand-finder")
}
"""Name in ``model_path`` → checkpoint folder; ``scripts/make_argus_*.py`` make them."""


def model_folder(model_path: str | Path) -> Path:
    """The folder that a ``model_path`` means: a shipped model's, or the path itself.

    A folder of the user's that has a shipped model's name wins.
    """
    path = user_path(str(model_path))
    return MODELS.get(str(path), path) if not path.is_dir() else path
