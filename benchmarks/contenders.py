"""What competes. All do the same work: a JPEG file in, the faces and their emotions out."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks import fer_library
from benchmarks.fer_library import Heights
from fer_schemas import FaceSelection
from fer_worker.inference.types import EngineOptions

Analyze = Callable[[bytes], Heights]
"""Analyses a JPEG file. Called from several threads at once."""


@dataclass(frozen=True)
class Contender:
    """A way to analyse pictures, over so many processes with so many threads each. Picklable."""

    load: Callable[[int], Analyze]
    """Called in each process with its number of threads."""
    processes: int
    threads: int


def fer(processes: int, threads: int) -> Contender:
    """The fer library."""
    return Contender(fer_library.load, processes, threads)


def engine(
    options: EngineOptions, processes: int, threads: int, kernel: str | None = None
) -> Contender:
    """This worker's engine, called as a worker process calls it; `None` chooses the kernel."""
    return Contender(partial(_load_engine, options, kernel), processes, threads)


def both_options(faces: FaceSelection) -> dict[str, EngineOptions]:
    """The options that are measured, by the names of their columns."""
    return {"compat": EngineOptions.as_fer(faces=faces), "default": EngineOptions(faces=faces)}


def _load_engine(options: EngineOptions, kernel: str | None, threads: int) -> Analyze:
    # Not above: a process of another contender has no use for the kernels.
    from fer_worker.inference.factory import create_engine
    from fer_worker.inference.jpeg.decoding import decode_frame
    from fer_worker.inference.native.kernels import VARIABLE
    from fer_worker.limits import FrameLimits

    if kernel is not None:
        os.environ[VARIABLE] = kernel
    loaded = create_engine(options)
    limits = FrameLimits()

    def analyze(jpeg: bytes) -> Heights:
        analysis = loaded.analyze(decode_frame(jpeg, limits).image, options.faces)
        return tuple(face.box.height for face in analysis.faces)

    return analyze
