"""The options that are compared for how right they are, and how two answers are compared."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from benchmarks.machine import this_machine
from fer_client.errors import FerWorkerError
from fer_worker.inference.detection import Detection
from fer_worker.inference.native_engine import NativeEngine
from fer_worker.inference.types import Analysis, Box, EngineOptions, Face

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

_AS_FER: Final = EngineOptions.as_fer(faces="all")
_RGB: Final = replace(_AS_FER, detector_color="rgb", min_face_probability=0.9)
_ALIGNED: Final = replace(_RGB, crop="aligned")

VARIANTS: Final[Mapping[str, EngineOptions]] = {
    "fer": _AS_FER,
    "rgb, 0.9": _RGB,
    "rgb, 0.9, 2 views": replace(_RGB, views=2),
    "aligned": _ALIGNED,
    "aligned, 2 views": replace(_ALIGNED, views=2),
    "aligned, 6 views": replace(_ALIGNED, views=6),
}
"""fer's own answers, then option upon option. Their names are those of the tables' rows."""


class Command(click.Command):
    """A command whose errors are a line each."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        try:
            return super().invoke(ctx)
        except FerWorkerError as error:
            raise click.ClickException(str(error)) from error


def machine() -> str:
    """The machine that figures belong to, in a line."""
    here = this_machine()
    versions = ", ".join(f"{name} {version}" for name, version in here.versions.items())
    return (
        f"{here.cpu}, {here.cores} cores, {here.memory_gb} GB, {here.system}, "
        f"Python {here.python}, {versions}, kernels {here.kernels}"
    )


class Comparison:
    """All variants side by side. Those that look for faces alike share what was found.

    Times are the process's: what else the machine does hardly shows in them.
    """

    def __init__(self) -> None:
        self._engines = {name: NativeEngine(options) for name, options in VARIANTS.items()}

    def analyze(self, image: "BGRImage") -> dict[str, Analysis]:
        """What each variant makes of one picture: all its faces."""
        found: dict[EngineOptions, tuple[list[Detection], float]] = {}
        results = {}
        for name, engine in self._engines.items():
            looks = replace(engine.options, crop="fer", views=1)
            if looks not in found:
                started = time.process_time()
                found[looks] = engine.detect(image, "all"), (time.process_time() - started) * 1e3
            detections, detect_ms = found[looks]
            started = time.process_time()
            faces = engine.classify(image, detections)
            results[name] = Analysis(faces, detect_ms, (time.process_time() - started) * 1e3)
        return results


def distance(one: Face, other: Face) -> float:
    """How much of the score lies elsewhere, 0 to 1: the total variation distance of two answers."""
    return sum(abs(score - other.emotions[name]) for name, score in one.emotions.items()) / 2


def dominant(face: Face) -> str:
    """The emotion with the highest score; of equal ones the first."""
    return max(face.emotions, key=lambda emotion: face.emotions[emotion])


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0 to 1."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    shared = max(width, 0) * max(height, 0)
    return shared / (one.area + other.area - shared)


def matches(ones: Sequence[Box], others: Sequence[Box], least: float = 0.3) -> dict[int, int]:
    """Which box of `ones` is which of `others`: pairs of indices, most overlap first, each once."""
    pairs = [
        (overlap(one, other), i, j) for i, one in enumerate(ones) for j, other in enumerate(others)
    ]
    found: dict[int, int] = {}
    for shared, i, j in sorted(pairs, reverse=True):
        if shared >= least and i not in found and j not in found.values():
            found[i] = j
    return found
