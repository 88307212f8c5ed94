"""What is built, and what is built anew."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.containers.engine import PROJECT, ROOT, build, docker, inspect

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1200)]

BARE = ("run", "--rm", "--pull=never", "--network=none", "--read-only", "--cap-drop=ALL")


def copy_of_the_checkout(folder: Path) -> Path:
    """What an image is built from, to be changed."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0")[:-1]:
        if not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize("target", ["worker", "gateway"])
def test_image_runs_without_anything_to_write_or_to_gain(
    images: dict[str, str], target: str
) -> None:
    assert docker(*BARE, images[target], "--version").startswith("fer-worker, version ")
    assert docker(*BARE, "--entrypoint=id", images[target], "-u") == "10001\n"


@pytest.mark.parametrize("target", ["worker", "gateway"])
def test_image_has_nothing_to_compile_or_install_with(images: dict[str, str], target: str) -> None:
    look = "command -v c++ cc cmake make; ls /src /opt/fer-worker/bin /opt/fer-worker/lib/*/*; true"
    found = set(docker(*BARE, "--entrypoint=sh", images[target], "-c", look).split())
    assert "fer_worker" in found
    assert not {"pip", "cmake", "CMakeLists.txt"} & found


def test_image_adds_less_than_300_megabytes(images: dict[str, str]) -> None:
    base = inspect("python:3.13-slim-trixie", ".Size")
    for tag in images.values():
        assert inspect(tag, ".Size") - base < 300_000_000


def test_images_serve_only_on_ports_that_they_declare(images: dict[str, str]) -> None:
    ports = {target: [*inspect(tag, ".Config.ExposedPorts")] for target, tag in images.items()}
    assert ports == {"worker": ["9464/tcp"], "gateway": ["8012/tcp"]}


def test_another_readme_and_closed_files_change_only_the_layer_of_our_own_code(
    images: dict[str, str], tmp_path: Path
) -> None:
    copy = copy_of_the_checkout(tmp_path)
    with (copy / "README.md").open("a") as readme:
        readme.write("One more sentence.\n")
    for path in copy.rglob("*"):  # as umask 077 would have it
        path.chmod(path.stat().st_mode & ~0o077)
    tag = f"{PROJECT}:closed"
    build("worker", tag, copy)
    try:
        before = inspect(images["worker"], ".RootFS.Layers")
        after = inspect(tag, ".RootFS.Layers")
        # The dependencies, and what lies over them.
        assert before[-2] == after[-2]
        assert before[-1] != after[-1]
        assert docker(*BARE, tag, "--version").startswith("fer-worker, version ")
        health = ("-I", "-S", "/opt/fer-worker/healthcheck.py")
        said = docker(*BARE, "--entrypoint=python", tag, *health, check=False)
        assert said.startswith("no answer: ")
    finally:
        docker("image", "rm", tag)


def test_image_is_not_built_without_kernels(images: dict[str, str], tmp_path: Path) -> None:
    copy = copy_of_the_checkout(tmp_path)
    source = copy / "worker" / "fer_worker" / "inference" / "native" / "suppression.cpp"
    source.write_text("#error this compiler is of no use\n")
    with pytest.raises(AssertionError, match="this compiler is of no use"):
        build("worker", f"{PROJECT}:none", copy)
