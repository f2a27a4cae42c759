"""The device asked for, or an error."""

from __future__ import annotations

import pytest
import torch

from argusvl.core.devices import usable_device
from argusvl.core.errors import ConfigError


def test_a_device_is_the_one_that_was_named() -> None:
    assert usable_device("cpu") == torch.device("cpu")
    assert usable_device(torch.device("cpu")) == torch.device("cpu")
    assert usable_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "", "cpu:x"])
def test_a_device_that_is_not_there_is_an_error_and_no_other_takes_its_place(name: str) -> None:
    with pytest.raises(ConfigError, match="device .* cannot be used") as raised:
        usable_device(name)
    assert "use cpu or auto" in str(raised.value)
