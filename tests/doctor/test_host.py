"""The state of the machine is read from the files of its system."""

import pytest

from clipbench.doctor import host
from clipbench.doctor.findings import judge_clock, judge_governors, judge_load, judge_quota
from clipbench.doctor.host import cpu_quota, free_memory, governors


def test_this_machine_can_be_read():
    here = host.Host()
    assert here.cores >= 1
    assert here.tick > 0
    assert here.now > here.built - 86400
    assert all(judge(here).detail for judge in (judge_load, judge_quota, judge_governors, judge_clock))


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A control group of version 2 in another, and this process in the inner one."""
    inner = tmp_path / "cgroup" / "outer" / "inner"
    inner.mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    groups_of = host._groups
    monkeypatch.setattr(host, "_groups", lambda cgroups: groups_of(cgroups, own))
    return inner


def test_limits_of_any_control_group_hold(groups, tmp_path):
    top = tmp_path / "cgroup"
    assert cpu_quota(top) is None
    (groups / "cpu.max").write_text("max 100000\n")
    assert cpu_quota(top) is None
    (groups.parent / "cpu.max").write_text("150000 100000\n")
    assert cpu_quota(top) == 1.5

    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 64 kB\nMemAvailable:      8 kB\n")
    assert free_memory(meminfo, top) == 8192
    (groups / "memory.max").write_text("5000\n")
    (groups / "memory.current").write_text("2000\n")
    assert free_memory(meminfo, top) == 3000
    (groups / "memory.max").write_text("max\n")
    assert free_memory(meminfo, top) == 8192
    assert free_memory(tmp_path / "none", top) is None


def test_quota_of_the_first_version_of_control_groups(groups, tmp_path):
    folder = tmp_path / "cgroup" / "cpu"
    folder.mkdir()
    for quota, want in (("-1", None), ("250000", 2.5)):
        (folder / "cpu.cfs_quota_us").write_text(quota)
        (folder / "cpu.cfs_period_us").write_text("100000")
        assert cpu_quota(tmp_path / "cgroup") == want


def test_governors_are_named_once(tmp_path):
    assert governors(tmp_path) == ()
    for number, name in enumerate(["powersave", "performance", "powersave"]):
        folder = tmp_path / f"cpu{number}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(name + "\n")
    assert governors(tmp_path) == ("performance", "powersave")
