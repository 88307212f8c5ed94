import os
from pathlib import Path

import pytest

from fer_worker.supervision.cpu_plan import Plan, available_cores, plan

GRANTED = len(os.sched_getaffinity(0))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """What /proc/self/cgroup says of a process in the group /pods/pod-1 of version 2."""
    file = tmp_path / "own"
    file.write_text("0::/pods/pod-1\n")
    return file


def limit(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


@pytest.mark.parametrize("cores", [1, 2, 16])
def test_plan_gives_every_core_a_process(cores: int) -> None:
    assert plan(cores) == Plan(cores, processes=cores, threads=1)


def test_plan_keeps_what_is_asked_for() -> None:
    assert plan(4, processes=4) == Plan(4, 4, 1)
    assert plan(4, threads=4) == Plan(4, 1, 4)
    assert plan(2, processes=8, threads=8) == Plan(2, 8, 8)
    assert plan(4, processes=1) == Plan(4, 1, 4)
    assert plan(4, processes=0) == Plan(4, 0, 4)


def test_without_a_quota_the_affinity_counts(tmp_path: Path, own: Path) -> None:
    limit(tmp_path / "pods" / "pod-1", "cpu.max", "max 100000\n")
    assert available_cores(tmp_path, own) == GRANTED
    assert available_cores(tmp_path, tmp_path / "missing") == GRANTED


@pytest.mark.parametrize(("text", "cores"), [("50000 100000", 1), ("100000 100000", 1)])
def test_quota_of_the_own_group_counts(tmp_path: Path, own: Path, text: str, cores: int) -> None:
    limit(tmp_path / "pods" / "pod-1", "cpu.max", text)
    assert available_cores(tmp_path, own) == cores


def test_quota_of_an_enclosing_group_counts(tmp_path: Path, own: Path) -> None:
    limit(tmp_path / "pods", "cpu.max", "20000 100000")
    limit(tmp_path / "pods" / "pod-1", "cpu.max", "max 100000")
    assert available_cores(tmp_path, own) == 1


def test_quota_at_the_root_counts_in_a_container(tmp_path: Path, own: Path) -> None:
    limit(tmp_path, "cpu.max", "100000 100000")  # pods/pod-1 is not to be seen from inside
    assert available_cores(tmp_path, own) == 1


def test_quota_of_version_1_counts(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("3:cpu,cpuacct:/docker/1\n2:memory:/docker/1\n")
    limit(tmp_path / "cpu" / "docker" / "1", "cpu.cfs_quota_us", "100000\n")
    limit(tmp_path / "cpu" / "docker" / "1", "cpu.cfs_period_us", "100000\n")
    assert available_cores(tmp_path, own) == 1


def test_quota_never_adds_cores(tmp_path: Path, own: Path) -> None:
    limit(tmp_path / "pods" / "pod-1", "cpu.max", "99900000 100000")
    assert available_cores(tmp_path, own) == GRANTED
