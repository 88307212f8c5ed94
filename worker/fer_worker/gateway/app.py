"""The routes: the contract of the earlier module, and who may use it."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Literal, Self, get_args

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, ConfigDict

from fer_schemas import (
    MAX_FRAMES,
    BatchRequest,
    BatchResult,
    ContentType,
    Emotion,
    FaceResult,
    FaceSelection,
    RequestError,
    Status,
)
from fer_worker import __version__
from fer_worker.gateway import problems
from fer_worker.gateway.access_log import AccessLog
from fer_worker.gateway.problems import MEANINGS, documented
from fer_worker.gateway.try_page.routes import routes as try_page_routes
from fer_worker.gateway.uploads import UploadHandler

DESCRIPTION: Final = """\
Facial emotions of JPEG frames. What is uploaded here is put into the workers' queue: files of a
form, or a batch in JSON, as controllers publish it.

Every answer of a route with a status other than 200 is a problem (RFC 9457).
"""

JPEG: Final = {"type": "string", "format": "binary", "description": "A JPEG file."}
JPEG_IN_JSON: Final = JPEG | {"format": "byte", "contentEncoding": "base64"}
UPLOAD_PROBLEMS: Final = (408, 413, 415, 422, 429, 503, 504)


class Health(BaseModel):
    """The broker is connected and takes messages."""

    status: Literal["ok"] = "ok"


class ImageResult(BaseModel):
    """What was found in one image; `emotion`, `confidence` and `face_area` of its largest face.

    Without a face, or with a `status` of `error`, they are null, 0.0 and 0.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: Status
    emotion: Emotion | None
    confidence: float
    face_area: int
    faces: tuple[FaceResult, ...]
    """All of them, the largest first."""
    errors: tuple[RequestError, ...]
    """Why it could not be analysed."""

    @classmethod
    def of(cls, batch: BatchResult) -> Self:
        """Take the only frame out of a batch. A batch that was bad as a whole has none."""
        dominant = batch.emotions[0] if batch.emotions else None
        return cls(
            status=batch.status,
            emotion=dominant.emotion if dominant else None,
            confidence=dominant.confidence if dominant else 0.0,
            face_area=batch.faces_areas[0] if batch.faces_areas else 0,
            faces=batch.frames[0].faces if batch.frames else (),
            errors=batch.errors,
        )


def create_app(
    uploads: UploadHandler, token: str | None = None, *, with_try_page: bool = False
) -> FastAPI:
    """Make the application.

    Args:
        uploads: what does the work.
        token: that requests with images must bear; None: nobody is asked.
        with_try_page: whether to serve the page at /try.
    """
    app = FastAPIOffline(
        title="fer-worker",
        version=__version__,
        description=DESCRIPTION,
        redoc_url=None,
        redirect_slashes=False,  # it would send frames and token to what the sender calls us
    )
    problems.install(app)
    app.add_middleware(AccessLog)

    @app.get("/", responses=documented(503))
    async def health() -> Health:
        """Say whether batches can be sent."""
        uploads.require_broker()
        return Health()

    guards = [] if token is None else [Depends(_guard(token))]
    statuses = UPLOAD_PROBLEMS if token is None else (401, *UPLOAD_PROBLEMS)
    guarded = APIRouter(dependencies=guards, responses=documented(*statuses))

    @guarded.post("/detect-emotions", openapi_extra=_body("file", JPEG, max_frames=1))
    async def detect_emotions(request: Request) -> ImageResult:
        """Find all faces of one image and their emotions."""
        return ImageResult.of(await uploads.analyze(request, "file", max_files=1, faces="all"))

    several = {"type": "array", "items": JPEG, "minItems": 1, "maxItems": MAX_FRAMES}

    @guarded.post("/detect_batch", openapi_extra=_body("files", several))
    async def detect_batch(request: Request) -> BatchResult:
        """Find the largest face of each frame, or all of them, in the order of the files."""
        return await uploads.analyze(request, "files")

    app.include_router(guarded)
    if with_try_page:
        app.router.routes.extend(try_page_routes())
    return app


def _body(field: str, files: dict[str, Any], max_frames: int = MAX_FRAMES) -> dict[str, Any]:
    """Describe the body of a route that reads it by itself: FastAPI would read all of it first."""
    batch = BatchRequest.model_json_schema()
    frames = batch["properties"]["frames"]
    # In place: what it refers to would have to be among the components of the document.
    frames["items"] = frame = batch.pop("$defs")["Frame"]
    frames["maxItems"] = max_frames
    frame["properties"]["jpeg"] = JPEG_IN_JSON
    form = {
        "type": "object",
        "properties": {field: files, "faces": {"type": "string", "enum": get_args(FaceSelection)}},
        "required": [field],
    }
    content = {"multipart/form-data": {"schema": form}, ContentType.JSON: {"schema": batch}}
    return {"requestBody": {"content": content, "required": True}}


def _guard(token: str) -> Callable[..., Awaitable[None]]:
    """Make the dependency that lets only those in who bear the token."""
    bearer = HTTPBearer(auto_error=False)

    async def check(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> None:
        given = "" if credentials is None else credentials.credentials
        # Compared in constant time: how long it takes tells nothing of how much was right.
        if not secrets.compare_digest(given.encode(), token.encode()):
            raise HTTPException(401, MEANINGS[401], {"WWW-Authenticate": "Bearer"})

    return check
