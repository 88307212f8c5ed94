"""How many cores this process may really use: its CPU affinity, and its container's quota.

Libraries size their pools from the host's cores; in a container limited to 2 of 64 that costs a
multiple of the time.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Plan:
    """How the cores are shared out."""

    cores: int
    processes: int
    threads: int
    """Of each process."""


def plan(cores: int, processes: int | None = None, threads: int | None = None) -> Plan:
    """Share out the cores; None leaves a number to the plan.

    By itself every core gets a process with one thread: a second process adds more frames/s than a
    second thread (benchmarks/README.md), and when one dies the others work on. But a batch is
    analysed within one process, so threads are for those who need single batches sooner, or have
    little memory.
    """
    if threads is None:
        threads = 1 if processes is None else max(1, cores // max(1, processes))
    if processes is None:
        processes = max(1, cores // threads)
    return Plan(cores, processes, threads)


def available_cores(cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int:
    """Return the cores that this process may use, at least 1; part of a core counts as one.

    Args:
        cgroups: where the control groups are mounted.
        own: the file that says which of them this process is in.
    """
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = (math.ceil(quota) for quota in _quotas(cgroups, own))
    return max(1, min([granted or 1, *quotas]))


def _quotas(cgroups: Path, own: Path) -> Iterator[float]:
    """Cores that each enclosing control group grants: `cpu.max` of version 2, CFS of version 1."""
    try:
        memberships = own.read_text().splitlines()
    except OSError:
        return
    for membership in memberships:
        _, controllers, path = membership.split(":", 2)
        if controllers == "":
            root = cgroups
        elif "cpu" in controllers.split(","):
            root = cgroups / "cpu"
        else:
            continue
        group = root / path.lstrip("/")
        # A container sees its own group as the root, whatever path the file names.
        for folder in (group, *group.parents):
            yield from _quota(folder)
            if folder == root:
                break


def _quota(folder: Path) -> Iterator[float]:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        if quota not in ("max", "-1"):
            yield int(quota) / int(period)
    except (OSError, ValueError):
        return
