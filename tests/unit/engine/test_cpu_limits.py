"""How many CPUs a process may use: control groups of both versions as files, affinity, and for how long it holds."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from mxconv.engine import cpu_limits


@pytest.fixture
def machine(tmp_path):
    """machine(cgroup, mounts, files): a /proc/self of such groups; `{root}` in mounts is where the files are."""

    def make(cgroup: str, mounts: str, files: dict[str, str]) -> Path:
        proc, root = tmp_path / "proc", tmp_path / "sys fs"
        proc.mkdir()
        (proc / "cgroup").write_text(cgroup)
        (proc / "mountinfo").write_text(mounts.replace("{root}", str(root).replace(" ", "\\040")))
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return proc

    return make


V2 = "30 23 0:26 / {root} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = """\
25 20 0:21 / /proc rw - proc proc rw
31 23 0:28 / {root} rw - tmpfs tmpfs rw,mode=755
32 31 0:29 ROOT {root}/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 ROOT {root}/memory rw - cgroup cgroup rw,memory
"""
HYBRID = V1.replace("ROOT", "/") + "41 31 0:38 / {root}/unified rw - cgroup2 cgroup2 rw\n"

CASES = {
    "version 2": ("0::/a/b\n", V2, {"a/b/cpu.max": "150000 100000\n"}, 1.5),
    "version 2, no limit": ("0::/a/b\n", V2, {"a/b/cpu.max": "max 100000\n"}, math.inf),
    "version 2, the parent's limit": (
        "0::/a/b\n", V2, {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "50000 100000\n"}, 0.5),
    "version 2, the least of several": (
        "0::/a/b\n", V2, {"a/b/cpu.max": "300000 100000\n", "a/cpu.max": "2000 1000\n", "cpu.max": "900 100"}, 2.0),
    "version 2, in a container": ("0::/\n", V2, {"cpu.max": "250000 100000\n"}, 2.5),
    "version 2, seen from outside of the namespace": ("0::/../..\n", V2, {"cpu.max": "250000 100000\n"}, 2.5),
    "version 2, another's group": ("0::/a\n", V2, {"b/cpu.max": "100000 100000\n"}, math.inf),
    "version 1": (
        "4:memory:/x\n1:cpu,cpuacct:/a\n", V1.replace("ROOT", "/"),
        {"cpu,cpuacct/a/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/a/cpu.cfs_period_us": "200000\n",
         "memory/x/cpu.cfs_quota_us": "1\n", "memory/x/cpu.cfs_period_us": "1\n"}, 1.5),
    "version 1, no limit": (
        "1:cpu,cpuacct:/a\n", V1.replace("ROOT", "/"),
        {"cpu,cpuacct/a/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/a/cpu.cfs_period_us": "200000\n"}, math.inf),
    "version 1, in a container that sees its path outside": (
        "1:cpu,cpuacct:/docker/abc\n", V1.replace("ROOT", "/docker/abc"),
        {"cpu,cpuacct/cpu.cfs_quota_us": "400000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 4.0),
    "both versions": (
        "1:cpu:/a\n0::/a\n", HYBRID,
        {"cpu,cpuacct/a/cpu.cfs_quota_us": "700\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100\n",
         "unified/a/cpu.max": "600 100"}, 6.0),
    "nonsense": ("what\n0::\n:::\n9:cpu:/\xff\n", "no mounts\n1 2 - cgroup2\n\n", {}, math.inf),
    "nonsense in the quota": ("0::/\n", V2, {"cpu.max": "many 0x10"}, math.inf),
    "no period": ("0::/\n", V2, {"cpu.max": "100"}, math.inf),
    "a period of 0": ("0::/\n", V2, {"cpu.max": "100 0"}, math.inf),
}  # fmt: skip


@pytest.mark.parametrize(("cgroup", "mounts", "files", "expected"), CASES.values(), ids=CASES)
def test_quota(machine, cgroup, mounts, files, expected):
    assert cpu_limits.cgroup_quota(machine(cgroup, mounts, files)) == expected


def test_no_proc_is_no_limit(tmp_path):
    assert cpu_limits.cgroup_quota(tmp_path / "none") == math.inf
    (tmp_path / "cgroup").write_bytes(b"0::/\xff\xfe")
    (tmp_path / "mountinfo").write_bytes(b"\xff")
    assert cpu_limits.cgroup_quota(tmp_path) == math.inf


@pytest.fixture
def fresh(monkeypatch):
    """Nothing remembered; set `fresh.quota`, `fresh.cpus` and `fresh.now`."""

    class Machine:
        quota, cpus, now = math.inf, {0, 1, 2, 5}, 1000.0

    monkeypatch.setattr(cpu_limits, "cgroup_quota", lambda: Machine.quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: Machine.cpus, raising=False)
    monkeypatch.setattr(cpu_limits.time, "monotonic", lambda: Machine.now)
    monkeypatch.setattr(cpu_limits._Quota, "until", 0.0)
    monkeypatch.setattr(cpu_limits, "_known", cpu_limits._Known())
    return Machine


@pytest.mark.parametrize(("quota", "expected"), [(math.inf, 4), (9.0, 4), (2.0, 2), (1.2, 2), (1.0, 1), (0.1, 1)])
def test_a_broken_quota_is_rounded_up(fresh, quota, expected):
    fresh.quota = quota
    assert cpu_limits.usable_cpus() == expected
    assert cpu_limits.affinity() == (0, 1, 2, 5)


def test_changes_are_noticed_after_a_while(fresh):
    assert cpu_limits.usable_cpus() == 4
    fresh.cpus, fresh.quota = {1, 2}, 1.0
    assert cpu_limits.usable_cpus() == 4
    fresh.now += 1
    assert cpu_limits.usable_cpus() == 2
    fresh.now += 20
    assert cpu_limits.usable_cpus() == 1
