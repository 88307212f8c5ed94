"""The routes of the page: its files, and what a browser lets them do."""

from pathlib import Path
from string import Template
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fer_schemas import Emotion
from fer_worker.leading import CLOSE
from fer_worker.limits import DEFAULT_LIMITS
from fer_worker.palette import THEME, css_color

FOLDER: Final = Path(__file__).parent

SCRIPTS: Final = ("page.js", "analysis.js", "view.js")

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def routes() -> list[Route]:
    """Make the routes.

    The page says the limits of a frame and which scores are close, its style the colours of
    emotions.
    """
    limits = DEFAULT_LIMITS.frame
    page = Template(_read("page.html")).substitute(
        max_bytes=limits.max_bytes, max_pixels=limits.max_pixels, close=CLOSE
    )
    colors = "".join(f".{emotion} {{ --color: {css_color(emotion)}; }}\n" for emotion in Emotion)
    style = THEME.read_text(encoding="utf-8") + _read("page.css") + colors
    return [
        _route("/try", page, "text/html"),
        _route("/try/page.css", style, "text/css"),
        *(_route(f"/try/{name}", _read(name), "text/javascript") for name in SCRIPTS),
    ]


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _route(path: str, text: str, media_type: str) -> Route:
    async def answer(_: Request) -> Response:
        return Response(text, media_type=media_type, headers=HEADERS)

    return Route(path, answer)
