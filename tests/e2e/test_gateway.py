"""What a controller of the earlier HTTP module may expect of the gateway."""

import base64
import json
import os
import pty
import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import MAX_MESSAGE_BYTES, BatchResult
from tests.engines import GatedEngine, plain_jpeg
from tests.frames import FOLDER, sample, tiled
from tests.gateways import RunningGateway, Upload, gateway, uploads
from tests.serving import command, fer_worker_process, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

ISSUED = 'curl -X POST http://localhost:8012/detect_batch -F "files=@frame1.jpg" \
-F "files=@frame2.jpg" -F "files=@frame3.jpg"'
"""As users of the earlier module know it."""

MIB = 1024 * 1024
MAGIC = b"\xff\xd8\xff"
PART = b'--b\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n'
"""Where a form's file begins, at the boundary `b`."""


@pytest.fixture
def http(served: RunningGateway) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_the_curl_line_of_the_earlier_module_works_as_it_did(
    served: RunningGateway, own: BrokerConfig, tmp_path: Path
) -> None:
    names = ("grace_hopper", "no_face", "astronaut")
    for number, name in enumerate(names, 1):
        shutil.copy(FOLDER / f"{name}.jpg", tmp_path / f"frame{number}.jpg")
    line = shlex.split(ISSUED.replace("http://localhost:8012", served.url))
    done = subprocess.run([*line, "-sS"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    result = BatchResult.model_validate(answer)
    with FerClient(own) as client:
        same = client.analyze([sample(name) for name in names])
    assert answer.keys() == BatchResult.model_fields.keys()
    assert answer["status"] == "success"
    assert (result.emotions, result.faces_areas) == (same.emotions, same.faces_areas)
    assert [frame.id for frame in result.frames] == ["frame1.jpg", "frame2.jpg", "frame3.jpg"]


def test_a_broken_frame_leaves_the_others_their_answers(http: httpx.Client) -> None:
    answer = http.post("/detect_batch", files=uploads([sample("grace_hopper"), sample("broken")]))
    result = BatchResult.model_validate_json(answer.content)
    assert answer.status_code == 200
    assert result.status == "partial"
    assert [error.frame for error in result.errors] == [1]


def in_json(*jpegs: bytes, **fields: object) -> dict[str, object]:
    """A batch as controllers publish it."""
    frames = [{"jpeg": base64.b64encode(jpeg).decode()} for jpeg in jpegs]
    return {"version": 1, "frames": frames, **fields}


def test_a_batch_in_json_is_answered_as_the_same_files_are(http: httpx.Client) -> None:
    jpegs = [sample("grace_hopper"), sample("broken")]
    files = BatchResult.model_validate(http.post("/detect_batch", files=uploads(jpegs)).json())
    answer = http.post("/detect_batch", json=in_json(*jpegs, camera_id="door-1"))
    assert answer.status_code == 200, answer.text
    result = BatchResult.model_validate(answer.json())
    assert result.camera_id == "door-1"
    assert (result.status, result.emotions, result.faces_areas, result.errors) == (
        *(files.status, files.emotions, files.faces_areas, files.errors),
    )


def test_all_faces_of_a_batch_are_had_by_asking_for_them(http: httpx.Client) -> None:
    jpeg = tiled("astronaut", 3, 2)
    for asked, count in (("first", 1), ("all", 6)):
        for answer in (
            http.post("/detect_batch", files=uploads([jpeg]), data={"faces": asked}),
            http.post("/detect_batch", json=in_json(jpeg, faces=asked)),
        ):
            assert [len(frame["faces"]) for frame in answer.json()["frames"]] == [count]
    answer = http.post("/detect-emotions", json=in_json(jpeg))
    assert len(answer.json()["faces"]) == 6


def test_a_deadline_that_has_passed_is_504(http: httpx.Client) -> None:
    late = in_json(plain_jpeg(40), deadline="2026-01-01T00:00:00Z")
    assert http.post("/detect_batch", json=late).status_code == 504


def test_one_image_brings_all_its_faces_the_largest_first(http: httpx.Client) -> None:
    answer = http.post("/detect-emotions", files=uploads([sample("grace_hopper")], "file"))
    assert answer.status_code == 200
    result = answer.json()
    assert list(result) == ["status", "emotion", "confidence", "face_area", "faces", "errors"]
    assert (result["status"], result["emotion"]) == ("success", "neutral")
    assert result["face_area"] == result["faces"][0]["area"]
    assert result["confidence"] == result["faces"][0]["emotions"]["neutral"]


def test_one_image_that_is_broken_is_an_error_with_its_reason(http: httpx.Client) -> None:
    answer = http.post("/detect-emotions", files=uploads([sample("broken")], "file"))
    assert answer.status_code == 200
    result = answer.json()
    assert (result["status"], result["emotion"], result["confidence"]) == ("error", None, 0.0)
    assert result["errors"][0]["code"] == "damaged_jpeg"


def test_health_is_good(http: httpx.Client) -> None:
    answer = http.get("/")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("status", "path", "files"),
    [
        (413, "/detect_batch", uploads([MAGIC + bytes(8 * MIB)])),
        (413, "/detect_batch", uploads([MAGIC + bytes(6 * MIB)] * 3)),
        (415, "/detect_batch", uploads([plain_jpeg(40), b"a note"])),
        (415, "/detect-emotions", uploads([b""], "file")),
        (422, "/detect_batch", uploads([])),
        (422, "/detect_batch", uploads([plain_jpeg(40)], "file")),
        (422, "/detect_batch", uploads([plain_jpeg(40)] * 65)),
        (422, "/detect_batch", uploads([b""] * 10_000)),
        (422, "/detect-emotions", uploads([plain_jpeg(40)] * 2, "file")),
        (404, "/detect", uploads([plain_jpeg(40)])),
        (404, "/detect_batch/", uploads([plain_jpeg(40)])),
    ],
    ids=[
        *("file too large", "files too large", "no JPEG", "nothing in it", "no files"),
        *("other field", "65 files", "10000 files", "two images", "no such route", "with a slash"),
    ],
)
def test_an_upload_that_cannot_be_is_a_problem_with_its_status(
    http: httpx.Client, status: int, path: str, files: list[Upload]
) -> None:
    answer = http.post(path, files=files)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]


@pytest.mark.parametrize(
    ("status", "path", "body"),
    [
        (413, "/detect_batch", in_json(MAGIC + bytes(8 * MIB))),
        (413, "/detect_batch", in_json(*[MAGIC + bytes(6 * MIB)] * 3)),
        (413, "/detect_batch", in_json(*[MAGIC + bytes(8 * MIB - 3)] * 2)),
        (415, "/detect_batch", in_json(plain_jpeg(40), b"a note")),
        (415, "/detect-emotions", in_json(b"")),
        (422, "/detect_batch", in_json()),
        (422, "/detect_batch", in_json(*[plain_jpeg(40)] * 65)),
        (422, "/detect-emotions", in_json(*[plain_jpeg(40)] * 2)),
        (422, "/detect_batch", {"frames": in_json(plain_jpeg(40))["frames"]}),
        (422, "/detect_batch", in_json(plain_jpeg(40), faces="two")),
        (422, "/detect_batch", {"version": 1, "frames": [{"jpeg": "no base64!"}]}),
        (422, "/detect_batch", {"version": 1, "frames": [[]] * 20_000}),
        (422, "/detect_batch", []),
    ],
    ids=[
        *("file too large", "body too large", "message too large", "no JPEG", "nothing in it"),
        *("no frames", "65 frames", "two images", "no version", "other faces", "no base64"),
        *("too many values", "a list"),
    ],
)
def test_a_body_in_json_that_cannot_be_is_a_problem_with_its_status(
    http: httpx.Client, status: int, path: str, body: object
) -> None:
    answer = http.post(path, json=body)
    assert answer.status_code == status
    problem = answer.json()
    assert (problem["status"], bool(problem["detail"])) == (status, True)


def test_faces_that_are_neither_first_nor_all_are_422(http: httpx.Client) -> None:
    answer = http.post("/detect_batch", files=uploads([plain_jpeg(40)]), data={"faces": "two"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "expected 'first' or 'all' in the field 'faces'"


def test_an_upload_that_lies_about_its_type_is_415(http: httpx.Client) -> None:
    files = [("files", ("camera.jpg", b"%PDF-1.7", "image/jpeg"))]
    assert http.post("/detect_batch", files=files).status_code == 415


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"{}"),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=b", b"no form"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nno name\r\n--b--\r\n"),
        (
            "multipart/form-data; boundary=b; charset=undefined",
            PART + b"\r\n--b--\r\n",
        ),
    ],
    ids=["another type", "no boundary", "no form", "no name", "strange charset"],
)
def test_a_body_that_is_no_form_is_422(http: httpx.Client, content_type: str, body: bytes) -> None:
    answer = http.post("/detect_batch", content=body, headers={"content-type": content_type})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("expected multipart/form-data")


def test_what_is_not_http_is_400_and_ends_the_connection_where_an_answer_was_sent(
    served: RunningGateway,
) -> None:
    with closing(served.connect()) as line:
        line.sendall(b"nonsense\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 400 ")
    with closing(served.connect()) as line:
        line.sendall(
            b"POST /nowhere HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        assert line.recv(1000).startswith(b"HTTP/1.1 404 ")
        line.sendall(b"no chunk\r\n")
        while line.recv(1000):
            pass
    assert "Traceback" not in served.log.read_text()


def answer_without_body(served: RunningGateway, size: int) -> bytes:
    """The first line of the answer to an upload of which nothing but the head is sent."""
    with closing(served.connect()) as line:
        line.sendall(
            b"POST /detect_batch HTTP/1.1\r\nHost: gateway\r\nContent-Length: %d\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" % size
        )
        return line.recv(100).partition(b"\r\n")[0]


def test_a_connection_with_half_a_request_is_closed_also_after_an_answer(
    served: RunningGateway,
) -> None:
    half = b"GET / HTTP/1.1\r\n"  # and no more
    with closing(served.connect()) as first, closing(served.connect()) as second:
        first.sendall(half)
        second.sendall(half + b"Host: gateway\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            more = second.recv(1000)
            assert more, answer
            answer += more
        assert answer.startswith(b"HTTP/1.1 200 ")
        second.sendall(half)
        for line, limit_s in ((first, 30), (second, 60)):
            line.settimeout(limit_s)
            assert line.recv(1) == b""


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(served: RunningGateway) -> None:
    assert answer_without_body(served, 10**10).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_unknown_length_is_read_up_to_the_limit(http: httpx.Client) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield PART
        while sent < 64 * MIB:
            sent += 64 * 1024
            yield bytes(64 * 1024)

    headers = {"content-type": "multipart/form-data; boundary=b"}
    try:
        status = http.post("/detect_batch", content=endless(), headers=headers).status_code
    except httpx.WriteError:  # it hung up, since nobody listened
        status = 413
    assert status == 413
    assert sent > MAX_MESSAGE_BYTES


def test_each_request_is_a_line_of_log_with_its_correlation_id(
    served: RunningGateway, http: httpx.Client
) -> None:
    answer = http.post("/detect_batch", files=uploads([sample("no_face")]))
    for _ in range(30):
        http.post("/nowhere%1b[31m")
    line = r"POST /nowhere\\x1b\[31m: 404 in \d+ ms\n"
    # An answer is out before its line is written.
    wait_until(lambda: len(re.findall(line, served.log.read_text())) == 30, what="30 lines")
    name = answer.json()["correlation_id"]
    wanted = rf"POST /detect_batch: 200 in \d+ ms correlation_id={name}\n"
    assert re.search(wanted, served.log.read_text())


def test_the_page_about_the_routes_loads_nothing_from_elsewhere(http: httpx.Client) -> None:
    page = http.get("/docs").text
    assert "https://" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/static-offline-docs/{asset}" in page
        assert http.get(f"/static-offline-docs/{asset}").status_code == 200


def test_the_page_to_try_it_can_be_left_out(own: BrokerConfig, tmp_path: Path) -> None:
    with gateway(tmp_path / "log", own, "--no-try") as started, started.client() as http:
        assert [http.get(path).status_code for path in ("/try", "/try/page.js")] == [404, 404]
        assert http.get("/docs").status_code == 200
    assert "at /try" not in started.log.read_text()


def test_with_a_token_only_who_bears_it_is_served_and_health_is_for_all(
    own: BrokerConfig, served: RunningGateway, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("open-sesame\n")
    with gateway(tmp_path / "log", own, f"--token-file={token}") as guarded:
        guarded.wait_until_connected()
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer open-barley"}, 401),
            ({"Authorization": "Basic open-sesame"}, 401),
            ({"Authorization": "Bearer open-sesame"}, 200),
        ):
            with guarded.client(headers) as http:
                assert http.get("/").status_code == 200
                answer = http.post("/detect_batch", files=uploads([sample("no_face")]))
                assert answer.status_code == status
                assert ("www-authenticate" in answer.headers) == (status == 401)
        assert answer_without_body(guarded, 1000) == b"HTTP/1.1 401 Unauthorized"
    assert "open-sesame" not in guarded.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_requests_under_way_be_answered(
    broker: BrokerConfig, tmp_path: Path, number: signal.Signals
) -> None:
    engine = GatedEngine()
    with (
        serving(broker, engine),
        gateway(tmp_path / "log", broker) as started,
        ThreadPoolExecutor() as pool,
        started.client() as http,
    ):
        started.wait_until_connected()
        answer = pool.submit(http.post, "/detect_batch", files=uploads([plain_jpeg(40)]))
        assert engine.entered.wait(20)
        started.process.send_signal(number)
        wait_until(lambda: "stopping: 1 requests" in started.log.read_text())
        engine.gate.set()
        assert answer.result(20).status_code == 200
        assert started.process.wait(20) == 0
    assert "Traceback" not in started.log.read_text()


def test_a_port_that_is_taken_is_said_in_one_line(own: BrokerConfig) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        done = fer_worker_process("gateway", f"--port={port}", broker=own)
    expected = f"fer-worker: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    assert (done.returncode, done.stderr) == (1, expected)


def test_a_refused_login_ends_it_with_exit_code_3(own: BrokerConfig) -> None:
    wrong = BrokerConfig((own.urls[0].replace(":guest@", ":wrong@"),))
    done = fer_worker_process("gateway", "--port=0", broker=wrong)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("fer-worker: the broker refuses the user name")
    assert "wrong" not in done.stderr
    assert "Traceback" not in done.stderr


def test_on_a_terminal_it_asks_for_the_port(own: BrokerConfig, tmp_path: Path) -> None:
    line, environment = command("gateway", broker=own)
    ours, theirs = pty.openpty()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            line, env=environment, stdin=theirs, stdout=output, stderr=output, process_group=0
        )
    os.close(theirs)
    try:
        wait_until(lambda: "Port [8012]:" in log.read_text(), 20, "the question")
        os.write(ours, b"99999\n")
        wait_until(lambda: log.read_text().count("Port [8012]:") == 2, 20, "it asks again")
        os.write(ours, b"0\n")
        wait_until(lambda: "listening at http://127.0.0.1:" in log.read_text(), 20)
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
