"""A real browser for tests, without any network: what it made of a page, and what it asked for."""

import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars"),
)


ITS_OWN = re.compile(rb"[/ .](google|googleapis|gvt1)\.com[:/]")
"""Hosts that a Chromium wants to talk to whatever it is told."""


@dataclass(frozen=True)
class Opened:
    """A page as the browser has it after it was loaded."""

    dom: str
    console: list[str]
    """What it complained of: scripts and addresses that the page's own policy forbids, too."""
    requests: list[bytes]
    """First lines of what it wanted from a network, but for what a Chromium asks by itself."""


class Elements(HTMLParser):
    """What is in a page: tags, all text that is shown, and the cells of tables by their id."""

    def __init__(self, dom: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] | None = None
        self._in_cell = False
        self.feed(dom)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "table":
            self._rows = self.tables.setdefault(dict(attrs).get("id") or "", [])
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag in ("td", "th") and self._rows is not None:
            self._rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_cell and self._rows is not None:
            self._rows[-1][-1] += data


def find_browser() -> str:
    """The browser's program; the test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        pytest.skip("no Chromium: scripts/install_chromium.sh installs it")
    return found


def open_page(page: Path, folder: Path) -> Opened:
    """Open a file; `folder` is for the browser's own files."""
    with _recording_proxy() as (port, requests):
        done = subprocess.run(
            [
                find_browser(),
                *FLAGS,
                f"--user-data-dir={folder}",
                f"--proxy-server=http://127.0.0.1:{port}",
                "--enable-logging=stderr",
                "--dump-dom",
                page.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=90,
        )
    assert done.returncode == 0, done.stderr
    # A connection that is opened ahead of any need, and closed again, asks for nothing.
    asked = [request for request in requests if request and not ITS_OWN.search(request)]
    return Opened(done.stdout, re.findall(r"CONSOLE.*", done.stderr), asked)


@contextmanager
def _recording_proxy() -> Iterator[tuple[int, list[bytes]]]:
    """Where the browser is told its network is: whatever it asks for is noted, and not given."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # closed
                    return
                with connection, suppress(OSError):  # it may connect and ask nothing
                    connection.settimeout(1)
                    requests.append(connection.recv(4096).partition(b"\r\n")[0])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], requests
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
