"""Ask a camera of the network itself why it gives no video: OpenCV does not say what it said."""

import os
import re
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, parse_headers
from typing import BinaryIO, Final
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import (
    AbstractDigestAuthHandler,
    BaseHandler,
    HTTPBasicAuthHandler,
    HTTPDigestAuthHandler,
    HTTPPasswordMgrWithDefaultRealm,
    HTTPRedirectHandler,
    HTTPSHandler,
    Request,
    build_opener,
    getproxies,
    parse_http_list,
    parse_keqv_list,
)

MAX_SDP_BYTES: Final = 65536

PORTS: Final = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}

REFUSALS: Final = {
    401: "401 Unauthorized: user name or password is missing or wrong",
    403: "403 Forbidden: this user may not see it",
    404: "404 Not Found: it has nothing under this path",
}
"""Answers that stay the same however often it is asked."""


@dataclass(frozen=True)
class Trouble:
    """Why a camera gives no video."""

    reason: str
    is_final: bool = False
    """Whether it would be the same the next time."""


def find_no_way(address: str, timeout_s: float) -> Trouble | None:
    """Connect to a camera and hang up, since FFmpeg takes long to say that it cannot.

    Args:
        address: as for `find_trouble`.
        timeout_s: how long connecting may take.

    Returns:
        Why there is no connection; None if there is one, or if FFmpeg would go through a proxy.
    """
    try:
        url = urlsplit(address)
        host, port = _place(url)
    except ValueError:
        return Trouble("its address has no valid host and port", is_final=True)
    if url.scheme in getproxies():
        return None
    try:
        socket.create_connection((host, port), timeout_s).close()
    except OSError as error:
        return Trouble(_in_words(error, host, port))
    return None


def find_trouble(address: str, timeout_s: float) -> Trouble | None:
    """Ask a camera what is wrong.

    It gets the password of its address, over TLS only where FFmpeg would send it as well.

    Args:
        address: `rtsp://…`, `rtsps://…`, `http://…` or `https://…`, with a valid port.
        timeout_s: how long connecting and each of its answers may take.

    Returns:
        What it says; None if it says that there is video.
    """
    url = urlsplit(address)
    host, port = _place(url)
    try:
        if url.scheme.startswith("http"):
            return _ask_http(url, timeout_s)
        with socket.create_connection((host, port), timeout_s) as plain:
            line = (
                _tls().wrap_socket(plain, server_hostname=host) if url.scheme == "rtsps" else plain
            )
            with line, line.makefile("rb") as answers:
                return _ask_rtsp(url, line, answers)
    except HTTPError as error:
        return _refusal(error.code, error.reason)
    except URLError as error:
        cause = error.reason
        return Trouble(_in_words(cause, host, port) if isinstance(cause, OSError) else str(cause))
    except OSError as error:
        return Trouble(_in_words(error, host, port))
    except (HTTPException, ValueError):
        return Trouble(f"what answers at port {port} does not speak {url.scheme.upper()}")


def _place(url: SplitResult) -> tuple[str, int]:
    """Give host and port.

    Raises:
        ValueError: the port is no number.
    """
    return url.hostname or "", url.port or PORTS[url.scheme]


def _refusal(code: int, reason: str) -> Trouble:
    return Trouble(REFUSALS.get(code, f"{code} {reason}"), is_final=code in REFUSALS)


def _in_words(error: OSError, host: str, port: int) -> str:
    if isinstance(error, socket.gaierror):
        return f"no host is called {host}"
    if isinstance(error, ConnectionRefusedError):
        return f"connection refused: nothing listens at port {port}"
    if isinstance(error, TimeoutError):
        return f"no answer from port {port}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection: {error.reason or error}"
    return (error.strerror or str(error)).lower()


def _ask_rtsp(url: SplitResult, line: socket.socket, answers: BinaryIO) -> Trouble | None:
    """Send DESCRIBE (RFC 2326), with a password once it asks for one."""
    where = url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()
    code, reason, headers, sdp = _describe(where, line, answers, "")
    if code == 401 and url.username is not None:
        challenges = headers.get_all("WWW-Authenticate", [])
        code, reason, _, sdp = _describe(where, line, answers, _login(url, where, challenges))
    if code != 200:
        return _refusal(code, reason)
    if re.search(rb"^m=video ", sdp, flags=re.MULTILINE):
        return None
    return Trouble("no video at this address", is_final=True)


def _describe(
    where: str, line: socket.socket, answers: BinaryIO, login: str
) -> tuple[int, str, HTTPMessage, bytes]:
    """Ask once.

    Returns:
        Status code, reason, headers and body.

    Raises:
        ValueError: the answer is none of RTSP.
    """
    head = f"DESCRIBE {where} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n"
    line.sendall(f"{head}{login}\r\n".encode())
    said = answers.readline(MAX_SDP_BYTES).decode("latin-1")
    found = re.fullmatch(r"RTSP/\d\.\d (\d{3}) ?([^\r\n]*)\r?\n", said)
    if found is None:
        raise ValueError(said)
    headers = parse_headers(answers)
    length = min(max(int(headers.get("Content-Length", 0)), 0), MAX_SDP_BYTES)
    return int(found[1]), found[2], headers, answers.read(length)


def _login(url: SplitResult, where: str, challenges: list[str]) -> str:
    """Answer a challenge: Digest where it is offered, else Basic."""
    user, password = unquote(url.username or ""), unquote(url.password or "")
    for challenge in challenges:
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "digest":
            request = Request(where, method="DESCRIBE")  # noqa: S310 - nothing is opened
            request.selector = where  # in RTSP that is the whole address
            handler = AbstractDigestAuthHandler(_passwords(where, user, password))
            proof = handler.get_authorization(request, parse_keqv_list(parse_http_list(rest)))
            return f"Authorization: Digest {proof}\r\n"
    return f"Authorization: Basic {b64encode(f'{user}:{password}'.encode()).decode()}\r\n"


class _NoRedirect(HTTPRedirectHandler):
    """Asks nobody but the camera itself."""

    def redirect_request(self, *_: object) -> None:
        """Take the answer as it is."""


def _ask_http(url: SplitResult, timeout_s: float) -> Trouble | None:
    where = url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()
    known = _passwords(where, unquote(url.username or ""), unquote(url.password or ""))
    handlers: list[BaseHandler] = [HTTPSHandler(context=_tls()), _NoRedirect()]
    if url.username is not None:
        handlers += [HTTPDigestAuthHandler(known), HTTPBasicAuthHandler(known)]
    with build_opener(*handlers).open(where, timeout=timeout_s) as answer:
        kind = answer.headers.get_content_type()
    if kind.startswith("text/"):
        return Trouble(f"no video at this address, but {kind}", is_final=True)
    return None


def _passwords(where: str, user: str, password: str) -> HTTPPasswordMgrWithDefaultRealm:
    known = HTTPPasswordMgrWithDefaultRealm()
    known.add_password(None, where, user, password)
    return known


def _tls() -> ssl.SSLContext:
    """Check certificates as FFmpeg does: not, unless it is told to."""
    options = os.environ.get("OPENCV_FFMPEG_CAPTURE_OPTIONS", "")
    authorities = re.search(r"ca_file;([^|]+)", options)
    context = ssl.create_default_context(cafile=authorities[1] if authorities else None)
    if "tls_verify;1" not in options:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
