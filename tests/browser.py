"""A real browser for tests, without any network: what it made of a page, and what it asked for."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

ELSEWHERE = "gateway.test"
"""This machine by a name that a browser does not know for it, as if it were another one."""

NO_NETWORK = f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1,MAP * ~NOTFOUND,EXCLUDE 127.0.0.1"


@dataclass(frozen=True)
class Opened:
    """A page as the browser has it after it was loaded."""

    dom: str
    console: list[str]
    """What it complained of: scripts and addresses that the page's own policy forbids, too."""
    requests: list[str]
    """Addresses that it wanted from a network."""


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


@contextmanager
def browsing(*flags: str) -> Iterator[Browser]:
    """Run the browser until the block ends. In its thread asyncio runs no other loop meanwhile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(), args=[NO_NETWORK, *flags], chromium_sandbox=False
        )
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """What is said in the console of a page, and what it wants from a network."""

    def __init__(self, page: Page) -> None:
        self.console: list[str] = []
        self._requests: list[Request] = []
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("request", lambda request: self._requests.append(request))

    @property
    def requests(self) -> list[str]:
        """Addresses, but for those that the page's own policy forbids."""
        wanted = (each.url for each in self._requests if "csp" not in (each.failure or "").lower())
        return [url for url in wanted if url.startswith("http")]


def open_page(path: Path) -> Opened:
    """Open a file."""
    with browsing() as browser:
        page = browser.new_page()
        watch = Watch(page)
        page.goto(path.as_uri())
        return Opened(page.content(), watch.console, watch.requests)
