"""The page at /try, used in a real browser, with a camera that is a file."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FilePayload, Locator, Page, expect

from fer_client.config import BrokerConfig
from fer_worker.limits import DEFAULT_LIMITS
from tests.browser import ELSEWHERE, Watch, browsing
from tests.engines import plain_jpeg
from tests.frames import FOLDER, sample, tiled
from tests.gateways import RunningGateway, gateway, uploads
from tests.jpegs import ROTATE_90, SOI, exif, tiff

pytestmark = pytest.mark.broker

expect.set_options(timeout=30_000)

HIDE = """() => {
    Object.defineProperty(document, "hidden", { value: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
"""What a browser does when another tab comes to the front."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose camera shows one face."""
    camera = tmp_path_factory.mktemp("camera") / "camera.y4m"
    picture = cv2.imread(str(FOLDER / "astronaut.jpg"))
    assert picture is not None
    frame = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).tobytes()
    camera.write_bytes(b"YUV4MPEG2 W512 H512 F20:1 Ip A1:1 C420jpeg\nFRAME\n" + frame)
    with browsing(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
    ) as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield context.new_page()


def picture(content: bytes, name: str = "picture.jpg") -> FilePayload:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


def choose(page: Page, *pictures: FilePayload) -> None:
    page.get_by_label("Choose pictures").set_input_files(list(pictures))


def drop(page: Page, content: bytes) -> None:
    """Drop a file on the page, as a mouse would."""
    dropped = page.evaluate_handle(
        """(base64) => {
            const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
            const dropped = new DataTransfer();
            dropped.items.add(new File([bytes], "dropped.jpg"));
            return dropped;
        }""",
        base64.b64encode(content).decode(),
    )
    page.dispatch_event("main", "drop", {"dataTransfer": dropped})


def outcomes(page: Page) -> Locator:
    return page.locator(".outcome")


def place(page: Page) -> list[float]:
    """Where the only box of the only picture is, as shares of its width and height."""
    image, box = page.locator("img").bounding_box(), page.locator(".box").bounding_box()
    assert image is not None
    assert box is not None
    return [
        (box["x"] - image["x"]) / image["width"],
        (box["y"] - image["y"]) / image["height"],
        box["width"] / image["width"],
        box["height"] / image["height"],
    ]


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def test_all_faces_of_a_picture_have_a_box_and_seven_scores(
    served: RunningGateway, page: Page
) -> None:
    watch = Watch(page)
    page.goto(f"{served.url}/try")
    choose(page, picture(tiled("astronaut", 3, 2)))
    expect(page.get_by_role("status")).to_have_text("6 faces: 6 happy")
    expect(page.locator(".box")).to_have_text([f"{number} happy" for number in range(1, 7)])
    for number in range(1, 7):
        face = page.get_by_role("listitem").nth(number - 1)
        expect(face.get_by_role("heading")).to_have_text(re.compile(rf"{number} happy 0\.\d\d"))
        assert face.locator("dt").all_inner_texts() == [
            *("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
        ]
    latency = re.compile(r"\d+ ms from sending to answer, \d+ ms of it in the worker")
    expect(page.locator(".latency")).to_have_text(latency)
    assert watch.console == []
    assert {url.removeprefix(served.url) for url in watch.requests} == {
        *("/try", "/try/page.css", "/try/page.js", "/try/analysis.js", "/try/view.js"),
        "/detect_batch",
    }


def test_boxes_lie_on_the_faces_of_pictures_that_are_turned_or_no_jpeg(
    served: RunningGateway, page: Page
) -> None:
    page.goto(f"{served.url}/try")
    choose(page, picture(sample("astronaut")))
    expect(page.locator(".box")).to_have_count(1)
    expected = place(page)

    upright = cv2.imread(str(FOLDER / "astronaut.jpg"))
    assert upright is not None
    lying = cv2.imencode(".jpg", cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE))[1].tobytes()
    turned = SOI + exif(tiff(ROTATE_90)) + lying[len(SOI) :]
    for name, content in (("turned.jpg", turned), ("picture.png", png(upright))):
        choose(page, picture(content, name))
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        expect(page.locator(".box")).to_have_count(1)
        assert place(page) == pytest.approx(expected, abs=0.02)


def test_what_cannot_be_analysed_is_said_in_words_and_the_others_are_shown(
    served: RunningGateway, page: Page
) -> None:
    page.goto(f"{served.url}/try")
    choose(
        page,
        picture(sample("no_face")),
        picture(sample("broken")),
        picture(b"a note", "note.txt"),
        picture(png(np.zeros((10, 10, 3), np.uint8)), "small.png"),
        picture(sample("astronaut")),
    )
    expect(page.get_by_role("status")).to_have_text("5 pictures: 1 face, 3 failed")
    expect(outcomes(page)).to_have_text(
        [
            "no faces",
            re.compile(r"Not analysed: the JPEG is damaged: from row \d+ of 512 on\."),
            "This browser cannot open it as a picture.",
            re.compile(r"Not analysed: .*10"),
            "1 face: happy",
        ]
    )


def test_a_picture_that_is_too_large_is_made_smaller(served: RunningGateway, page: Page) -> None:
    width, height = 8000, DEFAULT_LIMITS.frame.max_pixels // 8000 + 1
    page.goto(f"{served.url}/try")
    choose(page, picture(plain_jpeg(width, height)))
    expect(page.get_by_role("status")).to_have_text("no faces")


def test_the_camera_is_watched_until_the_page_is_hidden_one_frame_at_a_time(
    served: RunningGateway, page: Page
) -> None:
    answered = under_way = most = 0

    def count(by: int) -> None:
        nonlocal answered, under_way, most
        under_way += by
        most = max(most, under_way)
        answered += by < 0

    page.goto(f"{served.url}/try")
    page.on("request", lambda _: count(1))
    page.on("requestfinished", lambda _: count(-1))
    page.on("requestfailed", lambda _: count(-1))
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("1 face: happy")
    expect(page.get_by_label("What the camera shows")).to_be_visible()
    while answered < 5:
        page.wait_for_event("requestfinished")
    assert most == 1
    page.evaluate(HIDE)
    expect(page.get_by_role("status")).to_have_text(
        "The camera stopped while this page was hidden."
    )
    expect(page.locator("video")).to_have_count(0)
    expect(page.get_by_role("button", name="Start camera")).to_be_enabled()
    expect(page.get_by_role("listitem")).to_have_count(1)  # what it saw last stays


def test_a_picture_that_is_dropped_takes_the_place_of_the_camera(
    served: RunningGateway, page: Page
) -> None:
    page.goto(f"{served.url}/try")
    page.get_by_role("button", name="Start camera").click()
    expect(outcomes(page)).to_have_text("1 face: happy")
    drop(page, tiled("astronaut", 2, 1))
    expect(page.get_by_role("heading", name="dropped.jpg")).to_be_visible()
    expect(outcomes(page)).to_have_text("2 faces: 2 happy")
    expect(page.locator("video")).to_have_count(0)


def test_without_a_safe_address_the_camera_is_off_and_the_page_says_why(
    served: RunningGateway, page: Page
) -> None:
    page.goto(f"{served.url.replace('127.0.0.1', ELSEWHERE)}/try")
    expect(page.get_by_role("button", name="Start camera")).to_be_disabled()
    expect(page.get_by_text("browsers allow it on https or localhost only")).to_be_visible()


def test_what_the_gateway_refuses_is_said_in_its_words(
    broker: BrokerConfig, page: Page, tmp_path: Path
) -> None:
    with gateway(tmp_path / "log", broker, "--timeout=1") as alone, alone.client() as http:
        alone.wait_until_connected()
        page.goto(f"{alone.url}/try")
        problem = http.post("/detect_batch", files=uploads([plain_jpeg(40)])).json()
        choose(page, picture(plain_jpeg(40)))
        expect(outcomes(page)).to_have_text(f"{problem['title']}: {problem['detail']}.")
    choose(page, picture(plain_jpeg(40)))
    expect(outcomes(page)).to_have_text("The gateway does not answer. Is it still running?")


def test_a_token_is_asked_for_where_the_gateway_wants_one(
    own: BrokerConfig, served: RunningGateway, page: Page, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("open-sesame\n")
    with gateway(tmp_path / "log", own, f"--token-file={token}") as guarded:
        guarded.wait_until_connected()
        page.goto(f"{guarded.url}/try")
        choose(page, picture(sample("astronaut")))
        for word, faces in (("open-barley", 0), ("open-sesame", 1)):
            expect(page.get_by_label("This gateway asks for a token")).to_be_focused()
            page.keyboard.insert_text(word)
            with page.expect_response("**/detect_batch"):
                page.keyboard.press("Enter")
            expect(page.locator(".box")).to_have_count(faces)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_small_screen(
    served: RunningGateway, browser: Browser, scheme: str
) -> None:
    with browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": 400, "height": 800},
    ) as context:
        page = context.new_page()
        page.goto(f"{served.url}/try")
        choose(page, picture(tiled("astronaut", 3, 2)))
        expect(page.locator(".box")).to_have_count(6)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
