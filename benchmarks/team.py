"""The processes of a contender, and laps through a set of pictures with all of them.

Each contender has fresh, spawned processes of its own: libraries, thread pools and memory of one
are no matter of another's.
"""

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe

from benchmarks.contenders import Contender
from benchmarks.fer_library import Heights

_SPAWN = multiprocessing.get_context("spawn")  # none of the libraries survives a fork


@dataclass(frozen=True)
class Lap:
    """Every picture analysed once by every process."""

    frames: int
    seconds: float
    """Of the slowest process."""
    answers: list[Heights] = field(repr=False)
    """What was found in each picture, in their order."""

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.frames / self.seconds


class Team:
    """A contender at work, from entering the context until leaving it."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender

    def __enter__(self) -> "Team":
        """Start the processes and wait until they have loaded."""
        pairs = [_SPAWN.Pipe() for _ in range(self._contender.processes)]
        self._pipes = [ours for ours, _ in pairs]
        self._processes = [
            _SPAWN.Process(target=_serve, args=(self._contender, theirs), daemon=True)
            for _, theirs in pairs
        ]
        for process in self._processes:
            process.start()
        for _, theirs in pairs:
            theirs.close()  # so that a process that dies is the end of its pipe
        for pipe in self._pipes:
            pipe.recv()
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(10)
            process.kill()

    @property
    def pids(self) -> list[int]:
        """Of its processes."""
        return [process.pid for process in self._processes if process.pid is not None]

    def lap(self, jpegs: Sequence[bytes]) -> Lap:
        """Have every process analyse all of the files; the first ones are started first."""
        for pipe in self._pipes:
            pipe.send(jpegs)
        laps: list[Lap] = [pipe.recv() for pipe in self._pipes]
        return Lap(
            frames=sum(lap.frames for lap in laps),
            seconds=max(lap.seconds for lap in laps),
            answers=laps[0].answers,
        )


def _serve(contender: Contender, pipe: Pipe) -> None:
    """The target of a process: laps, until the pipe ends."""
    os.environ.update(contender.environment)
    analyze = contender.load(contender.threads)
    with ThreadPoolExecutor(contender.threads) as pool:
        pipe.send("loaded")
        try:
            while True:
                jpegs: Sequence[bytes] = pipe.recv()
                started = time.perf_counter()
                answers = list(pool.map(analyze, jpegs))
                pipe.send(Lap(len(jpegs), time.perf_counter() - started, answers))
        except EOFError:
            return
