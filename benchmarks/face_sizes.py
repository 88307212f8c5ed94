"""What `--min-face-size` costs and finds on frames of three sizes.

python -m benchmarks.face_sizes [FOLDER] [--known FILE] [--plot FILE]

The pictures are the sample frames, and those of FOLDER whose faces are known. FILE says where they
are, as for benchmarks.detection. Each picture is scaled to fit into a frame, so that a face has the
same share of frames of every size. The table of the default set fills the rest.

Frames/s are those of one thread, from JPEG to emotions, with the default options otherwise. The
time is the process's: what else the machine does hardly shows in it. A face is clear if its shorter
side is at least 1.1 times the size that is looked for.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import click
import cv2
import numpy as np

from benchmarks.detection import Known, known_option, known_pictures
from benchmarks.machine import this_machine
from benchmarks.pictures import Picture, encode
from benchmarks.plot import draw_face_sizes
from benchmarks.report import FaceSizeRow
from benchmarks.robustness import moved
from benchmarks.rounds import Rounds, take_turns
from benchmarks.scenes import FRAMES, Scene, draw
from benchmarks.tables import face_sizes
from benchmarks.variants import Command, machine, matches
from fer_schemas import FaceSelection
from fer_worker.inference.factory import create_engine
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.inference.types import Analysis, Box, Engine, EngineOptions, Percent
from fer_worker.limits import FrameLimits

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

FRAME_SIZES: Final = ((640, 360), (1280, 720), (1920, 1080))
"""Width and height in pixels."""
FACE_SIZES: Final[tuple[int | Percent, ...]] = (20, 30, 40, 60, Percent("3%"))
CLEAR: Final = 1.1
"""Shorter side of a clear face, as a multiple of the size that is looked for: so much or more."""

SELECTIONS: Final[tuple[FaceSelection, ...]] = ("first", "all")

KnownFrame = tuple[Picture, Sequence[Box]]
"""A frame, and where its faces are."""


def fitted(image: "BGRImage", boxes: Sequence[Box], width: int, height: int) -> KnownFrame:
    """Scale a picture, and its faces with it, into the middle of a frame of this size."""
    frame = draw(Scene("table", width, height))
    scale = min(width / image.shape[1], height / image.shape[0])
    columns, rows = round(image.shape[1] * scale), round(image.shape[0] * scale)
    left, top = (width - columns) // 2, (height - rows) // 2
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = cv2.resize(image, (columns, rows), interpolation=method)
    frame[top : top + rows, left : left + columns] = shown
    to = np.array([[scale, 0, left], [0, scale, top]])
    return encode("fitted", frame), [moved(box, to) for box in boxes]


def measure(
    folder: Path | None, known: Known, rounds: int
) -> tuple[tuple[FaceSizeRow, ...], dict[str, Rounds]]:
    """Measure every size of a face on frames of every size.

    Args:
        folder: more pictures; those whose faces are not known are left out.
        known: where the faces are.
        rounds: so often every frame is timed.

    Returns:
        A row per size of frames and of a face; frames/s of every round, by size of frames.
    """
    pictures = list(known_pictures([FRAMES, folder] if folder else [FRAMES], known))
    engines = [create_engine(EngineOptions(min_face_size=size)) for size in FACE_SIZES]
    rows: list[FaceSizeRow] = []
    rates: dict[str, Rounds] = {}
    for width, height in FRAME_SIZES:
        frames = [fitted(image, boxes, width, height) for _, image, boxes in pictures]
        # Before the clock runs: what is timed has been done once.
        sides = [_sides(engine, frames) for engine in engines]
        rates[f"{width}x{height}"] = timed = take_turns(
            {
                f"{faces}, {engine.options.min_face_size}": partial(_rate, engine, faces, frames)
                for engine in engines
                for faces in SELECTIONS
            },
            rounds,
        )
        for engine, (found, every) in zip(engines, sides, strict=True):
            size = engine.options.min_face_size
            pixels = engine.options.min_face_pixels(height, width)
            rows.append(
                FaceSizeRow(
                    frames=f"{width}x{height}",
                    min_face_size=str(size),
                    pixels=pixels,
                    first_face=median(timed[f"first, {size}"]),
                    all_faces=median(timed[f"all, {size}"]),
                    clear=sum(side >= CLEAR * pixels for side in every),
                    clear_found=sum(side >= CLEAR * pixels for side in found),
                    known=len(every),
                    found=len(found),
                )
            )
    return tuple(rows), rates


def _sides(engine: Engine, frames: Sequence[KnownFrame]) -> tuple[list[int], list[int]]:
    """Shorter sides of the known faces that are found, and of all."""
    found, every = [], []
    for frame, known in frames:
        sides = [min(box.width, box.height) for box in known]
        boxes = [face.box for face in _analyze(engine, "all", frame).faces]
        found += [sides[index] for index in matches(known, boxes)]
        every += sides
    return found, every


def _rate(engine: Engine, faces: FaceSelection, frames: Sequence[KnownFrame]) -> float:
    started = time.process_time()
    for frame, _ in frames:
        _analyze(engine, faces, frame)
    return len(frames) / (time.process_time() - started)


def _analyze(engine: Engine, faces: FaceSelection, frame: Picture) -> Analysis:
    return engine.analyze(decode_frame(frame.jpeg, FrameLimits()).image, faces)


@click.command(cls=Command, help=__doc__)
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False
)
@known_option
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it, too: PNG.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
def main(folder: Path | None, known: Known, plot: Path | None, rounds: int) -> None:
    """Print the table."""
    rows, _ = measure(folder, known, rounds)
    click.echo(f"{machine()}\n\n{face_sizes(rows).markdown()}")
    if plot is not None:
        draw_face_sizes(rows, this_machine(), datetime.now(UTC), plot)


if __name__ == "__main__":
    main()
