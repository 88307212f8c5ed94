"""What the comparisons of accuracy make of answers. Nothing is measured here."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import detection, face_sizes, large_faces, robustness, steadiness
from benchmarks.detection import KNOWN_FACES, Count, count, known_pictures, read_known
from benchmarks.robustness import CHANGES, moved, turned
from benchmarks.steadiness import HEADER, Steadiness
from benchmarks.variants import VARIANTS, distance, matches, overlap
from fer_client.errors import FerWorkerError
from fer_schemas import Emotion
from fer_worker.inference.types import Analysis, Box, EngineOptions, Face
from tests.frames import FOLDER

HERE = Box(10, 10, 20, 20)
NEXT_TO_IT = Box(12, 11, 20, 20)
ELSEWHERE = Box(100, 10, 20, 20)


def face(happy: float, box: Box = HERE) -> Face:
    scores = dict.fromkeys(Emotion, 0.0)
    return Face(box, 0.99, scores | {Emotion.HAPPY: happy, Emotion.SAD: 1 - happy})


def steadiness_of(frames: Iterable[Iterable[Face]]) -> Steadiness:
    found = Steadiness()
    for faces in frames:
        found.add(Analysis(tuple(faces), 1.0, 0.5))
    return found


def row_of(frames: Iterable[Iterable[Face]]) -> dict[str, str]:
    return dict(zip(HEADER, steadiness_of(frames).row("name"), strict=True))


def test_distance_is_the_share_of_the_score_that_lies_elsewhere() -> None:
    assert distance(face(1), face(1)) == 0
    assert distance(face(1), face(0)) == 1
    assert distance(face(0.7), face(0.4)) == pytest.approx(0.3)


def test_overlap_is_intersection_over_union() -> None:
    assert overlap(HERE, HERE) == 1
    assert overlap(HERE, ELSEWHERE) == 0
    assert overlap(HERE, Box(20, 10, 20, 20)) == pytest.approx(1 / 3)


def test_a_box_is_one_box_and_the_one_it_overlaps_most() -> None:
    assert matches([HERE, ELSEWHERE], [NEXT_TO_IT, HERE]) == {0: 1}
    assert matches([HERE, NEXT_TO_IT], [NEXT_TO_IT]) == {1: 0}


def test_faces_are_found_missed_or_extra() -> None:
    assert count([NEXT_TO_IT, Box(60, 60, 9, 9)], [HERE, ELSEWHERE]) == Count(1, 1, 1)
    assert Count(1, 2, 3) + Count(1, 1, 1) == Count(2, 3, 4)


def test_a_face_missing_between_two_frames_is_a_gap() -> None:
    frames = [[face(1)], [], [face(1, NEXT_TO_IT)], [face(1), face(0, ELSEWHERE)], [face(1)]]
    found = steadiness_of(frames)
    assert found.gaps == 1
    assert [len(track.faces) for track in found.tracks] == [1, 3, 1]
    assert row_of(frames)["frames"] == "4"


def test_jumps_are_of_neighbouring_frames_and_spread_of_any_two() -> None:
    slow = row_of([face(happy)] for happy in np.linspace(0, 1, 11))
    assert (slow["jump"], slow["flips"]) == ("0.100", "10.0")
    assert float(slow["spread"]) == pytest.approx(0.4, abs=0.001)
    assert float(slow["jump/spread"]) == pytest.approx(0.25, abs=0.001)
    wild = row_of([face(happy)] for happy in np.random.default_rng(0).uniform(0, 1, 300))
    assert float(wild["jump/spread"]) == pytest.approx(1, abs=0.1)


def test_a_paler_answer_has_smaller_jumps_but_is_not_called_steadier() -> None:
    happy = np.random.default_rng(0).uniform(0, 1, 50)
    strong, pale = (row_of([face(0.5 + by * (h - 0.5))] for h in happy) for by in (1, 0.2))
    assert float(pale["jump"]) < float(strong["jump"]) / 4
    assert float(pale["jump/spread"]) == pytest.approx(float(strong["jump/spread"]), abs=0.02)


def test_a_clip_without_faces_has_a_row_all_the_same() -> None:
    row = row_of([[], []])
    assert (row["frames"], row["faces"], row["gaps"], row["jump"]) == ("0", "0", "0", "")


@pytest.mark.parametrize("name", CHANGES)
def test_boxes_move_as_the_picture_does(name: str) -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    image[100:140, 250:290] = 255
    for change in CHANGES[name]:
        changed, to = change(image)
        box = moved(Box(250, 100, 40, 40), to)
        rows, columns = np.nonzero(changed[:, :, 0] > 100)
        assert columns.mean() == pytest.approx(box.x + box.width / 2 - 0.5, abs=1)
        assert rows.mean() == pytest.approx(box.y + box.height / 2 - 0.5, abs=1)
        assert box.area == pytest.approx(len(rows), rel=0.1)


def test_turned_pictures_are_whole() -> None:
    changed, _ = turned(90, np.full((30, 80, 3), 255, np.uint8))
    assert changed.shape == (80, 30, 3)
    assert changed[2:-2, 2:-2].min() == 255


def test_the_first_variant_is_fer_and_the_last_looks_for_faces_as_the_default_does() -> None:
    first, *_, last = VARIANTS.values()
    assert first == EngineOptions.as_fer(faces="all")
    default = EngineOptions(faces="all")
    assert (last.detector_color, last.min_face_probability) == (
        default.detector_color,
        default.min_face_probability,
    )
    assert default in VARIANTS.values()


def test_known_faces_are_those_of_the_sample_frames_and_more() -> None:
    known = read_known(KNOWN_FACES)
    names = [name for name, _, boxes in known_pictures([FOLDER], known) if boxes]
    assert "grace_hopper.jpg" in names


def test_a_folder_of_unknown_pictures_is_refused() -> None:
    with pytest.raises(FerWorkerError, match="known"):
        next(known_pictures([FOLDER], {}))


@pytest.mark.parametrize("module", [detection, face_sizes, robustness, steadiness])
def test_each_command_says_what_its_columns_mean(module: object) -> None:
    outcome = CliRunner().invoke(module.main, ["--help"])  # type: ignore[attr-defined]
    assert outcome.exit_code == 0
    assert "faces" in outcome.output


def test_detection_prints_a_row_a_picture_and_the_sums(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes((FOLDER / "grace_hopper.jpg").read_bytes())
    known = tmp_path / "known.json"
    known.write_text(json.dumps({"one.jpg": [[174, 119, 181, 221]]}))
    outcome = CliRunner().invoke(detection.main, [str(tmp_path), "--known", str(known)])
    assert outcome.exit_code == 0, outcome.output
    assert "| one.jpg | 1 | 1 | 0 | 0 | 1 | 0 | 0 |" in outcome.output
    assert outcome.output.strip().endswith("| together | 1 | 1 | 0 | 0 | 1 | 0 | 0 |")


def test_face_sizes_prints_a_row_per_frame_size_and_size_and_draws(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes((FOLDER / "grace_hopper.jpg").read_bytes())
    known = tmp_path / "known.json"
    known.write_text(json.dumps({"one.jpg": [[174, 119, 181, 221]]}))
    plot = tmp_path / "plot.png"
    arguments = [tmp_path, "--known", known, "--rounds=1", "--plot", plot]
    outcome = CliRunner().invoke(face_sizes.main, list(map(str, arguments)))
    assert outcome.exit_code == 0, outcome.output
    rows = [line for line in outcome.output.splitlines() if re.match(r"\| \d+x\d+ \|", line)]
    assert len(rows) == 15
    # The face is a third of every frame's height: larger than all sizes.
    assert all(row.endswith("| 1 of 1 | 1 of 1 |") for row in rows)
    assert [row.split(" | ")[2] for row in rows if " 3% " in row] == ["19", "38", "58"]
    speeds = {tuple(row.split(" | ")[:2]): float(row.split(" | ")[4]) for row in rows}
    assert speeds["| 640x360", "60"] > speeds["| 1920x1080", "20"]
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_face_sizes_takes_no_picture_twice_and_none_whose_faces_are_not_known() -> None:
    (only,) = known_pictures([FOLDER, FOLDER.parent / "frames"], {"no_face.jpg": []})
    assert only[0] == "no_face.jpg"


def test_large_faces_are_looked_for_beside_known_ones_and_in_close_ups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(large_faces, "SQUARES", 5)
    done = CliRunner().invoke(large_faces.main, [str(FOLDER)])
    assert done.exit_code == 0, done.output
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in done.output.splitlines()
    ]
    (header,) = (row for row in cells if row[-1] == "0.7")
    assert header[1:] == ["pictures", "0.9", "0.8", "0.7"]
    counts = {row[0]: list(map(int, row[1:])) for row in cells if row[-1].isdigit()}
    assert counts.keys() == {"squares without a face"} | {
        f"close-ups, {name}" for name in large_faces.CHANGES
    }
    for pictures, *found in counts.values():
        assert found == sorted(found)
        assert found[-1] <= pictures
    assert counts["close-ups, as it is"][1] > 5
    assert counts["squares without a face"][1] < 3
