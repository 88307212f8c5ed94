"""The body of a request, bounded while it is read: files of a form, or a batch as JSON."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from fer_client.errors import MessageError
from fer_schemas import (
    MAX_FRAMES,
    MAX_MESSAGE_BYTES,
    MAX_NAME_LENGTH,
    PROTOCOL_VERSION,
    BatchRequest,
    ContentType,
    Frame,
)
from fer_worker.inference.jpeg.kinds import start_of_jpeg, why_no_jpeg
from fer_worker.limits import DEFAULT_LIMITS, Limits
from fer_worker.serving.request_decoder import decode_request

MAX_FRAME_BYTES: Final = DEFAULT_LIMITS.frame.max_bytes

MAX_FORM_BYTES: Final = MAX_MESSAGE_BYTES + MAX_FRAMES * 1024
"""A message, and around each of its frames what a form needs."""

MAX_JSON_BYTES: Final = MAX_FORM_BYTES * 4 // 3
"""The same as base64."""

MAX_SILENCE_S: Final = 5.0
"""Between two pieces of an upload: a sender that holds room has to send."""

MIN_BYTES_PER_S: Final = 4096
"""On average, from MAX_SILENCE_S on: a byte now and then does not hold room either."""

MAX_FIELDS: Final = 64
MAX_FIELD_BYTES: Final = 4096
"""Of a form, beside its files. Only `faces` is used."""

JSON_EXPECTED: Final = 'expected {"version": 1, "frames": [{"jpeg": BASE64}]}'


def announced_bytes(request: Request) -> int:
    """How large the body is, or may be where it does not say.

    Raises:
        HTTPException: larger than it may be (413).
    """
    # The server holds the sender to it, unless the body is chunked: then it counts for nothing.
    announced = request.headers.get("content-length")
    is_chunked = "transfer-encoding" in request.headers
    most = _max_bytes(request)
    size = most if announced is None or is_chunked else int(announced)
    if size > most:
        raise _too_large("the request", most)
    return size


async def read_batch(request: Request, field: str, max_files: int) -> BatchRequest:
    """Read the body of a request.

    Args:
        request: whose body nobody has read yet.
        field: name of the form's field that holds the files.
        max_files: how many there may be.

    Raises:
        HTTPException: it cannot be a batch (408, 413, 415, 422).
        ClientDisconnect: the sender has hung up.
    """
    read = _read_json if _is_json(request) else _read_form
    batch = await read(request, field, max_files)
    for index, frame in enumerate(batch.frames):
        if len(frame.jpeg) > MAX_FRAME_BYTES:
            raise _too_large(f"file {index}", MAX_FRAME_BYTES)
        if start_of_jpeg(frame.jpeg) is None:
            raise HTTPException(415, f"file {index}: {why_no_jpeg(frame.jpeg)}")
    return batch


async def _read_json(request: Request, _: str, max_files: int) -> BatchRequest:
    """Read a request of the wire contract, as a controller would publish it."""
    chunks = [chunk async for chunk in _bounded(request.stream(), MAX_JSON_BYTES)]
    body = b"".join(chunks)
    chunks.clear()
    try:
        batch = decode_request(body, ContentType.JSON, {}, Limits(max_bytes=MAX_JSON_BYTES))
    except MessageError as error:
        raise HTTPException(422, f"{JSON_EXPECTED}: {error}") from None
    if len(batch.frames) > max_files:
        raise HTTPException(422, f"expected one frame, not {len(batch.frames)}")
    return batch


async def _read_form(request: Request, field: str, max_files: int) -> BatchRequest:
    """Read the files in a field of a form. Larger ones are on disk until all of it is there."""
    files_expected = "one file" if max_files == 1 else f"1 to {max_files} files"
    expected = f"expected multipart/form-data with {files_expected} in the field '{field}'"
    content_type = request.headers.get("content-type", "").lower()
    if not content_type.startswith("multipart/form-data"):
        raise HTTPException(422, f"{expected}, or application/json")
    parser = MultiPartParser(
        request.headers,
        _bounded(request.stream(), MAX_FORM_BYTES),
        max_files=max_files,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(422, f"{expected}: {error.message}") from None
    except ValueError:  # what is said to be its charset cannot be read as such
        raise HTTPException(422, expected) from None
    try:
        files = [value for value in form.getlist(field) if isinstance(value, UploadFile)]
        if not files:
            raise HTTPException(422, expected)
        frames = [await _read_file(file) for file in files]
        return BatchRequest.model_validate(
            {"version": PROTOCOL_VERSION, "frames": frames, "faces": form.get("faces")}
        )
    except ValidationError:  # the rest of it is ours
        raise HTTPException(422, "expected 'first' or 'all' in the field 'faces'") from None
    finally:
        await form.close()


async def _read_file(file: UploadFile) -> Frame:
    # A name can be made to hold what is not Unicode.
    name = (file.filename or "").encode(errors="replace").decode()[:MAX_NAME_LENGTH]
    return Frame(jpeg=await file.read(), id=name or None)


async def _bounded(
    chunks: AsyncIterator[bytes], max_bytes: int, max_silence_s: float = MAX_SILENCE_S
) -> AsyncGenerator[bytes, None]:
    """Pass a body on, up to `max_bytes` and as long as it keeps coming."""
    size, began = 0, time.monotonic()
    while True:
        try:
            async with asyncio.timeout(max_silence_s):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise HTTPException(408, f"nothing came for {max_silence_s:g} s") from None
        if chunk is None:
            return
        size += len(chunk)
        if size > max_bytes:
            raise _too_large("the request", max_bytes)
        took_s = time.monotonic() - began
        if took_s > max_silence_s and size < took_s * MIN_BYTES_PER_S:
            raise HTTPException(408, f"{size} bytes came in {took_s:.0f} s")
        yield chunk


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() == ContentType.JSON


def _max_bytes(request: Request) -> int:
    return MAX_JSON_BYTES if _is_json(request) else MAX_FORM_BYTES


def _too_large(what: str, most: int) -> HTTPException:
    return HTTPException(413, f"{what} has more than {most} bytes")
