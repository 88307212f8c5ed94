"""Annotated copies of frames: pictures in a folder."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, count, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from fer_client.errors import FerWorkerError, FrameError
from fer_schemas import FrameResult
from fer_worker.limits import FrameLimits
from fer_worker.tools.files import writing
from fer_worker.tools.media import MediaFrame, encode_jpeg
from fer_worker.tools.submission.answers import Answer

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage


class Annotator:
    """Writes frames with what was found in them into one directory, a JPEG each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stems: dict[tuple[str | None, str], str] = {}
        """What the files of a clip or camera begin with, by camera id and source."""
        self._taken: set[str] = set()
        """Those, and the names of all files, without suffix."""

    def save(self, answer: Answer) -> list[Path | None]:
        """Write the frames of an answered batch, named as they are; one that failed is left out.

        Returns:
            Where each frame is; None for one that was left out.

        Raises:
            FerWorkerError: the directory cannot be written to.
        """
        copies: list[Path | None] = []
        for frame, found, _ in outcomes(answer):
            try:
                image = None if found is None else annotated(frame, found, answer)
            except FrameError:  # larger than the workers' default; theirs take larger ones
                image = None
            if image is None:
                copies.append(None)
                continue
            path = self._directory / f"{self._name(frame, answer.camera_id)}.jpg"
            with writing(path):
                self._directory.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode_jpeg(image))
            copies.append(path)
        return copies

    def close(self) -> None:
        """Nothing is left to be written."""

    def _name(self, frame: MediaFrame, camera_id: str | None) -> str:
        if frame.position is None:
            return self._free(Path(frame.source).stem)
        is_live = frame.captured_at is not None
        source = (camera_id if is_live else None, frame.source)
        if source not in self._stems:
            # An address or an id has what no file should have.
            stem = re.sub(r"\W+", "-", camera_id or frame.source) if is_live else None
            self._stems[source] = self._free(stem or Path(frame.source).stem)
        return self._free(f"{self._stems[source]}-{frame.position:06}")

    def _free(self, name: str) -> str:
        """Take a name, or a similar one: files of several folders may be called alike."""
        numbered = (f"{name}-{number}" for number in count(2))
        free = next(one for one in chain((name,), numbered) if one not in self._taken)
        self._taken.add(free)
        return free


def check_copies(target: Path, sources: Iterable[Path]) -> None:
    """See to it that nothing is drawn over what it is drawn on.

    Args:
        target: folder or video that annotated frames will be written to.
        sources: files that will be sent.

    Raises:
        FerWorkerError: one of them might be replaced, whatever it is called there.
    """
    with writing(target):
        files = target.glob("*.[jJ][pP][gG]") if target.is_dir() else filter(Path.exists, [target])
        there = {(found.st_dev, found.st_ino) for found in map(Path.stat, files)}
        sent = (source.stat() for source in sources) if there else ()
        if any((found.st_dev, found.st_ino) in there for found in sent):
            raise FerWorkerError(f"annotating into {target} would replace what is to be sent")


def outcomes(answer: Answer) -> Iterator[tuple[MediaFrame, FrameResult | None, str]]:
    """Give each frame with what was found in it, or with None and why nothing was."""
    result = answer.result
    found = () if result is None else result.frames
    errors = {} if result is None else {error.frame: str(error.code) for error in result.errors}
    whole = errors.get(None, str(answer.error or "no answer"))
    for number, (frame, analysed) in enumerate(zip_longest(answer.frames, found)):
        if frame is not None:
            is_analysed = analysed is not None and analysed.width is not None
            yield frame, analysed if is_analysed else None, errors.get(number, whole)


def decoded(frame: MediaFrame) -> "BGRImage":
    """Decode a frame, upright.

    Raises:
        FrameError: it cannot be decoded.
    """
    from fer_worker.inference.jpeg.decoding import decode_frame

    return decode_frame(frame.jpeg, FrameLimits()).image


def annotated(frame: MediaFrame, found: FrameResult, answer: Answer) -> "BGRImage":
    """Decode a frame of an answered batch, and draw what was found in it.

    Raises:
        FrameError: it cannot be decoded.
    """
    from fer_worker.tools.media.drawing import annotate

    return annotate(decoded(frame), found, with_bars=answer.has_all_faces)
