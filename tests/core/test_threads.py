"""Cores that may be used, and threads that do not spin while they wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from argusvl.core import cgroups
from argusvl.core.threads import bound_kernel_cache, divide_cores, share_cores, usable_cores


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Mount of control groups; this process is in none yet. It is bound to eight cores."""
    mount = tmp_path / "cgroup"
    mount.mkdir()
    monkeypatch.setattr(cgroups, "_MOUNT", mount)
    monkeypatch.setattr(cgroups, "_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    return mount


def limit(groups: Path, file: str, text: str) -> None:
    (groups / file).parent.mkdir(parents=True, exist_ok=True)
    (groups / file).write_text(text + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("400000 100000", 4), ("150000 100000", 2), ("5000 100000", 1)]
)
def test_a_containers_quota_limits_the_cores(groups: Path, quota: str, cores: int) -> None:
    (groups.parent / "membership").write_text("0::/pod/container\n", encoding="utf-8")
    limit(groups, "pod/container/cpu.max", quota)
    assert usable_cores() == cores


def test_a_quota_of_a_group_around_ours_limits_them_too(groups: Path) -> None:
    (groups.parent / "membership").write_text("0::/pod/container\n", encoding="utf-8")
    limit(groups, "pod/container/cpu.max", "max 100000")
    limit(groups, "pod/cpu.max", "300000 100000")
    limit(groups, "other/cpu.max", "100000 100000")
    assert usable_cores() == 3


def test_the_first_version_of_control_groups_is_read(groups: Path) -> None:
    # The group is named as the host sees it, while the container sees only its own, at the root.
    (groups.parent / "membership").write_text(
        "4:memory:/docker/a\n3:cpu,cpuacct:/docker/a\n0::/\n", encoding="utf-8"
    )
    limit(groups, "cpu,cpuacct/cpu.cfs_quota_us", "-1")
    limit(groups, "cpu,cpuacct/cpu.cfs_period_us", "100000")
    assert usable_cores() == 8
    limit(groups, "cpu,cpuacct/cpu.cfs_quota_us", "200000")
    assert usable_cores() == 2


def test_without_control_groups_the_cores_are_those_the_process_is_bound_to(groups: Path) -> None:
    assert usable_cores() == 8


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """None of OpenMP's variables is set, and what is set in the test is gone afterwards."""
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_threads_that_wait_soon_sleep_unless_the_user_says_how(
    variables: pytest.MonkeyPatch, groups: Path
) -> None:
    share_cores()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE" and int(os.environ["GOMP_SPINCOUNT"]) <= 10_000
    assert "OMP_NUM_THREADS" not in os.environ, "OpenMP knows by itself which cores a process is bound to"
    variables.delenv("GOMP_SPINCOUNT")
    variables.setenv("OMP_WAIT_POLICY", "ACTIVE")
    share_cores()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE" and "GOMP_SPINCOUNT" not in os.environ
    variables.delenv("OMP_WAIT_POLICY")
    variables.setenv("GOMP_SPINCOUNT", "1000")
    share_cores()
    assert "OMP_WAIT_POLICY" not in os.environ


def test_no_more_threads_are_started_than_a_quota_can_run(
    variables: pytest.MonkeyPatch, groups: Path
) -> None:
    (groups.parent / "membership").write_text("0::/\n", encoding="utf-8")
    limit(groups, "cpu.max", "300000 100000")
    share_cores()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    divide_cores(2)
    assert os.environ["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(("asked", "given"), [(None, "4"), ("1", "1"), ("16", "4"), ("2,2", "4")])
def test_processes_divide_the_cores(
    variables: pytest.MonkeyPatch, groups: Path, asked: str | None, given: str
) -> None:
    if asked is not None:
        variables.setenv("OMP_NUM_THREADS", asked)
    divide_cores(2)
    assert os.environ["OMP_NUM_THREADS"] == given
    divide_cores(100)
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_the_command_says_it_before_torch_is_imported() -> None:
    code = (
        "import os, sys\n"
        "from argusvl.cli import main\n"
        "main.run = lambda arguments: 0 if 'torch' not in sys.modules else 1\n"
        "try:\n"
        "    main.main()\n"
        "finally:\n"
        "    print(os.environ['OMP_WAIT_POLICY'])\n"
    )
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=plain, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "PASSIVE\n"


def test_kernels_that_are_kept_are_bounded_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "")  # so that it is put back afterwards
    del os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]
    bound_kernel_cache()
    assert int(os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]) < 1024
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    bound_kernel_cache()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"
