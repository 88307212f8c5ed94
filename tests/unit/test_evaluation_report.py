import io
import json
from pathlib import Path

import cv2
import pytest
from rich.console import Console

from fer_schemas import Emotion
from fer_worker.cli.evaluation_report import Report, Trial, document, render
from fer_worker.inference.types import EngineOptions
from fer_worker.tools.evaluation.confusion_plot import draw
from fer_worker.tools.evaluation.datasets import Dataset
from fer_worker.tools.evaluation.recognition import Outcome
from fer_worker.tools.evaluation.scores import evaluate
from tests.unit.test_evaluation import face

ENGINE = {"name": "native", "detector_color": "rgb", "min_face_probability": 0.9}


def outcomes(number: int, *, rotated: int = 0) -> list[Outcome]:
    """So many pictures of each emotion, the answer to each another one if rotated."""
    emotions = list(Emotion)
    return [
        Outcome(f"{label}/{place}.jpg", label, face(emotions[(index + rotated) % 7]))
        for index, label in enumerate(emotions)
        for place in range(number)
    ]


def report(*answers: list[Outcome], missing: int = 0) -> Report:
    return Report(
        Dataset(Path("faces"), "a folder per emotion", ("test",), ()),
        "2 threads of this process",
        {"split": None, "emotions": None, "sample": None, "min_side": 192},
        len(answers[0]) + missing,
        [Trial(title, [ENGINE], each) for title, each in zip("AB", answers, strict=False)],
    )


def shown(given: Report) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    for part in render(given):
        console.print(part)
    return console.export_text()


def test_tables_of_a_large_data_set_fit_80_columns() -> None:
    text = shown(report(outcomes(1500), outcomes(1500, rotated=1)))
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "A: native, detector_color rgb, min_face_probability 0.9" in text
    # Nothing is broken over two lines: the figures of a row stand in one.
    row = ["disgust", "1,500", "100.0", "100.0", "100.0", "100.0", "100.0", "100.0"]
    assert row in [line.split() for line in text.splitlines()]
    assert "right, of all 100.0 0.0 -100.0 -100.0 to -99.9 10,500 0 <0.0001" in " ".join(
        text.split()
    )


def test_partial_figures_say_so() -> None:
    assert "partial: 9 were asked for" in shown(report(outcomes(1), missing=2))
    assert document(report(outcomes(1), missing=2))["complete"] is False
    assert "partial" not in shown(report(outcomes(1)))


def test_pictures_that_failed_are_named_as_they_are_called() -> None:
    failed = [
        Outcome(f"[red]{place}\x1b\n.jpg", Emotion.SAD, error="damaged") for place in range(5)
    ]
    text = shown(report([*outcomes(1), *failed]))
    assert "5 could not be analysed, and are in no figure" in text
    assert r"[red]0\x1b\n.jpg: damaged" in text
    assert "[red]3" not in text
    assert "…" in text


def test_no_face_found_at_all_leaves_dashes() -> None:
    text = shown(report([Outcome("a.jpg", Emotion.SAD)]))
    assert "accuracy - 0.0 % 0.0 - 79.3" in " ".join(text.split())
    assert "sad 1 0.0 - - - 0.0 0.0" in " ".join(text.split())


def test_document_has_all_there_is_and_is_json() -> None:
    failed = Outcome("b.jpg", Emotion.SAD, error="damaged")
    given = report([*outcomes(2), failed], [*outcomes(2, rotated=3), failed])
    read = json.loads(json.dumps(document(given)))
    assert read["dataset"]["splits"] == ["test"]
    assert read["asked"]["min_side"] == 192
    assert {"fer-worker", "numpy", "opencv-python-headless", "python"} <= set(read["versions"])
    a, b = read["trials"]
    assert (a["failed"], a["found"], a["engines"]) == (1, 14, [ENGINE])
    assert a["of_all"]["accuracy"]["value"] == a["of_found"]["macro"]["f1"] == 1
    assert a["of_all"]["by_emotion"]["fear"]["pictures"] == 2
    assert b["confusion"]["angry"] == dict.fromkeys([*Emotion, "no face"], 0) | {"happy": 2}
    first, last = a["outcomes"][0], a["outcomes"][-1]
    assert (first["picture"], first["label"], first["answer"]) == ("angry/0.jpg", "angry", "angry")
    assert first["face"]["box"] == [0, 0, 50, 60]
    assert (last["face"], last["answer"], last["error"]) == (None, None, "damaged")
    assert read["comparison"]["right"]["only_a"] == 14
    assert read["comparison"]["right"]["gain"]["value"] == -1
    assert document(report(outcomes(1)))["comparison"] is None


def test_picture_is_a_png_with_a_panel_an_evaluation(tmp_path: Path) -> None:
    title = ", ".join(f"{key} {value}" for key, value in vars(EngineOptions()).items())
    one, two = evaluate(outcomes(3)), evaluate(outcomes(3, rotated=1))
    draw({title: one}, tmp_path / "one")
    draw({f"A: {title}": one, f"B: {title}": two}, tmp_path / "two.png")
    single, double = (cv2.imread(str(tmp_path / name)) for name in ("one", "two.png"))
    assert single is not None
    assert double is not None
    assert single.shape[0] == double.shape[0]
    assert double.shape[1] == pytest.approx(2 * single.shape[1], abs=1)


def test_place_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        draw({"engine": evaluate(outcomes(1))}, tmp_path / "nowhere" / "a.png")
