import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fer_schemas import Emotion, FaceResult, FrameResult
from fer_worker.palette import COLORS
from fer_worker.tools.media.drawing import UNDECIDED, annotate, with_caption

SHARED = Path(os.environ.get("FER_WORKER_SHARED", Path(__file__).parents[2].parent / "shared"))

BACKGROUND = 128


def plain(width: int, height: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def face(
    *box: int, emotion: Emotion = Emotion.HAPPY, score: float = 0.9, **scores: float
) -> FaceResult:
    emotions = {**{str(name): 0.0 for name in Emotion}, emotion: score, **scores}
    return FaceResult.model_validate(
        {"box": box, "area": box[2] * box[3], "probability": 0.99, "emotions": emotions}
    )


def result(*faces: FaceResult) -> FrameResult:
    return FrameResult(id=None, width=None, height=None, faces=faces)


def changed(image: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a picture was drawn on: (height, width)."""
    return np.asarray((image != drawn).any(axis=2))


def label(drawn: NDArray[np.uint8], emotion: Emotion) -> tuple[int, int, int, int]:
    """Left, top, width and height of the largest area filled with an emotion's colour."""
    mask = (drawn == np.array(COLORS[emotion])).all(axis=2).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    left, top, width, height, _ = max(stats[1:], key=lambda row: int(row[cv2.CC_STAT_AREA]))
    return int(left), int(top), int(width), int(height)


def test_input_is_left_unchanged() -> None:
    image = plain(640, 480)
    drawn = annotate(image, result(face(200, 150, 120, 150)))
    assert (image == BACKGROUND).all()
    assert drawn.shape == image.shape
    assert drawn.dtype == image.dtype


def test_read_only_picture_is_fine() -> None:
    image = plain(640, 480)
    image.setflags(write=False)
    assert changed(image, annotate(image, result(face(200, 150, 120, 150)))).any()


@pytest.mark.parametrize("emotion", Emotion)
def test_box_has_the_colour_of_the_dominant_emotion(emotion: Emotion) -> None:
    drawn = annotate(plain(640, 480), result(face(200, 150, 120, 150, emotion=emotion)))
    for y, x in ((150, 260), (299, 260), (225, 200), (225, 319)):
        assert tuple(drawn[y, x]) == COLORS[emotion]


def test_nothing_is_drawn_inside_the_box() -> None:
    image = plain(640, 480)
    drawn = annotate(image, result(face(200, 150, 120, 150)))
    assert not changed(image, drawn)[155:295, 205:315].any()


def test_label_is_above_the_box_where_there_is_room() -> None:
    left, top, width, height = label(
        annotate(plain(640, 480), result(face(200, 150, 120, 60))), Emotion.HAPPY
    )
    assert left == pytest.approx(200, abs=3)
    assert top + height == pytest.approx(150, abs=3)
    assert height > 15
    assert width > 3 * height


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1920, 1080), (3264, 2448)])
@pytest.mark.parametrize("across", [-0.05, 0.4, 0.95])
@pytest.mark.parametrize("down", [-0.05, 0.4, 0.95])
def test_whole_label_is_in_the_picture(size: tuple[int, int], across: float, down: float) -> None:
    width, height = size
    side = height // 8
    in_the_middle = face(width // 2, height // 2, side, side)
    here = face(int(across * width), int(down * height), side, side)
    wanted = label(annotate(plain(*size), result(in_the_middle)), Emotion.HAPPY)[2:]
    assert label(annotate(plain(*size), result(here)), Emotion.HAPPY)[2:] == wanted


@pytest.mark.parametrize("size", [(1, 1), (20, 20), (30, 200), (200, 12), (64, 64)])
def test_tiny_pictures_can_be_drawn_on(size: tuple[int, int]) -> None:
    width, height = size
    for found in (result(), result(face(0, 0, width, height)), result(face(-5, -5, 99, 99))):
        assert annotate(plain(*size), found).shape == (height, width, 3)


def test_labels_of_neighbours_do_not_cover_each_other() -> None:
    emotions = [Emotion.HAPPY, Emotion.SAD, Emotion.ANGRY]
    faces = [face(100 + 60 * i, 200, 50, 60, emotion=emotion) for i, emotion in enumerate(emotions)]
    drawn = annotate(plain(640, 480), result(*faces))
    for emotion, one in zip(emotions, faces, strict=True):
        alone = annotate(plain(640, 480), result(one))
        assert label(drawn, emotion)[2:] == label(alone, emotion)[2:]


def test_bars_are_as_long_as_their_scores() -> None:
    scores = face(100, 100, 250, 250, emotion=Emotion.SAD, score=0.8, fear=0.4)
    drawn = annotate(plain(1000, 800), result(scores))
    beside = drawn[100:350, 360:]
    lengths = {
        emotion: int((beside == np.array(COLORS[emotion])).all(axis=2).sum(axis=1).max())
        for emotion in (Emotion.SAD, Emotion.FEAR, Emotion.ANGRY)
    }
    assert lengths[Emotion.SAD] == pytest.approx(2 * lengths[Emotion.FEAR], abs=2)
    assert lengths[Emotion.FEAR] > 10
    assert lengths[Emotion.ANGRY] == 0


def test_bars_never_cover_another_face() -> None:
    image = plain(1000, 800)
    other = face(360, 100, 200, 250)
    drawn = annotate(image, result(face(100, 100, 250, 250), other))
    assert not changed(image, drawn)[110:340, 370:550].any()


def test_small_faces_have_no_bars() -> None:
    image = plain(640, 480)
    drawn = annotate(image, result(face(300, 200, 24, 30), face(100, 200, 20, 30)))
    assert not changed(image, drawn)[240:].any()


def test_small_face_that_is_alone_has_its_bars_in_a_corner() -> None:
    image = plain(640, 480)
    drawn = annotate(image, result(face(300, 200, 24, 30, emotion=Emotion.SAD)))
    rows, columns = np.nonzero(changed(image, drawn)[240:])
    assert rows.max() == 239
    assert columns.max() == 639
    assert (drawn[240:] == np.array(COLORS[Emotion.SAD])).all(axis=2).any()


def test_labels_of_a_crowd_hide_no_face() -> None:
    image = plain(640, 480)
    crowd = [face(10 + 64 * x, 20 + 80 * y, 52, 64) for x in range(9) for y in range(5)]
    where = changed(image, annotate(image, result(*crowd)))
    inside = [where[y + 6 : y + h - 6, x + 6 : x + w - 6] for x, y, w, h in (f.box for f in crowd)]
    assert max(part.mean() for part in inside) < 0.4


def test_frame_without_a_result_says_why_in_its_corner() -> None:
    image = plain(640, 480)
    drawn = with_caption(image, "no answer in time")
    rows, columns = np.nonzero(changed(image, drawn))
    assert (image == BACKGROUND).all()
    assert rows.min() > 440
    assert 100 < columns.max() < 320


@pytest.mark.parametrize("size", [(320, 240), (64, 48)])
def test_line_that_is_wider_than_the_frame_is_cut(size: tuple[int, int]) -> None:
    image = plain(*size)
    drawn = with_caption(image, "the batch has 20000000 bytes; a message may have 16777216")
    _, columns = np.nonzero(changed(image, drawn))
    assert size[0] * 0.75 < columns.max() < size[0]


def test_frame_without_a_face_says_so_in_its_corner() -> None:
    image = plain(640, 480)
    where = changed(image, annotate(image, result()))
    rows, columns = np.nonzero(where)
    assert rows.min() > 440
    assert columns.max() < 120


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared photographs")
def test_photographs_are_drawn_on_where_their_faces_are() -> None:
    golden: dict[str, Any] = json.loads((SHARED / "golden_fer.json").read_text(encoding="utf-8"))
    for name, answers in golden.items():
        image: Any = cv2.imread(str(SHARED / "photos" / name))
        assert image is not None
        found = result(*(face(*one["box"], **one["emotions"]) for one in answers["rgb"]))
        assert changed(image, annotate(image, found)).any(), name


def test_bars_keep_off_the_head_around_another_face() -> None:
    image = plain(1000, 800)
    drawn = annotate(image, result(face(100, 100, 250, 250), face(620, 100, 150, 150)))
    assert not changed(image, drawn)[110:340, 580:610].any()
    assert changed(image, annotate(image, result(face(100, 100, 250, 250))))[110:340, 360:].any()


def test_without_all_faces_there_are_no_bars() -> None:
    image = plain(1000, 800)
    drawn = annotate(image, result(face(100, 100, 250, 250)), with_bars=False)
    assert not changed(image, drawn)[110:, 360:].any()


def test_close_scores_are_shown_as_undecided() -> None:
    scores = face(200, 150, 120, 150, emotion=Emotion.NEUTRAL, score=0.34, sad=0.33)
    drawn = annotate(plain(640, 480), result(scores), with_bars=False)
    assert tuple(drawn[150, 260]) == UNDECIDED
    for emotion in (Emotion.NEUTRAL, Emotion.SAD):
        assert not (drawn == np.array(COLORS[emotion])).all(axis=2).any()
