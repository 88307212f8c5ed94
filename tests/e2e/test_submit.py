"""`fer-worker submit` with clips and cameras, through a broker and a service."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_client.config import BrokerConfig
from fer_schemas import BatchResult
from fer_worker.inference.factory import create_engine
from fer_worker.inference.types import EngineOptions
from fer_worker.limits import Limits
from tests.engines import GatedEngine, SizeEngine, plain_jpeg
from tests.outputs import frames_of, rows_in
from tests.serving import command, fer_worker, serving
from tests.terminals import Terminal

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

NOWHERE = BrokerConfig(("amqp://127.0.0.1:1/",))


def clip(path: Path, frames: int = 25) -> Path:
    """A clip of 64x48, ten frames per second, each as large as the others."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    noise = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(noise.integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    return path


@pytest.fixture
def answering(broker: BrokerConfig) -> Iterator[BrokerConfig]:
    """The broker, with a service that sees a face as large as the frame, at once."""
    with serving(broker, SizeEngine()):
        yield broker


def test_clip_is_sent_at_the_rate_asked_for_and_summed_up(
    answering: BrokerConfig, tmp_path: Path
) -> None:
    path = clip(tmp_path / "door.mp4")
    done = fer_worker("submit", str(path), "--fps=5", "--batch-size=4", broker=answering)
    assert done.returncode == 0, done.stderr
    results = [BatchResult.model_validate_json(line) for line in done.stdout.splitlines()]
    assert [len(result.frames) for result in results] == [4, 4, 4, 1]
    assert results[0].frames[1].id == f"{path}#2"
    assert done.stderr.startswith("13 frames sent, 13 answered, 0 failed, 13 faces; ")
    assert done.stderr.count("\n") == 1


def test_rows_go_to_a_file_and_frames_into_a_video(answering: BrokerConfig, tmp_path: Path) -> None:
    path, output = clip(tmp_path / "door.mp4"), tmp_path / "rows.jsonl"
    video = tmp_path / "out.mp4"
    arguments = ("submit", str(path), "--camera=door-1", f"--output={output}")
    done = fer_worker(*arguments, f"--annotate={video}", broker=answering)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    rows = rows_in(output)
    assert [(row.position, row.position_s) for row in rows] == [(n, n / 10) for n in range(25)]
    assert {(row.camera_id, row.emotion, row.source) for row in rows} == {
        ("door-1", "happy", str(path))
    }
    assert frames_of(video) == 25
    again = fer_worker(*arguments, broker=answering)
    assert again.returncode == 1
    assert again.stderr == f"fer-worker: {output} exists already; --overwrite replaces it\n"
    assert rows_in(output) == rows
    assert fer_worker(*arguments, "--overwrite", broker=answering).returncode == 0
    assert [row.position for row in rows_in(output)] == list(range(25))


def test_what_cannot_be_read_to_its_end_is_said_and_the_rest_is_kept(
    answering: BrokerConfig, tmp_path: Path
) -> None:
    damaged = clip(tmp_path / "a.avi")
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size * 3 // 5])
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "c.jpg").write_bytes(plain_jpeg(64, 48))
    output = tmp_path / "rows.jsonl"
    done = fer_worker("submit", f"{tmp_path}/?.*", f"--output={output}", broker=answering)
    assert done.returncode == 1
    short, unreadable, summary, written = done.stderr.splitlines()
    sent = len(rows_in(output))
    assert short == f"fer-worker: {damaged} ended at frame {sent - 1} of 25"
    assert unreadable.startswith(f"fer-worker: cannot read {tmp_path}/b.png: ")
    assert summary.startswith(f"{sent} frames sent, {sent} answered, ")
    assert rows_in(output)[-1].source.endswith("c.jpg")
    assert written == f"written: {output} ({sent} rows)"


def test_batch_that_a_worker_refuses_as_a_whole_is_said(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jpg").write_bytes(plain_jpeg(64, 48))
    with serving(broker, SizeEngine(), limits=Limits(max_pixels=64 * 48)):
        done = fer_worker("submit", str(tmp_path), "--batch-size=2", broker=broker)
    assert done.returncode == 1
    refused, answered = map(BatchResult.model_validate_json, done.stdout.splitlines())
    assert (len(refused.frames), len(answered.frames)) == (0, 1)
    said, summary = done.stderr.splitlines()
    assert said == (
        f"fer-worker: {refused.errors[0].code}: {refused.errors[0].message}: "
        f"{tmp_path}/a.jpg, {tmp_path}/b.jpg"
    )
    assert summary.startswith("3 frames sent, 1 answered, 2 failed, ")


def test_annotated_frames_replace_nothing_that_is_to_be_sent(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4")
    before = path.read_bytes()
    done = fer_worker("submit", str(path), f"--annotate={path}", "--overwrite", broker=NOWHERE)
    assert done.returncode == 1
    assert done.stderr == f"fer-worker: annotating into {path} would replace what is to be sent\n"
    assert path.read_bytes() == before


def test_terminal_shows_progress_and_results_go_where_they_are_sent(
    answering: BrokerConfig, tmp_path: Path
) -> None:
    results = tmp_path / "results.jsonl"
    line, environment = command("submit", str(clip(tmp_path / "a.mp4")), broker=answering)
    terminal = Terminal(line, environment, results)
    terminal.read_until("25 sent")
    terminal.read_until("25 frames sent, 25 answered")
    assert terminal.wait() == 0
    assert "/25" in terminal.shown
    assert len([json.loads(text) for text in results.read_text().splitlines()]) == 4


def test_terminal_shows_a_row_per_frame(answering: BrokerConfig, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jpg").write_bytes(plain_jpeg(64, 48))
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    line, environment = command("submit", str(tmp_path), "--batch-size=1", broker=answering)
    terminal = Terminal(line, environment)
    assert terminal.wait() == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.shown)
    assert shown.count("confidence") == 1
    assert len(re.findall(r"[ac]\.jpg +1 +happy +\d\.\d\d +3072", shown)) == 2
    assert re.search(r"b\.jpg +- +- +- +- +not_a_jpeg: ", shown)


def test_what_failed_what_was_left_out_and_what_was_written_is_said_at_the_end(
    answering: BrokerConfig, tmp_path: Path
) -> None:
    source, copies, output = tmp_path / "in", tmp_path / "out", tmp_path / "rows.csv"
    source.mkdir()
    for name in ("a.jpg", "b.heic", "c.svg", "notes.txt"):
        (source / name).write_bytes(plain_jpeg(64, 48))
    (source / "bad.jpg").write_bytes(b"no picture")
    done = fer_worker(
        "submit", str(source), f"--output={output}", f"--annotate={copies}", broker=answering
    )
    assert done.returncode == 0, done.stderr
    summary, failed, skipped, written = done.stderr.splitlines()
    assert summary.startswith("2 frames sent, 1 answered, 1 failed, 1 face; ")
    assert failed.startswith(f"failed: {source}/bad.jpg: not_a_jpeg: ")
    assert skipped == f"skipped, of a kind that is not read: {source}/b.heic, {source}/c.svg"
    assert written == f"written: {output} (2 rows), 1 picture in {copies}"


@pytest.mark.parametrize(
    ("options", "faces"),
    [((), "first"), (("--annotate",), "all"), (("--annotate", "--faces=first"), "first")],
)
def test_what_is_drawn_has_all_faces_unless_told_otherwise(
    options: tuple[str, ...], faces: str, broker: BrokerConfig, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(plain_jpeg(64, 48))
    given = [one if one != "--annotate" else f"--annotate={tmp_path}/copies" for one in options]
    with serving(broker, SizeEngine()):
        done = fer_worker("submit", f"{tmp_path}/a.jpg", *given, broker=broker)
    result = BatchResult.model_validate_json(done.stdout)
    assert result.engine is not None
    assert result.engine.faces == faces


def test_second_ctrl_c_does_not_wait_for_answers(broker: BrokerConfig, tmp_path: Path) -> None:
    engine = GatedEngine()
    line, environment = command("submit", str(clip(tmp_path / "a.mp4")), broker=broker)
    with serving(broker, engine):
        try:
            terminal = Terminal(line, environment, tmp_path / "results.jsonl")
            terminal.read_until("25 sent")
            terminal.type(b"\x03")
            terminal.read_until("stopping")
            terminal.type(b"\x03")
            assert terminal.wait() == 130
        finally:
            engine.gate.set()
    assert "25 frames sent, 0 answered, 0 failed, 25 without an answer" in terminal.shown


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("*.nothing",), 1, "nothing matches *.nothing"),
        (("rtsp://127.0.0.1:1/a", "a.jpg"), 2, "cameras and files do not go together"),
        (("a.jpg", "--camera=door=rtsp://127.0.0.1:1/a"), 2, "cameras and files do not go"),
        (("--camera=door",), 2, "name a SOURCE, or a camera"),
        (("--camera=a=camera:1", "--camera=a=camera:2"), 2, "two cameras are called a"),
        (("--camera=a=camera:1", "--camera=b"), 2, "each named as ID=ADDRESS"),
        (("camera:1", "camera:2", "--camera=b"), 2, "each named as --camera ID=ADDRESS"),
        (("--camera=a=camera:1", "--fps=b=5"), 2, "--fps: no camera is called b"),
        (("camera:1", "camera:2", "--annotate=a.mp4"), 2, "one video has one camera"),
        (("ftp://me:secret@host/a.mp4",), 1, "cannot read ftp://me:***@host/a.mp4; only "),
        (("a.mp4", "--output=rows.txt"), 2, "rows.txt is neither .jsonl nor .csv"),
        (("a.mp4", "--annotate=a.avi"), 2, "a.avi is neither .mp4 nor .webm"),
        (("a.mp4", "--fps=0"), 2, "--fps"),
        (("--camera=a=camera:1", "--fps=a=0"), 2, "--fps"),
        (("a.mp4", "--fps=nan"), 2, "--fps"),
        (("a.mp4", "--fps=inf"), 2, "--fps"),
        (("a.mp4", f"--camera={'x' * 129}"), 2, "more than 128 characters"),
    ],
)
def test_bad_input_is_said_before_anything_is_sent(
    arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = fer_worker("submit", *arguments, broker=NOWHERE)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_faces_of_a_real_clip_are_found(broker: BrokerConfig, shared: Path, tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    source = shared / "clips" / "WolfgangLanger_Pexels.mp4"
    with serving(broker, create_engine(EngineOptions())):
        done = fer_worker("submit", str(source), "--fps=0.5", f"--output={output}", broker=broker)
    assert done.returncode == 0, done.stderr
    rows = rows_in(output)
    assert [round(row.position_s or 0) for row in rows] == list(range(0, 20, 2))
    assert all(row.face == 0 and (row.area or 0) > 10_000 for row in rows)
