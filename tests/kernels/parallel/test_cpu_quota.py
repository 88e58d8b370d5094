"""The number of threads: what the machine, its container and the environment say."""
from __future__ import annotations

import os

import pytest

from minigrad.kernels.parallel import threads


# The number of threads.
@pytest.fixture
def group(tmp_path, monkeypatch):
    """A made-up /sys/fs/cgroup: quota(/proc/self/cgroup, {file: content})."""
    def quota(membership, files):
        (tmp_path / "membership").write_text(membership)
        for name, content in files.items():
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return threads._cpu_quota(str(tmp_path / "root"), str(tmp_path / "membership"))
    return quota


@pytest.mark.parametrize("membership, files, want", [
    ("0::/a/b\n", {"cpu.max": "max 100000\n"}, None),
    ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
    ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"}, 2),
    ("0::/a/b\n", {"a/b/cpu.max": "50000 100000", "a/cpu.max": "200000 100000"}, 0.5),
    ("0::/of/the/host\n", {"cpu.max": "300000 100000"}, 3),
    ("5:cpu,cpuacct:/d\n4:memory:/d\n0::/\n",
     {"cpu/d/cpu.cfs_quota_us": "400000\n", "cpu/d/cpu.cfs_period_us": "100000\n"}, 4),
    ("5:cpu,cpuacct:/d\n",
     {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ("0::/\n", {"cpu.max": "nonsense"}, None),
    ("0::/\n", {}, None),
])
def test_a_containers_quota(group, membership, files, want):
    assert group(membership, files) == want


def test_a_system_without_control_groups(tmp_path):
    assert threads._cpu_quota(str(tmp_path), str(tmp_path / "missing")) is None


@pytest.mark.parametrize("quota, want", [(None, 8), (0.3, 1), (2, 2), (2.5, 3), (64, 8)])
def test_threads_are_no_more_than_the_quota(monkeypatch, quota, want):
    for name in ("MINIGRAD_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "_cpu_quota", lambda *paths: quota)
    assert threads._default_threads() == want
    monkeypatch.setenv("NUMBA_NUM_THREADS", "5")     # who says a number is believed
    assert threads._default_threads() == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert threads._default_threads() == 4
    monkeypatch.setenv("MINIGRAD_NUM_THREADS", "16")
    assert threads._default_threads() == 16
