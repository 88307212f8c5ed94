"""The images, and the stack that runs them."""

import shutil
from collections.abc import Iterator

import pytest

from tests.containers.engine import IMAGES, Stack, build
from tests.waiting import wait_until


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """The images of this checkout: the name of each, by its target."""
    if shutil.which("docker") is None:
        pytest.skip("no Docker engine: make test-containers")
    for target, tag in IMAGES.items():
        build(target, tag)
    return IMAGES


@pytest.fixture(scope="session")
def started(images: dict[str, str]) -> Iterator[Stack]:
    """Everything but the demo, started; nothing of it is left afterwards."""
    stack = Stack()
    remove = ("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "10")
    stack.compose(*remove)
    try:
        stack.compose("--profile", "http", "--profile", "monitoring", "up", "--detach", "--wait")
        yield stack
    finally:
        stack.compose(*remove)


@pytest.fixture
def stack(started: Stack) -> Stack:
    """The stack with one container of workers, and one process in it."""
    started.up("rabbitmq", "worker", "gateway")
    wait_until(
        lambda: [status.desired for status in started.supervisors()] == [1],
        60,
        "there is one process of workers",
    )
    return started
