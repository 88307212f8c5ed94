import shutil
from pathlib import Path

import numpy as np
import pytest

from fer_client.errors import FerWorkerError
from fer_schemas import Emotion
from fer_worker.tools.evaluation.datasets import FOLDER_NAMES, RAF_NUMBERS, Dataset, find_dataset
from fer_worker.tools.evaluation.samples import shuffled
from tests.datasets import SAMPLE_LABELS, folders, write_table
from tests.frames import FOLDER


def labels(dataset: Dataset) -> dict[str, str]:
    return {picture.name: picture.emotion.value for picture in dataset.pictures}


def empty_pictures(root: Path, *names: str) -> Path:
    """Files that are called as pictures: nobody looks into them yet."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def rows(*usages: str) -> list[tuple[Emotion, np.ndarray, str]]:
    return [
        (emotion, np.full((48, 48), number, np.uint8), usage)
        for number, (usage, emotion) in enumerate(zip(usages, Emotion, strict=False))
    ]


def test_folder_an_emotion_in_any_spelling(tmp_path: Path) -> None:
    dataset = find_dataset(folders(tmp_path, SAMPLE_LABELS))
    assert dataset.splits == ()
    assert labels(dataset) == {
        "Happiness/burst-4.jpg": "happy",
        "angry/burst-6.jpg": "angry",
        "happy/burst-1.jpg": "happy",
        "happy/burst-2.jpg": "happy",
        "neutral/no_face.jpg": "neutral",
        "neutral/grace_hopper.jpg": "neutral",
    }


@pytest.mark.parametrize(("name", "emotion"), [*FOLDER_NAMES.items(), *RAF_NUMBERS.items()])
def test_every_documented_name_is_known(name: str, emotion: Emotion, tmp_path: Path) -> None:
    dataset = find_dataset(empty_pictures(tmp_path, f"{name.upper()}/a.png"))
    assert labels(dataset) == {f"{name.upper()}/a.png": emotion.value}


def test_documentation_has_every_name() -> None:
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    for name in FOLDER_NAMES:
        assert f"`{name}`" in text


def test_test_split_is_taken_unless_told_otherwise(tmp_path: Path) -> None:
    root = empty_pictures(tmp_path, "train/1/a.jpg", "test/7/b.jpg", "validation/4/c.jpg")
    empty_pictures(root, "notes/readme.png", ".hidden/1/d.jpg")
    assert labels(find_dataset(root)) == {"test/7/b.jpg": "neutral"}
    assert labels(find_dataset(root, "Train")) == {"train/1/a.jpg": "surprise"}
    assert labels(find_dataset(root, "validation")) == {"validation/4/c.jpg": "happy"}
    every = find_dataset(root, "all")
    assert (len(every.pictures), every.splits) == (3, ("test", "train", "validation"))


def test_csv_of_fer2013_has_the_splits_of_kaggle_too(tmp_path: Path) -> None:
    write_table(tmp_path / "fer2013.csv", rows("Training", "PublicTest", "PrivateTest"))
    public = {"fer2013.csv:3": "disgust"}
    private = {"fer2013.csv:4": "fear"}
    assert labels(find_dataset(tmp_path)) == public | private
    assert labels(find_dataset(tmp_path / "fer2013.csv", "publictest")) == public
    assert labels(find_dataset(tmp_path, "PrivateTest")) == private
    assert labels(find_dataset(tmp_path, "train")) == {"fer2013.csv:2": "angry"}
    assert len(find_dataset(tmp_path, "all").pictures) == 3
    (picture,) = find_dataset(tmp_path, "PrivateTest").pictures
    assert picture.pixels == bytes([2]) * 48 * 48


def test_later_csv_of_fer2013_has_spaces_in_its_header(tmp_path: Path) -> None:
    pixels = " ".join(["255"] * 48 * 48)
    (tmp_path / "icml_face_data.csv").write_text(
        f"emotion, Usage, pixels\n6,Training,{pixels}\n5,PublicTest,{pixels}\n\n"
    )
    assert labels(find_dataset(tmp_path)) == {"icml_face_data.csv:3": "surprise"}


def test_csv_without_usage_has_no_splits(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text(f"emotion,pixels\n3,{' '.join(['0'] * 48 * 48)}\n")
    assert labels(find_dataset(path)) == {"train.csv:2": "happy"}
    with pytest.raises(FerWorkerError, match=r"train\.csv has no splits"):
        find_dataset(path, "PublicTest")


@pytest.mark.parametrize("place", [".", "EmoLabel", "basic/EmoLabel"])
@pytest.mark.parametrize(
    ("kind", "suffix"), [("aligned", "_aligned"), ("original", "")], ids=["aligned", "original"]
)
def test_list_of_raf_db(place: str, kind: str, suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "list_patition_label.txt").write_text(
        "train_00001.jpg 5\ntest_0001.jpg 4\ntest_0002.jpg 6\n"
    )
    images = (folder if place == "." else folder.parent) / "Image" / kind
    images.mkdir(parents=True)
    shutil.copy(FOLDER / "astronaut.jpg", images / f"test_0001{suffix}.jpg")
    dataset = find_dataset(tmp_path)
    assert labels(dataset) == {
        f"Image/{kind}/test_0001{suffix}.jpg": "happy",
        f"Image/{kind}/test_0002{suffix}.jpg": "angry",
    }
    assert dataset.splits == ("test",)
    there, missing = dataset.pictures
    assert there.to_jpeg(0) == (FOLDER / "astronaut.jpg").read_bytes()
    with pytest.raises(FerWorkerError, match="No such file or directory"):
        missing.to_jpeg(0)


def test_subset_leaves_out_other_labels_and_what_is_no_emotion(tmp_path: Path) -> None:
    root = empty_pictures(tmp_path, "angry/a.jpg", "fear/b.jpg", "sad/c.jpg", "contempt/d.jpg")
    subset = (Emotion.ANGRY, Emotion.FEAR)
    assert labels(find_dataset(root, emotions=subset)) == {
        "angry/a.jpg": "angry",
        "fear/b.jpg": "fear",
    }
    with pytest.raises(FerWorkerError, match="contempt: the label 'contempt' names no emotion"):
        find_dataset(root)


@pytest.mark.parametrize("other", ["0", "8", "01"])
def test_numbers_of_folders_that_are_not_those_of_raf_db_are_never_left_out(
    other: str, tmp_path: Path
) -> None:
    root = empty_pictures(tmp_path, *(f"{split}/1/a.jpg" for split in ("test", "train")))
    empty_pictures(root, f"train/{other}/b.jpg")
    with pytest.raises(FerWorkerError, match=f"train/{other}: not a number of RAF-DB's"):
        find_dataset(root, emotions=(Emotion.SURPRISE,))


def line(emotion: object = 3, pixels: str | None = None, usage: str = "PublicTest") -> str:
    return f"emotion,pixels,Usage\n{emotion},{pixels or ' '.join(['0'] * 2304)},{usage}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column 'emotion'"),
        ("emotion,Usage\n", "has no column 'pixels'"),
        ("emotion,pixels\n", "no pictures of what is asked for in"),
        (line(9), r"fer2013\.csv, line 2: the label '9' names no emotion"),
        (line(pixels="0 1 2"), r"fer2013\.csv, line 2: 3 pixels, not 2304"),
        (line(pixels="0 256"), r"fer2013\.csv, line 2: pixels are not numbers from 0 to 255"),
        (line(pixels="0 x"), r"fer2013\.csv, line 2: pixels are not numbers from 0 to 255"),
        (line() + "3\n", r"fer2013\.csv, line 3: 1 fields, not 3"),
        (line(usage="Training"), "has no split 'test': it has Training"),
        ("\udcff", "not a text as expected"),
    ],
)
def test_malformed_csv_is_one_line_that_names_the_place(
    text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "fer2013.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FerWorkerError, match=said):
        find_dataset(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("test_0001.jpg\n", "line 1: not a file name and a label"),
        ("\ntest_0001.jpg 8\n", "line 2: the label '8' names no emotion"),
        ("train_00001.jpg 1\n", "has no split 'test': it has train"),
    ],
)
def test_malformed_list_is_one_line_that_names_the_place(
    text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "Image" / "aligned").mkdir(parents=True)
    (tmp_path / "list_patition_label.txt").write_text(text)
    with pytest.raises(FerWorkerError, match=said):
        find_dataset(tmp_path)


def test_list_without_pictures_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "list_patition_label.txt").write_text("test_0001.jpg 1\n")
    with pytest.raises(FerWorkerError, match="no folder Image beside"):
        find_dataset(tmp_path)


@pytest.mark.parametrize(
    ("files", "path", "said"),
    [
        ((), "nowhere", "no such file or folder"),
        ((), ".", "no folder in .* is named after an emotion"),
        (("cats/a.jpg",), ".", "no folder in .* is named after an emotion"),
        (("happy/a.jpg", "sad/notes.md"), ".", "no pictures in .*sad"),
        (("happy/a.jpg",), "happy/a.jpg", "neither a folder nor a list of labelled pictures"),
        (("0/a.jpg", "1/b.jpg"), ".", "0: not a number of RAF-DB's, 1 to 7"),
        (("val/happy/a.jpg",), ".", "has no split 'test': it has val"),
    ],
)
def test_folder_that_is_no_data_set_is_one_line(
    files: tuple[str, ...], path: str, said: str, tmp_path: Path
) -> None:
    empty_pictures(tmp_path, *files)
    with pytest.raises(FerWorkerError, match=said):
        find_dataset(tmp_path / path)


def test_random_order_is_always_the_same_and_mixes_the_labels(tmp_path: Path) -> None:
    names = [f"{emotion}/{number}.jpg" for emotion in Emotion for number in range(20)]
    dataset = find_dataset(empty_pictures(tmp_path, *names))
    order = shuffled(dataset.pictures)
    assert order == shuffled(dataset.pictures)
    assert sorted(picture.name for picture in order) == sorted(names)
    assert {picture.emotion for picture in order[:40]} == set(Emotion)
