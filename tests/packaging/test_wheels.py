"""Wheels as their users install them: in an empty Debian, without a compiler and without Docker."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.packaging.debian import ROOT, User, user_of
from tests.waiting import wait_until

pytestmark = [pytest.mark.debian, pytest.mark.timeout(600)]

GLIBC = (5, 12, 17, 24, 26, 27, 28)
"""Minor versions that wheels are built for; Debian 12 has 2.36."""


@pytest.fixture(scope="module", params=["debian-12", "debian-13"])
def user(request: pytest.FixtureRequest) -> Iterator[User]:
    """A user with the wheels of `make wheels` and of all that they need, and no package index."""
    wheels = sorted((ROOT / "dist").glob("*.whl"))
    if len(wheels) != 2:
        pytest.skip("no wheels in dist: `make wheels` makes them")
    with user_of(request.param) as user:
        version = user.run("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
        folder = user.home / "wheels"
        for_that_python = [
            "--only-binary=:all:",
            f"--python-version={version.stdout.strip()}",
            *(f"--platform=manylinux_2_{minor}_x86_64" for minor in GLIBC),
            "--platform=manylinux2014_x86_64",
        ]
        constrained = [f"--constraint={ROOT / 'constraints.txt'}", f"--dest={folder}"]
        pip = [sys.executable, "-m", "pip", "download", "-qq"]
        subprocess.run([*pip, *for_that_python, *constrained, *map(str, wheels)], check=True)
        user.run("python3", "-m", "venv", "venv")
        user.run("pip", "install", "--no-index", "--find-links=wheels", "fer-worker")
        yield user


def test_the_demo_finds_the_faces_of_its_sample_frames(user: User) -> None:
    done = user.run("fer-worker", "demo")
    assert done.stdout.splitlines()[-1] == "8 faces; annotated pictures in demo-output/"
    assert len(list((user.home / "demo-output").glob("*.jpg"))) == 9


@contextmanager
def running(user: User, broker: dict[str, str], command: str, option: str) -> Iterator[None]:
    """Run a command until the block ends, which begins once it says that it is ready."""
    log = user.home / command
    with log.open("wb") as output:
        line = user.command("fer-worker", command, option, environment=broker)
        process = subprocess.Popen(line, stdout=output, stderr=output)
    try:
        wait_until(lambda: b"ready" in log.read_bytes(), 60, f"{command} is ready")
        yield
    finally:
        process.terminate()
        process.wait(60)


def test_a_load_is_answered(user: User) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    broker = {"FER_WORKER_AMQP_URL": f"amqp://guest:guest@127.0.0.1:{port}/"}
    load = ("--concurrency=2", "--window=1", "--max-windows=1", "--json")
    with (
        running(user, broker, "broker", f"--port={port}"),
        running(user, broker, "run", "--processes=1"),
    ):
        done = user.run("fer-worker", "bench", *load, environment=broker)
    assert '"frames_per_s"' in done.stdout
