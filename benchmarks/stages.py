"""Where the time of a frame goes, stage by stage: milliseconds of one core.

python -m benchmarks.stages [FOLDER] [--compat fer] [--faces all] …

Takes the engine options of the worker's commands, and a folder of pictures instead of the default
set. Each picture is analysed once unmeasured, then `--repeat` times; the time is the process's, so
that other programs hardly show in it.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from benchmarks.pictures import default_pictures, own_pictures
from fer_worker.cli.options import engine_options
from fer_worker.inference.factory import create_engine
from fer_worker.inference.types import Engine, EngineOptions

STAGES = ["decode", "P-Net", "R-Net", "O-Net", "suppression", "emotion"]
"""What resizes for a network counts as the network's."""


class Stopwatch:
    """Adds up what functions take, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def around(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[stage] += time.process_time() - started

        return timed


@click.command(help=__doc__)
@engine_options
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False
)
@click.option("--repeat", default=5, show_default=True)
def main(options: EngineOptions, folder: Path | None, repeat: int) -> None:
    """Print a row per picture and the means."""
    watch = Stopwatch()
    analyze = _timed_engine(create_engine(options), watch)
    rows = []
    click.echo(f"{'':24}{'total':>8}" + "".join(f"{stage:>12}" for stage in STAGES))
    for picture in own_pictures(folder) if folder else default_pictures():
        analyze(picture.jpeg)
        watch.seconds.clear()
        started = time.process_time()
        for _ in range(repeat):
            analyze(picture.jpeg)
        watch.seconds["total"] = time.process_time() - started
        rows.append([watch.seconds[stage] / repeat * 1e3 for stage in ("total", *STAGES)])
        _print(picture.name, rows[-1])
    if rows:
        _print("mean", [sum(column) / len(rows) for column in zip(*rows, strict=True)])


def _print(name: str, row: list[float]) -> None:
    click.echo(f"{name[-24:]:24}{row[0]:8.1f}" + "".join(f"{value:12.1f}" for value in row[1:]))


def _timed_engine(engine: Engine, watch: Stopwatch) -> Callable[[bytes], object]:
    """Put the stopwatch around the stages of a native engine; returns decode and analyse."""
    from fer_worker.inference import native_engine
    from fer_worker.inference.jpeg.decoding import decode_frame
    from fer_worker.limits import FrameLimits

    assert isinstance(engine, native_engine.NativeEngine), "only the native engine has stages"
    ops = type(engine.ops)
    for owner, name, stage in [
        (ops, "cells", "P-Net"),
        (ops, "refine", "R-Net"),
        (ops, "output", "O-Net"),
        (ops, "suppress_by_union", "suppression"),
        (ops, "suppress_by_minimum", "suppression"),
        (native_engine, "classify_faces", "emotion"),
    ]:
        patch.object(owner, name, watch.around(stage, getattr(owner, name))).start()
    decode = watch.around("decode", decode_frame)
    limits = FrameLimits()
    return lambda jpeg: engine.analyze(decode(jpeg, limits).image, engine.options.faces)


if __name__ == "__main__":
    main()
