from __future__ import annotations

from types import SimpleNamespace

import pytest

from argusvl.core.errors import ArgusError, ConfigError
from argusvl.core.ray_cluster import map_items, room


def test_a_cluster_without_room_says_what_is_missing() -> None:
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 8.0, "GPU": 1.0})
    assert room(ray, {"num_cpus": 2}, None, "") == 4
    assert room(ray, {"num_cpus": 2}, 3, "") == 3
    assert room(ray, {"num_cpus": 2, "num_gpus": 1}, None, "") == 1
    with pytest.raises(ConfigError, match="no room for an actor with 64 cpus"):
        room(ray, {"num_cpus": 64}, None, "start more")


def test_a_cluster_that_does_not_start_is_no_mistake_of_ours() -> None:
    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nMore.")

    ray = SimpleNamespace(is_initialized=lambda: False, init=init)
    answers = map_items(ray, object, [1], threads=1, on_gpu=False, actors=1, remedy="")
    with pytest.raises(
        ArgusError, match=r"Ray could not be started or joined: The current node timed out during startup\.\n"
    ):
        next(answers)
