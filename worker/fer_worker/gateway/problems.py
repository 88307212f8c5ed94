"""What goes wrong over HTTP, in one shape: problem details (RFC 9457)."""

from http import HTTPStatus
from typing import Any, Final, cast

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

MEDIA_TYPE: Final = "application/problem+json"

MEANINGS: Final[dict[int, str]] = {
    401: "No bearer token, or a wrong one.",
    408: "The upload took longer than the gateway's timeout, or stopped on its way.",
    413: "A file has more than 8 MiB, or the request more than 16 MiB.",
    415: "A file is not a JPEG. Its content counts, not its name or the type that it claims.",
    422: "Neither a form with the files that are expected, nor a batch in JSON.",
    429: "The queue, or the gateway itself, is full. Send it again, after `Retry-After` seconds.",
    503: "No broker that takes messages, no queue or no workers; or the gateway is stopping.",
    504: "No answer from a worker in time.",
}
"""Every status that a route answers with besides 200."""


class Problem(BaseModel):
    """Why a request was not answered as it wanted."""

    type: str = "about:blank"
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong with this request.")
    correlation_id: str | None = Field(
        default=None, description="What log lines call it. Only where it got as far as the queue."
    )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe statuses for the OpenAPI document, as `responses` of a route."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {
        status: {"description": MEANINGS[status], "content": content}
        | ({"headers": {"Retry-After": {"schema": {"type": "integer"}}}} if status == 429 else {})
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Have `app` answer every HTTPException, also those of routing, as a problem."""
    app.add_exception_handler(HTTPException, _answer)
    app.add_exception_handler(ClientDisconnect, _nobody_reads)
    app.add_exception_handler(Exception, _our_fault)


def _problem(
    request: Request, status: int, detail: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        correlation_id=getattr(request.state, "correlation_id", None),
    )
    return JSONResponse(problem.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    refused = cast("HTTPException", error)
    headers = dict(refused.headers or {})
    return _problem(request, refused.status_code, refused.detail, headers)


async def _nobody_reads(request: Request, _: Exception) -> JSONResponse:
    return _problem(request, HTTPStatus.BAD_REQUEST, "the sender has hung up")


async def _our_fault(request: Request, _: Exception) -> JSONResponse:
    # uvicorn logs the traceback; it tells others nothing that they should know.
    return _problem(
        request, HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of the gateway; see its log"
    )
