"""What the benchmarks make of their figures. Nothing is timed here."""

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.broker_path import padded_jpeg, rate_of
from benchmarks.face_sizes import FACE_SIZES, FRAME_SIZES, fitted
from benchmarks.machine import Machine, Memory
from benchmarks.page import BEGIN, END, README, render, replace_figures
from benchmarks.pictures import Picture, default_pictures, of_many_sizes, own_pictures, scaled
from benchmarks.plot import draw_face_sizes
from benchmarks.report import Bar, Cell, FaceSizeRow, Grid, Report, Row, Target, save
from benchmarks.rounds import median_ratio, repeats, take_turns
from benchmarks.scenes import SCENES
from benchmarks.tables import goals, number, tables_of
from benchmarks.throughput import is_large
from fer_client.errors import FerWorkerError
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.inference.types import Box, EngineOptions
from fer_worker.limits import FrameLimits

TEN_TIMES = Target(of="ratio", kind="at least", bound=10)
UNDER_350 = Target(of="value", kind="under", bound=350)


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return default_pictures()


@pytest.fixture
def report() -> Report:
    row = Row(
        name="first",
        unit="frames/s",
        target=TEN_TIMES,
        reference=7.6,
        compat=Cell(value=76.0, ratio=10.0),
        default=Cell(value=75.0, ratio=9.87),
    )
    return Report(
        started_at=datetime(2026, 11, 23, tzinfo=UTC),
        seconds=540.0,
        machine=Machine(
            cpu="ACME (R) CPU @ 2.60GHz",
            cores=2,
            memory_gb=8,
            system="Debian",
            python="3.11.7",
            kernels="avx2",
            versions={"fer": "25.10.3"},
        ),
        pictures=("near: 640x480",),
        same_answers=True,
        rows=(row,),
        bars=(Bar(name="fer, threads", frames_per_second=7.6, memory_mb=1832.2),),
        grids=(Grid(title="g", corner="", columns=("1", "2"), rows=("1",), cells=((1.0, 2.0),)),),
        rounds={"frames/s, mixed set": {"fer, threads": [7.5, 7.6, 7.7]}},
        memory={"fer, threads": Memory(rss=2.0, pss=1.0, peak=3.0)},
        growth_mb=[300.0, 301.0],
        face_sizes=tuple(
            FaceSizeRow(
                frames=f"{width}x{height}",
                min_face_size=str(size),
                pixels=EngineOptions(min_face_size=size).min_face_pixels(height, width),
                first_face=84.2,
                all_faces=21.04,
                clear=54,
                clear_found=53,
                known=56,
                found=55,
            )
            for width, height in FRAME_SIZES
            for size in FACE_SIZES
        ),
    )


def test_contestants_take_turns_in_every_round() -> None:
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    rounds = take_turns({"a": lambda: measure("a"), "b": lambda: measure("b")}, rounds=3)
    assert order == ["a", "b"] * 3
    assert rounds == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_ratio_is_taken_within_rounds_so_that_one_disturbed_round_does_not_matter() -> None:
    assert median_ratio([20, 2, 20], [2, 0.2, 2]) == pytest.approx(10)
    assert median_ratio([20, 20, 20], [2, 2, 0.1]) == 10


@pytest.mark.parametrize(("seconds", "expected"), [(0.1, 15), (1.4, 1), (9.0, 1)])
def test_a_turn_has_at_least_one_lap(seconds: float, expected: int) -> None:
    assert repeats(seconds, wanted_s=1.5) == expected


def test_rate_leaves_out_the_first_tenth() -> None:
    slow_start = [0.0, 50.0, *(100.0 + 0.5 * message for message in range(18))]
    assert rate_of(slow_start) == pytest.approx(2)


def test_a_target_is_met_by_ratio_or_by_value() -> None:
    assert TEN_TIMES.is_met(Cell(value=1, ratio=10))
    assert not TEN_TIMES.is_met(Cell(value=100, ratio=9.9))
    assert not TEN_TIMES.is_met(Cell(value=100))
    assert UNDER_350.is_met(Cell(value=349))
    assert not UNDER_350.is_met(Cell(value=350))


def test_table_says_which_figures_reach_their_target(report: Report) -> None:
    (row,) = goals(report.rows).rows
    assert row == ("first", "frames/s", "7.60", "76.0 (10.0x) ✓", "75.0 (9.87x) ✗", "at least 10x")


@pytest.mark.parametrize(
    ("value", "shown"), [(1832.2, "1,832"), (76.04, "76.0"), (9.874, "9.87"), (-0.2, "-0.20")]
)
def test_numbers_have_the_digits_that_count(value: float, shown: str) -> None:
    assert number(value) == shown


def test_table_of_face_sizes_has_a_row_per_frame_size_and_size(report: Report) -> None:
    (table,) = (one for one in tables_of(report) if "--min-face-size" in one.title)
    assert len(table.rows) == len(FRAME_SIZES) * len(FACE_SIZES)
    assert table.rows[-1] == (
        "1920x1080",
        "3%",
        "58",
        "84.2",
        "21.0",
        "53 of 54",
        "55 of 56",
    )


def test_plot_of_face_sizes_is_a_png(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "plot"
    draw_face_sizes(report.face_sizes, report.machine, report.started_at, path)
    drawn = cv2.imread(str(path))
    assert path.read_bytes().startswith(b"\x89PNG")
    assert drawn is not None
    assert drawn.shape[1] > 2 * drawn.shape[0]
    assert (drawn != 255).any()


def test_results_file_is_named_by_date_and_cpu_and_reads_back(
    report: Report, tmp_path: Path
) -> None:
    path = save(report, tmp_path / "results")
    assert path.name == "2026-11-23-acme-r-cpu-2-60ghz-2-cores.json"
    assert Report.model_validate_json(path.read_text()) == report


def test_figures_replace_what_is_between_the_markers(report: Report) -> None:
    page = f"before {BEGIN} old {END} after"
    once = replace_figures(page, render(report))
    assert once.startswith("before ")
    assert once.endswith(" after")
    assert "old" not in once
    assert "| first | frames/s | 7.60 |" in once
    assert replace_figures(once, render(report)) == once


def test_the_page_has_a_place_for_figures() -> None:
    assert replace_figures(README.read_text(encoding="utf-8"), "figures")
    with pytest.raises(ValueError, match="markers"):
        replace_figures("no place", "figures")


def test_default_set_is_the_same_every_time_largest_first(pictures: list[Picture]) -> None:
    assert pictures == default_pictures()
    sizes = [picture.width * picture.height for picture in pictures]
    assert sizes == sorted(sizes, reverse=True)
    assert {(p.name, p.width, p.height) for p in pictures} == {
        (scene.name, scene.width, scene.height) for scene in SCENES
    }


def test_scaled_pictures_keep_their_shape(pictures: list[Picture]) -> None:
    small = scaled(pictures, 120)
    assert [picture.height for picture in small] == [120] * len(pictures)
    assert decode_frame(small[0].jpeg, FrameLimits()).image.shape == (120, small[0].width, 3)
    assert small[0].width == round(120 * pictures[0].width / pictures[0].height)


@pytest.mark.parametrize(("height", "width"), [(300, 200), (200, 800), (90, 160)])
def test_pictures_are_fitted_into_frames_and_faces_move_along(height: int, width: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    image[30:70, 100:140] = (0, 255, 0)  # nothing on the table is green
    frame, (box,) = fitted(image, [Box(100, 30, 40, 40)], 640, 360)
    shown = decode_frame(frame.jpeg, FrameLimits()).image.astype(int)
    assert shown.shape == (360, 640, 3)
    rows, columns = np.nonzero(shown[:, :, 1] - shown[:, :, 2] > 150)
    assert box.width == box.height == round(40 * min(640 / width, 360 / height))
    assert (columns.min(), rows.min()) == pytest.approx((box.x, box.y), abs=2)
    assert (columns.max(), rows.max()) == pytest.approx(
        (box.x + box.width, box.y + box.height), abs=2
    )


def test_many_sizes_take_turns_through_the_pictures(pictures: list[Picture]) -> None:
    many = of_many_sizes(pictures[:2], range(40, 70, 10))
    assert [picture.height for picture in many] == [40, 50, 60]
    assert many[2].name.startswith(pictures[0].name)


def test_own_pictures_are_read_from_a_folder(pictures: list[Picture], tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(pictures[-1].jpeg)
    (own,) = own_pictures(tmp_path)
    assert (own.name, own.jpeg) == ("one.jpg", pictures[-1].jpeg)
    (tmp_path / "two.jpg").write_bytes(b"no picture")
    with pytest.raises(FerWorkerError, match=r"two\.jpg"):
        own_pictures(tmp_path)


def test_a_frame_with_a_large_face_has_720_rows_and_a_sixth_of_them_face() -> None:
    assert is_large(Picture("", b"", 1280, 720), (120, 30))
    assert not is_large(Picture("", b"", 1280, 720), (119,))
    assert not is_large(Picture("", b"", 640, 480), (300,))
    assert not is_large(Picture("", b"", 1280, 720), ())


@pytest.mark.parametrize("size", [100_000, 65_000])
def test_padded_jpeg_is_as_long_as_asked_and_decodes(size: int) -> None:
    jpeg = padded_jpeg(size)
    assert abs(len(jpeg) - size) < 5
    assert decode_frame(jpeg, FrameLimits()).image.shape == (40, 40, 3)
