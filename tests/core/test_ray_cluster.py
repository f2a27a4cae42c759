from __future__ import annotations

from types import SimpleNamespace

import pytest

from argusvl.core.errors import ConfigError
from argusvl.core.ray_cluster import room


def test_a_cluster_without_room_says_what_is_missing() -> None:
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 8.0, "GPU": 1.0})
    assert room(ray, {"num_cpus": 2}, None, "") == 4
    assert room(ray, {"num_cpus": 2}, 3, "") == 3
    assert room(ray, {"num_cpus": 2, "num_gpus": 1}, None, "") == 1
    with pytest.raises(ConfigError, match="no room for an actor with 64 cpus"):
        room(ray, {"num_cpus": 64}, None, "start more")
