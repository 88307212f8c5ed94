"""Data sets of facial expressions, in the layouts in which people have them.

    FER2013 as Kaggle has it     train/ and test/, in each a folder per emotion
    RAF-DB as Kaggle has it      train/ and test/, in each a folder a number, 1 to 7
    RAF-DB as its authors do     EmoLabel/list_patition_label.txt, and the pictures in Image/
    fer2013.csv                  a line per picture: emotion, pixels, Usage
    icml_face_data.csv           the same with the columns in another order
    anybody's own                a folder per emotion

A label that names no emotion is an error before anything is analysed: nothing is guessed.
"""

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fer_client.errors import FerWorkerError
from fer_schemas import Emotion
from fer_worker.tools.evaluation.samples import LISTED_SIDE, LabelledPicture
from fer_worker.tools.files import reading
from fer_worker.tools.media import find_pictures

FOLDER_NAMES: Final = {
    "angry": Emotion.ANGRY,
    "anger": Emotion.ANGRY,
    "disgust": Emotion.DISGUST,
    "disgusted": Emotion.DISGUST,
    "fear": Emotion.FEAR,
    "fearful": Emotion.FEAR,
    "happy": Emotion.HAPPY,
    "happiness": Emotion.HAPPY,
    "sad": Emotion.SAD,
    "sadness": Emotion.SAD,
    "surprise": Emotion.SURPRISE,
    "surprised": Emotion.SURPRISE,
    "neutral": Emotion.NEUTRAL,
}
"""In small letters; folders may have others."""

RAF_NUMBERS: Final = {
    "1": Emotion.SURPRISE,
    "2": Emotion.FEAR,
    "3": Emotion.DISGUST,
    "4": Emotion.HAPPY,
    "5": Emotion.SAD,
    "6": Emotion.ANGRY,
    "7": Emotion.NEUTRAL,
}
"""Labels of RAF-DB's basic emotions, and its folders at Kaggle."""

_FOLDER_LABELS: Final = FOLDER_NAMES | RAF_NUMBERS

FER_NUMBERS: Final = {str(number): emotion for number, emotion in enumerate(Emotion)}
"""Labels of fer2013.csv: 0 angry to 6 neutral. The network's outputs have the same order."""

EVERY_SPLIT: Final = "all"
DEFAULT_SPLIT: Final = "test"
_OTHER_NAMES: Final = {"train": {"training"}, "test": {"publictest", "privatetest"}}
"""Splits of fer2013.csv by the names of Kaggle's folders; its `test` holds both."""

_TABLES: Final = ("fer2013.csv", "icml_face_data.csv")
_LIST: Final = "list_patition_label.txt"  # RAF-DB's own spelling
_LISTS: Final = (_LIST, f"EmoLabel/{_LIST}", f"basic/EmoLabel/{_LIST}")


@dataclass(frozen=True)
class Dataset:
    """What was asked for of a data set: at least one picture."""

    path: Path
    layout: str
    splits: tuple[str, ...]
    """Those that the pictures are of, by their own names; none where there are no splits."""
    pictures: tuple[LabelledPicture, ...] = field(repr=False)


def find_dataset(
    path: Path, split: str | None = None, emotions: Collection[Emotion] | None = None
) -> Dataset:
    """Find the pictures of a data set.

    Args:
        path: a folder, RAF-DB's list, or a csv file of FER2013.
        split: the name of a split, or `all`; without it `test`, where there are splits.
        emotions: leave out pictures with other labels, and labels that name no emotion.

    Raises:
        FerWorkerError: it cannot be read, is laid out in no known way, or has no such split; a
            label names no emotion, a folder has no pictures, a line is malformed.
    """
    wanted = _Wanted(split, emotions)
    try:
        with reading(path):
            if not path.exists():
                raise FerWorkerError(f"no such file or folder: {path}")
            layout, found = _open(path, wanted)
            pictures = tuple(found)
    except (UnicodeDecodeError, csv.Error):
        raise FerWorkerError(f"cannot read {path}: not a text as expected") from None
    wanted.check(path, pictures)
    return Dataset(path, layout, tuple(wanted.taken), pictures)


class _Wanted:
    """What is asked for, and which splits there turned out to be."""

    def __init__(self, split: str | None, emotions: Collection[Emotion] | None) -> None:
        self._split = split
        self._emotions = emotions
        self._others: dict[str, None] = {}
        self.taken: dict[str, None] = {}

    def takes(self, split: str) -> bool:
        """Whether pictures of a split are asked for."""
        wanted = (self._split or DEFAULT_SPLIT).lower()
        is_taken = (
            wanted == EVERY_SPLIT
            or split.lower() == wanted
            or split.lower() in _OTHER_NAMES.get(wanted, ())
        )
        (self.taken if is_taken else self._others)[split] = None
        return is_taken

    def emotion(self, label: str, names: Mapping[str, Emotion], where: str) -> Emotion | None:
        """Return the emotion that a label names; None to leave its pictures out."""
        emotion = names.get(label.lower())
        if emotion is None and self._emotions is None:
            raise FerWorkerError(
                f"{where}: the label {label!r} names no emotion; --emotions leaves its pictures out"
            )
        return emotion if self._emotions is None or emotion in self._emotions else None

    def check(self, path: Path, pictures: Collection[LabelledPicture]) -> None:
        """See that something was found of what was asked for."""
        splits = [*self.taken, *self._others]
        if splits and not self.taken:
            name = self._split or DEFAULT_SPLIT
            raise FerWorkerError(f"{path} has no split {name!r}: it has {', '.join(splits)}")
        if not splits and self._split not in (None, EVERY_SPLIT):
            raise FerWorkerError(f"{path} has no splits")
        if not pictures:
            raise FerWorkerError(f"no pictures of what is asked for in {path}")


def _open(path: Path, wanted: _Wanted) -> tuple[str, Iterator[LabelledPicture]]:
    """Tell a layout by its files; return its name, and its pictures as they are found."""
    if path.is_file():
        if path.suffix.lower() == ".csv":
            return "a csv file of FER2013", _read_table(path, wanted)
        if path.suffix.lower() == ".txt":
            return "RAF-DB's list", _read_list(path, wanted)
        raise FerWorkerError(f"neither a folder nor a list of labelled pictures: {path}")
    if split_folders := _split_folders(path):
        return "a folder per emotion", _read_folders(path, split_folders, wanted)
    for name in _TABLES:
        if (path / name).is_file():
            return "a csv file of FER2013", _read_table(path / name, wanted)
    for name in _LISTS:
        if (path / name).is_file():
            return "RAF-DB's list", _read_list(path / name, wanted)
    raise FerWorkerError(
        f"no folder in {path} is named after an emotion, such as {Emotion.HAPPY}, or 1 to 7"
    )


def _split_folders(root: Path) -> dict[str | None, Path]:
    """Folders that hold a folder per emotion, by the splits they are; None: the root itself."""

    def is_labelled(folder: Path) -> bool:
        return any(inner.name.lower() in _FOLDER_LABELS for inner in _folders(folder))

    if is_labelled(root):
        return {None: root}
    return {folder.name: folder for folder in _folders(root) if is_labelled(folder)}


def _folders(root: Path) -> list[Path]:
    """Folders in a folder; without hidden ones, and what macOS leaves in archives."""
    names = (path for path in root.iterdir() if not path.name.startswith((".", "__")))
    return sorted(path for path in names if path.is_dir())


def _read_folders(
    root: Path, splits: Mapping[str | None, Path], wanted: _Wanted
) -> Iterator[LabelledPicture]:
    for split, labelled in splits.items():
        folders = _folders(labelled)
        _check_numbers(folders)
        if split is not None and not wanted.takes(split):
            continue
        for folder in folders:
            emotion = wanted.emotion(folder.name, _FOLDER_LABELS, str(folder))
            if emotion is not None:
                for file in find_pictures([folder]):
                    yield LabelledPicture(file.relative_to(root).as_posix(), emotion, file)


def _check_numbers(folders: Iterable[Path]) -> None:
    """See that numbers of folders, if they have any, are those of RAF-DB: there are others."""
    for folder in folders:
        if folder.name.isdecimal() and folder.name not in RAF_NUMBERS:
            raise FerWorkerError(
                f"{folder}: not a number of RAF-DB's, 1 to 7, and what others mean is not known; "
                "name all folders after their emotions"
            )


def _read_list(path: Path, wanted: _Wanted) -> Iterator[LabelledPicture]:
    """Read RAF-DB's list: `train_00001.jpg 5`. Aligned pictures are taken where there are any."""
    image = next((p / "Image" for p in path.resolve().parents[:2] if (p / "Image").is_dir()), None)
    if image is None:
        raise FerWorkerError(f"no folder Image beside {path}")
    is_aligned = (image / "aligned").is_dir()
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        where = f"{path}, line {number}"
        match line.split():
            case []:
                continue
            case [name, label]:
                file = Path(name)
            case _:
                raise FerWorkerError(f"{where}: not a file name and a label")
        if not wanted.takes(file.stem.partition("_")[0]):
            continue
        emotion = wanted.emotion(label, RAF_NUMBERS, where)
        if emotion is not None:
            inner = (
                f"aligned/{file.stem}_aligned{file.suffix}" if is_aligned else f"original/{name}"
            )
            yield LabelledPicture(f"Image/{inner}", emotion, image / inner)


def _read_table(path: Path, wanted: _Wanted) -> Iterator[LabelledPicture]:
    """Read a csv file of FER2013, `emotion,pixels,Usage` or `emotion, Usage, pixels`."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        header = [name.strip().lower() for name in next(rows, [])]
        for name in ("emotion", "pixels"):
            if name not in header:
                raise FerWorkerError(f"{path} has no column {name!r}")
        for row in rows:
            if not row:
                continue
            where = f"{path}, line {rows.line_num}"
            if len(row) != len(header):
                raise FerWorkerError(f"{where}: {len(row)} fields, not {len(header)}")
            fields = dict(zip(header, (text.strip() for text in row), strict=True))
            if "usage" in fields and not wanted.takes(fields["usage"]):
                continue
            emotion = wanted.emotion(fields["emotion"], FER_NUMBERS, where)
            if emotion is not None:
                pixels = _pixels(fields["pixels"], where)
                yield LabelledPicture(f"{path.name}:{rows.line_num}", emotion, path, pixels)


def _pixels(text: str, where: str) -> bytes:
    try:
        pixels = bytes(map(int, text.split()))
    except ValueError:
        raise FerWorkerError(f"{where}: pixels are not numbers from 0 to 255") from None
    if len(pixels) != LISTED_SIDE**2:
        raise FerWorkerError(f"{where}: {len(pixels)} pixels, not {LISTED_SIDE**2}")
    return pixels
