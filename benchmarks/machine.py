"""The machine and the versions that figures belong to."""

import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from fer_worker.inference.native.kernels import choose_kernel

PACKAGES: Final = (
    "fer",
    "facenet-pytorch",
    "torch",
    "tensorflow",
    "opencv-python-headless",
    "numpy",
    "pika",
    "celery",
    "dramatiq",
    "faststream",
    "fer-worker",
)


class Machine(BaseModel):
    """Where a run took place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: str
    cores: int
    """That this process may use."""
    memory_gb: int
    system: str
    python: str
    versions: dict[str, str]
    kernels: str
    """Which of the compiled code runs this worker's networks."""

    @property
    def slug(self) -> str:
        """CPU and cores as part of a file name."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.cpu} {self.cores} cores".lower()).strip("-")


@dataclass(frozen=True)
class Memory:
    """Memory of some processes together, in MB (10^6 bytes)."""

    rss: float
    """Resident; a page that several of them share counts in each."""
    pss: float
    """Resident; a shared page counts once."""
    peak: float
    """The most that was ever resident."""


def cores() -> int:
    """Cores that this process may use: `taskset` makes them fewer."""
    return len(os.sched_getaffinity(0))


@cache
def chosen_kernel() -> str:
    """The fastest kernel, chosen once per run."""
    return choose_kernel()


def this_machine() -> Machine:
    """Describe this machine."""
    return Machine(
        cpu=_field("/proc/cpuinfo", "model name") or platform.machine(),
        cores=cores(),
        memory_gb=round(int(_field("/proc/meminfo", "MemTotal").split()[0]) / 1e6),
        system=platform.freedesktop_os_release()["PRETTY_NAME"],
        python=platform.python_version(),
        versions={name: found for name in PACKAGES if (found := _version(name))},
        kernels=chosen_kernel(),
    )


def memory_of(pids: Iterable[int]) -> Memory:
    """Measure some processes together."""
    found = list(pids)
    return Memory(
        rss=sum(_megabytes(pid, "smaps_rollup", "Rss") for pid in found),
        pss=sum(_megabytes(pid, "smaps_rollup", "Pss") for pid in found),
        peak=sum(_megabytes(pid, "status", "VmHWM") for pid in found),
    )


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far, all its threads together."""
    # proc(5): fields 14 and 15 of the line, counted behind the name, which may have spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _megabytes(pid: int, file: str, name: str) -> float:
    return int(_field(f"/proc/{pid}/{file}", name).split()[0]) * 1024 / 1e6


def _field(path: str, name: str) -> str:
    """The first value of a name in one of the kernel's own files; empty if there is none."""
    found = re.search(rf"^{name}\s*:\s*(.+)$", Path(path).read_text(), flags=re.MULTILINE)
    return found.group(1) if found else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
