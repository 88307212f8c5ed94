"""Where `submit` takes frames from: files, or cameras; and the options that say so."""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import click

from fer_client.errors import FerWorkerError
from fer_schemas import MAX_NAME_LENGTH
from fer_worker.cli.progress import RunStats
from fer_worker.cli.types import NumberRange
from fer_worker.tools.media import (
    Camera,
    MediaFrame,
    batches,
    camera_address,
    expected_frames,
    find_media,
    matching,
    read_frames,
    sendable,
)
from fer_worker.tools.submission.streaming import WINDOW

LIVE_WINDOW = 2
"""Batches of a camera in flight, one analysed and one waiting: what is found should be of now."""

LIVE_HOLD_S = 1.0
"""How long a frame of a camera waits for others to fill its batch."""

RATE = NumberRange(0, 1000, min_open=True)
"""Frames per second that may be asked for; no clip or camera has more."""


@dataclass(frozen=True)
class Cameras:
    """What the options `--camera` say."""

    id: str | None = None
    """Of all sources that have no other one."""
    named: Mapping[str, str] = field(default_factory=dict)
    """Addresses of cameras, by their ids."""


def check_cameras(_: click.Context, __: click.Parameter, given: Sequence[str]) -> Cameras:
    """Read `--camera ID` and `--camera ID=ADDRESS`."""
    plain: list[str] = []
    named: dict[str, str] = {}
    for text in given:
        name, _equals, address = text.partition("=")
        found = camera_address(address)
        name = sendable(text if found is None else name)
        if len(name) > MAX_NAME_LENGTH:
            raise click.BadParameter(f"more than {MAX_NAME_LENGTH} characters")
        if found is None:
            plain.append(name)
        elif name in named:
            raise click.BadParameter(f"two cameras are called {name}")
        else:
            named[name] = found
    if len(plain) > 1 or (plain and named):
        raise click.BadParameter("several cameras are each named as ID=ADDRESS")
    return Cameras(plain[0] if plain else None, named)


def check_rates(
    context: click.Context, parameter: click.Parameter, given: Sequence[str]
) -> Mapping[str | None, float]:
    """Read `--fps N` and `--fps ID=N`: rates by camera id, None for all others."""
    rates: dict[str | None, float] = {}
    for text in given:
        name, equals, number = text.rpartition("=")
        rates[name if equals else None] = RATE.convert(number, parameter, context)
    return rates


@dataclass(frozen=True)
class Reading:
    """How frames are read, of files as of cameras."""

    rates: Mapping[str | None, float]
    """Frames per second to send, by camera id; None for all others."""
    limit: int | None
    """Frames of all files, or of each camera."""
    batch_size: int
    failures: set[int] = field(default_factory=set)
    """Exit codes of what could not be read any further; that is said at once."""

    def rate(self, camera_id: str | None) -> float | None:
        """Give the frames per second to send of a camera."""
        return self.rates.get(camera_id, self.rates.get(None))

    def in_batches(
        self, frames: Iterable[MediaFrame | None], hold_s: float = math.inf
    ) -> Iterator[list[MediaFrame]]:
        """Group frames up to the limit, as `batches` does."""
        return batches(_first(frames, self.limit), self.batch_size, hold_s=hold_s)

    def to_its_end(self, frames: Iterable[MediaFrame | None]) -> Iterator[MediaFrame | None]:
        """Give frames for as long as they can be read, and say why if there are no more."""
        try:
            yield from frames
        except FerWorkerError as error:
            self.failures.add(error.exit_code)
            _say(str(error))


@dataclass(frozen=True)
class Source:
    """Batches to send, one after the other."""

    batches: Iterable[list[MediaFrame]]
    window: int
    """How many may be in flight."""
    stats: RunStats
    camera_id: str | None = None
    files: Sequence[Path] = ()
    """Where its frames come from; none for a camera."""


def open_sources(
    names: Sequence[str],
    cameras: Cameras,
    reading: Reading,
    skipped: list[Path],
    stack: ExitStack,
) -> list[Source]:
    """Find files, or start cameras; what is not there is known before anything is sent.

    Args:
        names: sources as they were typed.
        cameras: those that have names, or the name of all sources.
        reading: how they are read.
        skipped: gets the pictures and clips in folders that cannot be read.
        stack: leaves the cameras.

    Raises:
        FerWorkerError: a path has nothing to send, or an address cannot be read.
        UsageError: there is no source, or those do not go together.
    """
    addresses = [address for name in names if (address := camera_address(name)) is not None]
    found = [(cameras.id, address) for address in addresses] + list(cameras.named.items())
    if len(addresses) < len(names) and found:
        raise click.UsageError("cameras and files do not go together: start a submit for each")
    if len(addresses) > 1 and cameras.id is not None:
        raise click.UsageError("several cameras are each named as --camera ID=ADDRESS")
    if strangers := reading.rates.keys() - {None, cameras.id, *cameras.named}:
        raise click.UsageError(f"--fps: no camera is called {', '.join(map(str, strangers))}")
    if not found and not names:
        raise click.UsageError("name a SOURCE, or a camera: --camera ID=ADDRESS")
    if not found:
        files = find_media(chain.from_iterable(map(matching, names)), skipped.append)
        return [_of_files(files, cameras.id, reading)]
    return [_of_camera(address, name, reading, stack) for name, address in found]


def _of_files(files: Sequence[Path], camera_id: str | None, reading: Reading) -> Source:
    fps = reading.rate(camera_id)
    frames = chain.from_iterable(reading.to_its_end(read_frames(file, fps)) for file in files)
    total = None
    if sys.stderr.isatty():  # for the bar; clips have to be opened for it
        total = sum(expected_frames(file, fps) for file in files)
        total = min(total, reading.limit or total)
    return Source(reading.in_batches(frames), WINDOW, RunStats(total=total), camera_id, files)


def _of_camera(address: str, camera_id: str | None, reading: Reading, stack: ExitStack) -> Source:
    camera = Camera(address, reading.rate(camera_id), say=lambda text: _say(f"{name}: {text}"))
    name = camera_id or camera.name
    stack.enter_context(camera)
    grouped = reading.in_batches(reading.to_its_end(camera.frames()), LIVE_HOLD_S)
    stats = RunStats(name, reading.limit, lambda: camera.trouble)
    return Source(grouped, LIVE_WINDOW, stats, camera_id)


def _say(text: str) -> None:
    click.echo(f"fer-worker: {text}", err=True)


def _first(frames: Iterable[MediaFrame | None], limit: int | None) -> Iterator[MediaFrame | None]:
    """Give so many frames, and no moment without one counts."""
    left = limit
    for frame in frames:
        yield frame
        if left is not None and frame is not None:
            left -= 1
            if left == 0:
                return
