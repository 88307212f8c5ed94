"""`fer-worker report` as it is called, with files that are in order and others."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fer_worker.cli import main
from fer_worker.tools.face_table import Row, RowWriter
from tests.face_rows import face_row, row
from tests.leftovers import is_asleep
from tests.waiting import wait_until


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def write(path: Path, rows: Iterable[Row]) -> Path:
    with RowWriter(path) as file:
        file.write(rows)
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write(
        tmp_path / "results.jsonl",
        [face_row(0, most_relevant=True, latency_ms=12.0), row(1, error="broken_jpeg")],
    )


def test_page_of_json_lines_and_csv_together(results: Path, tmp_path: Path) -> None:
    more = write(tmp_path / "more.csv", [face_row(0, batch="other", camera_id="hall")])
    page = tmp_path / "page.html"
    done = report(results, more, "-o", page, "--title", "Tuesday")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{page}: 2 batches, 0 pictures, ")
    text = page.read_text(encoding="utf-8")
    assert "<title>Tuesday</title>" in text
    assert "hall" in text
    assert "broken_jpeg" in text


def test_page_that_is_there_is_made_anew(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("old", encoding="utf-8")
    assert report(results, "-o", page).exit_code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_same_results_make_the_same_page(results: Path, tmp_path: Path) -> None:
    pages = []
    for name in ("one.html", "two.html"):
        report(results, "-o", tmp_path / name)
        pages.append((tmp_path / name).read_text(encoding="utf-8").partition("<footer>")[0])
    assert pages[0] == pages[1]


def test_page_without_pictures_has_no_place_for_them(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    report(results, "-o", page)
    assert "No picture: neither the frame nor" in page.read_text(encoding="utf-8")
    report(results, "-o", page, "--thumbnails", "0")
    assert "No picture" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("gone.jsonl", None, "cannot read {}: No such file or directory"),
        ("empty.jsonl", "", "no results in {}"),
        ("empty.csv", "camera_id,batch,frame\n", "no results in {}"),
        ("notes.txt", "hello", "{} is neither .jsonl nor .csv"),
        ("batch.jsonl", '{{"status": "success"}}\n', "{}, line 1: frame: Field required"),
        ("other.csv", "a,b\n1,2\n", "{}, line 2: frame: Field required"),
        ("binary.jsonl", "\xff\xfe\0", "{}, line 1: row: Invalid JSON"),
    ],
)
def test_what_is_no_result_is_one_line(
    tmp_path: Path, name: str, content: str | None, complaint: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content.replace("{{", "{").replace("}}", "}"), encoding="utf-8")
    done = report(path, "-o", tmp_path / "page.html")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"fer-worker: {complaint.format(path)}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


def test_broken_line_is_named_and_a_page_of_before_stays(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("old", encoding="utf-8")
    lines = results.read_text(encoding="utf-8").splitlines()
    results.write_text("\n".join([lines[0], lines[1][:40], lines[1]]), encoding="utf-8")
    done = report(results, "-o", page)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"fer-worker: {results}, line 2: ")
    assert page.read_text(encoding="utf-8") == "old"


def test_number_that_is_none_is_no_result(results: Path, tmp_path: Path) -> None:
    text = results.read_text(encoding="utf-8")
    results.write_text(text.replace('"latency_ms":12.0', '"latency_ms":NaN'), encoding="utf-8")
    done = report(results, "-o", tmp_path / "page.html")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"fer-worker: {results}, line 1: latency_ms: ")


def test_place_that_cannot_be_written_to_is_said_before_anything_is_read(tmp_path: Path) -> None:
    page = tmp_path / "nowhere" / "page.html"
    done = report("gone.jsonl", "-o", page)
    assert (done.exit_code, done.stderr) == (
        1,
        f"fer-worker: cannot write {page}: No such file or directory\n",
    )


def test_interrupt_ends_it_as_a_shell_expects(tmp_path: Path) -> None:
    pipe = tmp_path / "results.jsonl"
    os.mkfifo(pipe)
    line = [sys.executable, "-m", "fer_worker", "report", str(pipe), f"-o{tmp_path}/page.html"]
    with (
        subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as making,
        pipe.open("w"),  # waits until it is opened to be read
    ):
        # Python notices no signal between its last look and a call that blocks.
        wait_until(lambda: is_asleep(making.pid), what="it waits for results")
        making.send_signal(signal.SIGINT)
        _, said = making.communicate(timeout=60)
    assert (making.returncode, said) == (130, "")


def test_results_are_not_overwritten_by_their_page(results: Path) -> None:
    before = results.read_bytes()
    done = report(results, "-o", results)
    assert done.exit_code == 2
    assert f"--output would replace {results}" in done.stderr
    assert results.read_bytes() == before
