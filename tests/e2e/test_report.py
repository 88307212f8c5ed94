"""`fer-worker report`, its page opened in a real browser that has no network."""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fer_client.config import BrokerConfig
from fer_schemas import Emotion
from fer_worker.cli import main
from fer_worker.tools.face_table import RowWriter
from tests.browser import Elements, Opened, find_browser, open_page
from tests.face_rows import at_second, face_row, row
from tests.frames import FOLDER
from tests.serving import RunningWorkers, fer_worker

SCRIPT = "<script>document.title='taken over'</script>"
HOSTILE = (
    f"""{SCRIPT}"><img src=http://a.test/x onerror="document.title='taken over'">'{{{{7*7}}}}"""
)


@pytest.fixture(autouse=True)
def browser() -> str:
    return find_browser()


def opened_report(results: Path, tmp_path: Path, *options: str) -> Opened:
    page = tmp_path / "page.html"
    done = CliRunner().invoke(main, ["report", str(results), "-o", str(page), *options])
    assert done.exit_code == 0, done.output
    return open_page(page)


def cells(row: list[str]) -> list[str]:
    return [cell.strip() for cell in row]


def own_time_of(row: dict[str, Any]) -> float:
    """The latency without waiting."""
    work: float = row["decode_ms"] + row["detect_ms"] + row["classify_ms"]
    waited: float = row["queued_ms"] + max(row["total_ms"] - work, 0)
    return float(row["latency_ms"]) - waited


@pytest.mark.broker
@pytest.mark.timeout(300)
def test_page_of_a_real_run_says_what_its_rows_say(
    workers: RunningWorkers, broker: BrokerConfig, tmp_path: Path
) -> None:
    results = tmp_path / "results.jsonl"
    pictures = ["submit", str(FOLDER), "--batch-size=2", "--camera=door-1", "--faces=all"]
    sent = fer_worker(*pictures, f"--output={results}", broker=broker)
    assert sent.returncode == 0, sent.stderr
    opened = opened_report(results, tmp_path)
    assert (opened.console, opened.requests) == ([], [])

    rows = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    tables = Elements(opened.dom).tables
    frames = list(dict.fromkeys(row["id"] for row in rows))
    faces = [row for row in rows if row["face"] is not None]
    with_face = len({row["id"] for row in faces})
    looked_at = cells(tables["looked-at"][1])
    assert looked_at[:5] == ["door-1", str(len(frames)), str(with_face), str(len(faces)), "1"]

    emotions = Counter(row["emotion"] for row in faces)
    shown = {cells(line)[0]: int(line[2]) for line in tables["emotions"][1:]}
    assert shown == {emotion.value: emotions[emotion] for emotion in Emotion}
    assert cells(tables["errors"][1]) == ["damaged_jpeg", "1", (FOLDER / "broken.jpg").as_posix()]

    scores: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for face in faces:
        scores[face["id"]].append(face)
    for index, frame in enumerate(frames):
        label, *_, count, _, _, _, happy, _, _, _ = cells(tables["values-1"][1 + index])
        assert (label, int(count)) == (f"frame {index}", len(scores[frame]))
        if scores[frame]:
            mean = sum(face["happy"] for face in scores[frame]) / len(scores[frame])
            assert float(happy) == pytest.approx(mean, abs=0.011)

    latencies = sorted({row["batch"]: own_time_of(row) for row in rows}.values())
    (latency,) = (cells(line) for line in tables["stages"] if line[0] == "latency")
    assert float(latency[3]) == pytest.approx(latencies[(len(latencies) - 1) // 2], abs=0.06)
    assert float(latency[4]) == pytest.approx(latencies[-1], abs=0.06)

    relevant = [row for row in faces if row["most_relevant"] and row["face"] == 0]
    page = Elements(opened.dom)
    pictures_shown = [v for k, v in page.attributes if k == "src" and v]
    assert len(pictures_shown) == len(relevant)
    assert all(address.startswith("data:image/jpeg;base64,") for address in pictures_shown)
    for face in relevant:
        assert f"{face['emotion']} {face['confidence']:.2f}" in page.text


def test_words_of_others_stay_words(tmp_path: Path) -> None:
    results = tmp_path / f"{SCRIPT.replace('/', '')}.jsonl"
    words: dict[str, Any] = dict.fromkeys(
        ("camera_id", "batch", "id", "source", "annotated", "worker"), HOSTILE
    )
    with RowWriter(results) as writer:
        writer.write(
            [
                face_row(0, most_relevant=True, latency_ms=3.0, **words),
                row(1, error=HOSTILE, **words),
                face_row(2, **words | {"camera_id": None}, captured_at=at_second(0)),
                face_row(3, **words | {"camera_id": None}, position_s=0.0),
            ]
        )
    opened = opened_report(results, tmp_path, f"--title={HOSTILE}")
    page = Elements(opened.dom)
    assert (opened.console, opened.requests) == ([], [])
    assert not {"script", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    addresses = [value for name, value in page.attributes if name in ("src", "href", "action")]
    assert all((value or "").startswith(("data:", "#")) for value in addresses)
    assert page.text.count(HOSTILE) >= 6  # title, heading, camera, sources, error
    assert results.name in page.text


def test_browser_of_these_tests_would_notice_a_script_and_a_request(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<title>a</title>{HOSTILE}<script>console.log('here')</script>")
    opened = open_page(page)
    assert "<title>taken over</title>" in opened.dom
    assert any("here" in line for line in opened.console)
    assert opened.requests == ["http://a.test/x"]


def test_policy_of_the_page_stops_what_might_get_in_after_all(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    with RowWriter(results) as writer:
        writer.write([face_row(0)])
    opened_report(results, tmp_path)
    page = tmp_path / "page.html"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("</main>", f"{HOSTILE}</main>"), encoding="utf-8")
    opened = open_page(page)
    assert "<title>Facial emotions</title>" in opened.dom
    assert opened.requests == []
    assert len(opened.console) >= 2  # both were refused, and it says so
