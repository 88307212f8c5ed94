"""Picture files and clips: found, and read as frames."""

import glob
import mimetypes
import re
from collections.abc import Callable, Iterable, Iterator, Set
from pathlib import Path
from typing import Final

from fer_client.errors import FerWorkerError
from fer_worker.inference.jpeg.kinds import start_of_jpeg
from fer_worker.tools.files import reading
from fer_worker.tools.media.clips import clip_length, read_clip
from fer_worker.tools.media.frames import MediaFrame, encode_jpeg, frame_id, sendable

JPEG_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
OTHER_SUFFIXES: Final = frozenset({".bmp", ".png", ".tif", ".tiff", ".webp"})
PICTURE_SUFFIXES: Final = JPEG_SUFFIXES | OTHER_SUFFIXES
CLIP_SUFFIXES: Final = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"})


def matching(text: str) -> list[Path]:
    """List the paths that a name stands for: itself, or what it matches as a pattern.

    A pattern is one that the shell has left as it was, in quotes or too long for it: `*`, `?`,
    `[…]`, and `**` for folders of any depth. What is in a folder that it matches as well is left
    out: it comes with the folder.

    Raises:
        FerWorkerError: a pattern that nothing matches.
    """
    path = Path(text)
    if path.exists() or not glob.has_magic(text):
        return [path]
    names = glob.glob(text, recursive=True)  # noqa: PTH207 - Path takes no absolute one
    if found := set(map(Path, names)):
        return sorted((path for path in found if found.isdisjoint(path.parents)), key=_by_number)
    raise FerWorkerError(f"nothing matches {text}")


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """List the picture files that paths stand for, in the order given.

    Folders are searched with their subfolders, by file name, `frame-2` before `frame-10`; hidden
    files and folders are left out.

    Raises:
        FerWorkerError: a path is missing, no picture, or a folder without one.
    """
    return [file for path in paths for file in _files(path, PICTURE_SUFFIXES, "picture")]


def find_media(
    paths: Iterable[Path], on_skipped: Callable[[Path], object] = lambda _: None
) -> list[Path]:
    """List the picture files and clips that paths stand for, as `find_pictures` does.

    Args:
        paths: in the order in which they are wanted.
        on_skipped: told of pictures and clips in folders that are of a kind that is not read.

    Raises:
        FerWorkerError: a path is missing, neither, or a folder without either.
    """
    kinds = PICTURE_SUFFIXES | CLIP_SUFFIXES
    return [file for path in paths for file in _files(path, kinds, "picture or clip", on_skipped)]


def read_frame(path: Path) -> MediaFrame:
    """Read a picture as a frame.

    What begins as a JPEG goes as it is, broken or not, as does what is no picture but called a
    JPEG: what is wrong is for the worker to say. Other pictures are encoded as JPEG.

    Raises:
        FerWorkerError: it cannot be read, or is no picture.
    """
    with reading(path):
        content = path.read_bytes()
    jpeg = content if start_of_jpeg(content) is not None else _encode(path, content)
    source = sendable(path.as_posix())
    return MediaFrame(jpeg, frame_id(source), source)


def read_frames(path: Path, fps: float | None = None) -> Iterator[MediaFrame]:
    """Read a picture as one frame, or a clip as its frames, each decoded when it is asked for.

    Args:
        path: of a picture or a clip.
        fps: frames for each second of a clip's time; all of them without it.

    Raises:
        FerWorkerError: it cannot be read or is no picture; or a clip ends before it should, and
            then all frames up to there have been given.
    """
    if path.suffix.lower() in CLIP_SUFFIXES:
        yield from read_clip(path, fps)
    else:
        yield read_frame(path)


def expected_frames(path: Path, fps: float | None = None) -> int:
    """Say how many frames `read_frames` will give, as far as a clip knows it; 0 if it does not."""
    return clip_length(path, fps) if path.suffix.lower() in CLIP_SUFFIXES else 1


def _files(
    path: Path,
    suffixes: Set[str],
    what: str,
    on_skipped: Callable[[Path], object] = lambda _: None,
) -> list[Path]:
    """Files of these suffixes that a path stands for; `what` names them for an error."""
    with reading(path):
        if path.is_dir():
            there = _files_in(path)
            for file in there:
                if file.suffix.lower() not in suffixes and _is_media(file):
                    on_skipped(file)
            if found := [file for file in there if file.suffix.lower() in suffixes]:
                return found
            raise FerWorkerError(f"no {what.replace(' or ', 's or ')}s in {path}")
        if not path.exists():
            raise FerWorkerError(f"no such file or folder: {path}")
        if path.suffix.lower() in suffixes or _starts_as_jpeg(path):
            return [path]
    if _is_media(path) and path.suffix.lower() not in PICTURE_SUFFIXES | CLIP_SUFFIXES:
        raise FerWorkerError(f"not a {what} that can be read: {path}; convert it first")
    raise FerWorkerError(f"not a {what}: {path}")


def _files_in(folder: Path) -> list[Path]:
    def is_hidden(path: Path) -> bool:
        return any(part.startswith(".") for part in path.relative_to(folder).parts)

    found = (path for path in folder.rglob("*") if not is_hidden(path) and path.is_file())
    return sorted(found, key=_by_number)


def _is_media(path: Path) -> bool:
    """Whether a name is that of some picture or clip."""
    kind, _ = mimetypes.guess_type(path.name)
    return kind is not None and kind.startswith(("image/", "video/"))


def _by_number(path: Path) -> list[tuple[str | int, ...]]:
    """Sort key by which numbers in names count as numbers."""
    return [
        # Text and numbers alternate, text first, so that like is compared with like.
        tuple(int(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+)", name)))
        for name in path.parts
    ]


def _starts_as_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        return start_of_jpeg(file.read(64)) is not None


def _encode(path: Path, content: bytes) -> bytes:
    """Turn a picture of another kind into a JPEG; what is none stays, if it is called one."""
    import cv2  # not before it is needed: `--help` loads no OpenCV
    import numpy as np

    try:
        # Colour, 8 bits, upright: what a JPEG has, and what the worker would make of the picture.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if image is not None:
            return encode_jpeg(image)
    except cv2.error as error:  # an empty file, or more pixels than OpenCV takes
        if content:
            raise FerWorkerError(f"cannot read {path}: too large a picture") from error
    if path.suffix.lower() in JPEG_SUFFIXES:
        return content
    raise FerWorkerError(f"cannot read {path}: not a picture, or damaged")
