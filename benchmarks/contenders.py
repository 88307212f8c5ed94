"""What competes. All do the same work: a JPEG file in, the faces and their emotions out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from benchmarks import fer_library
from benchmarks.fer_library import Heights
from fer_schemas import FaceSelection
from fer_worker.inference.native.kernels import VARIABLE
from fer_worker.inference.types import EngineOptions

Analyze = Callable[[bytes], Heights]
"""Analyses a JPEG file. Called from several threads at once."""


AVX2_ONLY: Final = {
    VARIABLE: "avx2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
"""Environment in which this worker's networks, torch and tensorflow use nothing beyond AVX2."""


@dataclass(frozen=True)
class Contender:
    """A way to analyse pictures, over so many processes with so many threads each. Picklable."""

    load: Callable[[int], Analyze]
    """Called in each process with its number of threads."""
    processes: int
    threads: int
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of its processes, beside what they inherit."""


def fer(processes: int, threads: int) -> Contender:
    """The fer library."""
    return Contender(fer_library.load, processes, threads)


def engine(options: EngineOptions, processes: int, threads: int) -> Contender:
    """This worker's engine, called as a worker process calls it."""
    return Contender(partial(_load_engine, options), processes, threads)


def both_options(faces: FaceSelection) -> dict[str, EngineOptions]:
    """The options that are measured, by the names of their columns."""
    return {"compat": EngineOptions.as_fer(faces=faces), "default": EngineOptions(faces=faces)}


def _load_engine(options: EngineOptions, threads: int) -> Analyze:
    # Not above: a process of another contender has no use for the kernels.
    from fer_worker.inference.factory import create_engine
    from fer_worker.inference.jpeg.decoding import decode_frame
    from fer_worker.limits import FrameLimits

    loaded = create_engine(options)
    limits = FrameLimits()

    def analyze(jpeg: bytes) -> Heights:
        analysis = loaded.analyze(decode_frame(jpeg, limits).image, options.faces)
        return tuple(face.box.height for face in analysis.faces)

    return analyze
