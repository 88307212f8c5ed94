"""What the gateway holds at once, and what it says of faults: its own, and of a token file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from fastapi import Request
from starlette.exceptions import HTTPException

from fer_client import AsyncFerClient
from fer_schemas import BatchResult
from fer_worker.cli import main
from fer_worker.gateway.app import create_app
from fer_worker.gateway.bodies import MAX_FORM_BYTES, MAX_JSON_BYTES, _bounded, announced_bytes
from fer_worker.gateway.uploads import ByteBudget, UploadHandler


def test_uploads_beyond_the_room_wait_until_others_are_done() -> None:
    held: list[str] = []

    async def upload(room: ByteBudget, name: str, size: int, done: asyncio.Event) -> None:
        async with room.of(size):
            held.append(name)
            await done.wait()

    async def scenario() -> None:
        room, first_done, done = ByteBudget(10), asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(upload(room, "first", 6, first_done))
            tasks.create_task(upload(room, "large", 10, done))
            tasks.create_task(upload(room, "small", 4, done))
            await asyncio.sleep(0)
            assert held == ["first", "small"]
            first_done.set()
            done.set()
        assert held == ["first", "small", "large"]

    asyncio.run(scenario())


def test_an_upload_that_gives_up_waiting_leaves_the_room_as_it_was() -> None:
    async def scenario() -> None:
        room = ByteBudget(10)
        async with room.of(10):
            try:
                async with asyncio.timeout(0), room.of(1):
                    raise AssertionError("there is no room")
            except TimeoutError:
                pass
        async with asyncio.timeout(10), room.of(10):
            pass

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("content_type", "most"),
    [
        (b"multipart/form-data", MAX_FORM_BYTES),
        (b"Application/JSON; charset=utf-8", MAX_JSON_BYTES),
    ],
)
def test_a_chunked_body_counts_as_the_largest_whatever_length_it_announces(
    content_type: bytes, most: int
) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"0")]
    assert announced_bytes(Request({"type": "http", "headers": headers})) == 0
    headers.append((b"transfer-encoding", b"chunked"))
    assert announced_bytes(Request({"type": "http", "headers": headers})) == most


def test_an_upload_of_which_nothing_comes_any_more_is_408() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"the first"
        await asyncio.Event().wait()

    async def read() -> None:
        async for _ in _bounded(chunks(), 1000, max_silence_s=0.01):
            pass

    with pytest.raises(HTTPException, match=r"nothing came for 0\.01 s") as raised:
        asyncio.run(read())
    assert raised.value.status_code == 408


def test_an_upload_that_only_trickles_is_408() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.001)

    async def read() -> None:
        async for _ in _bounded(chunks(), 1000, max_silence_s=0.05):
            pass

    with pytest.raises(HTTPException, match="bytes came in") as raised:
        asyncio.run(read())
    assert raised.value.status_code == 408


class BrokenUploadHandler(UploadHandler):
    async def analyze(self, request: Request, *_: object, **__: object) -> BatchResult:
        raise ValueError("a secret of the gateway")


def test_a_fault_of_the_gateway_is_a_problem_without_its_details() -> None:
    app = create_app(BrokenUploadHandler(AsyncFerClient(), timeout_s=1))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            return await http.post("/detect_batch")

    answer = asyncio.run(ask())
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read {path}: No such file or directory"),
        (b"\xff", "{path} is not a text"),
        (b"\n", "{path} holds no token: printable ASCII without spaces"),
        (b"two words", "{path} holds no token: printable ASCII without spaces"),
    ],
    ids=["missing", "no text", "empty", "two words"],
)
def test_a_token_file_that_is_none_is_said_in_one_line(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    done = CliRunner().invoke(main, ["gateway", "--port=0", f"--token-file={path}"])
    assert (done.exit_code, done.stderr) == (1, f"fer-worker: {said.format(path=path)}\n")


@pytest.mark.parametrize("seconds", ["nan", "inf", "1e15", "0"])
def test_a_timeout_that_is_none_is_wrong_usage(seconds: str) -> None:
    done = CliRunner().invoke(main, ["gateway", "--port=0", f"--timeout={seconds}"])
    assert done.exit_code == 2
    assert "Invalid value for '--timeout'" in done.stderr
