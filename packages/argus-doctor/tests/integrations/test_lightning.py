from __future__ import annotations

import importlib
import importlib.util

import pytest

from argus_doctor.errors import ArgusError

INSTALLED = importlib.util.find_spec("lightning") is not None


@pytest.mark.skipif(INSTALLED, reason="lightning is installed")
def test_without_lightning_the_extra_is_named() -> None:
    with pytest.raises(ArgusError, match="Lightning is not installed") as raised:
        importlib.import_module("argus_doctor.integrations.lightning")
    assert "pip install lightning" in str(raised.value.remedy)
