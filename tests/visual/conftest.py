from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def latin_font(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A font without a single Chinese glyph."""
    from fontTools import subset

    from argusvl.visual.fonts import default_font_path

    options = subset.Options(layout_features=[], hinting=False)
    font = subset.load_font(str(default_font_path()), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=range(0x20, 0x7F))
    subsetter.subset(font)
    path = tmp_path_factory.mktemp("fonts") / "latin.otf"
    subset.save_font(font, str(path), options)
    return path
