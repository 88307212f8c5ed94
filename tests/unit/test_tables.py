from typing import Any

from fer_schemas import BatchResult
from fer_worker.cli.tables import render_results

FACE = {
    "box": (10, 20, 30, 40),
    "area": 1200,
    "probability": 0.99,
    "emotions": {
        "angry": 0.0,
        "disgust": 0.0,
        "fear": 0.0,
        "happy": 0.81,
        "sad": 0.1,
        "surprise": 0.0,
        "neutral": 0.09,
    },
}


def seen(id_: str | None) -> dict[str, Any]:
    return {"id": id_, "width": 640, "height": 480, "faces": [FACE, FACE]}


def empty(id_: str | None) -> dict[str, Any]:
    return {"id": id_, "width": 640, "height": 480, "faces": []}


def failed(id_: str | None) -> dict[str, Any]:
    return {"id": id_, "width": None, "height": None, "faces": []}


def result(*frames: dict[str, Any], **fields: Any) -> BatchResult:
    none = {"emotion": None, "confidence": 0.0}
    happy = {"emotion": "happy", "confidence": 0.81}
    return BatchResult.model_validate(
        {
            "status": "success",
            "worker": "host/1",
            "frames": frames,
            "emotions": [happy if frame["faces"] else none for frame in frames],
            "faces_areas": [1200 if frame["faces"] else 0 for frame in frames],
            **fields,
        }
    )


def rows(*results: BatchResult) -> list[list[str]]:
    """Cells of the table's body."""
    columns = render_results(results).columns
    return [list(map(str, cells)) for cells in zip(*(c.cells for c in columns), strict=True)]


def test_frame_with_faces_shows_its_first_face() -> None:
    assert rows(result(seen("a.jpg"))) == [["a.jpg", "2", "happy", "0.81", "1200", ""]]


def test_frame_without_a_face_and_frame_that_failed_are_told_apart() -> None:
    error = {"frame": 1, "code": "broken_jpeg", "message": "cut off"}
    assert rows(result(empty("a.jpg"), failed("b.jpg"), errors=[error])) == [
        ["a.jpg", "0", "-", "-", "-", ""],
        ["b.jpg", "-", "-", "-", "-", "broken_jpeg: cut off"],
    ]


def test_frame_without_id_is_named_by_its_place() -> None:
    assert [row[0] for row in rows(result(seen(None), seen("b"), seen(None)))] == ["#0", "b", "#2"]


def test_bad_request_is_a_row_by_itself() -> None:
    error = {"frame": None, "code": "no_frames", "message": "the batch has no frames"}
    assert rows(result(errors=[error], status="error")) == [
        ["-", "-", "-", "-", "-", "no_frames: the batch has no frames"]
    ]


def test_batches_follow_each_other() -> None:
    assert [row[0] for row in rows(result(seen("a")), result(seen("b")))] == ["a", "b"]


def test_ids_are_no_markup() -> None:
    assert rows(result(seen("[red]a[/red]")))[0][0] == "[red]a[/red]"


def test_most_relevant_frame_is_bold() -> None:
    table = render_results([result(seen("a"), seen("b"), most_relevant_frame=1)])
    assert [row.style for row in table.rows] == [None, "bold"]
