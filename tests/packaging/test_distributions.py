"""What is built and what it brings: wheels, sdists, and what a user of them sees."""

import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import fer_worker

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(600)]

CLIENT = {"fer_client/__init__.py", "fer_client/py.typed", "fer_client/amqp/connection.py"} | {
    f"fer_schemas/{name}"
    for name in ("__init__.py", "py.typed", "asyncapi.yaml", "json/batch_request.json")
}
WORKER = {
    f"fer_worker/{name}"
    for name in (
        "__init__.py",
        "py.typed",
        "gateway/try_page/analysis.js",
        "gateway/try_page/page.css",
        "gateway/try_page/page.html",
        "gateway/try_page/page.js",
        "gateway/try_page/view.js",
        "theme.css",
        "inference/weights/networks.npz",
        "inference/weights/NOTICE.md",
        "inference/native/libkernels.so",
        "sample_frames/astronaut.jpg",
        "supervision/control_picture.jpg",
        "tools/html_report/page.html",
    )
}
IN_AN_SDIST = re.compile(
    r"$|(fer_client|fer_schemas|worker/fer_worker|examples/frames)/"
    r"|(CMakeLists\.txt|LICENSE|PKG-INFO|README\.md|hatch_build\.py|pyproject\.toml|\.gitignore)$"
)
OLDEST_GLIBC = 28
"""Minor version that the wheels of our dependencies ask for."""
USES_THE_WORKER = """
from fer_client import FerClient
from fer_worker.inference.factory import create_engine
from fer_worker.inference.types import Engine, EngineOptions

def engine() -> Engine:
    return create_engine(EngineOptions())

def wrong() -> FerClient:
    return engine()
"""
FINDS_ITS_FILES = """
from fer_worker.inference.native.kernels import choose_kernel
from fer_worker.tools.sample_frames import sample_frames

assert choose_kernel()
print(sample_frames() / "astronaut.jpg")
"""
USES_THE_CLIENT = """
from fer_client import FerClient
from fer_schemas import BatchResult

def emotions(client: FerClient, jpeg: bytes) -> BatchResult:
    return client.submit([jpeg]).result()

def wrong(client: FerClient) -> int:
    return client.submit([b""]).result()
"""


def python(*arguments: str, at: Path = ROOT, with_: Path | None = None) -> str:
    interpreter = sys.executable if with_ is None else str(with_ / "bin" / "python")
    done = subprocess.run([interpreter, *arguments], cwd=at, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*arguments: str, with_: Path | None = None) -> str:
    return python("-m", "pip", "--disable-pip-version-check", "-q", *arguments, with_=with_)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels and sdists of both."""
    folder = tmp_path_factory.mktemp("dist")
    pip("wheel", "--no-deps", "-w", str(folder), "./client", ".")
    for project in ("client", "."):
        python("-m", "build", "--sdist", "-o", str(folder), project)
    return folder


def names(archive: Path) -> set[str]:
    if archive.suffix == ".whl":
        return set(zipfile.ZipFile(archive).namelist())
    with tarfile.open(archive) as members:
        return {name.partition("/")[2] for name in members.getnames()}


def the(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_both_have_the_same_version_and_the_worker_asks_for_that_client() -> None:
    client, worker = (
        tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
        for folder in ("client", ".")
    )
    assert client["version"] == worker["version"] == fer_worker.__version__
    assert f"fer-worker-client=={client['version']}" in worker["dependencies"]


def test_wheels_have_what_is_needed_and_nothing_else(dist: Path) -> None:
    client, worker = (
        names(the(dist, "fer_worker_client-*.whl")),
        names(the(dist, "fer_worker-*.whl")),
    )
    assert client >= CLIENT
    assert worker >= WORKER
    assert the(dist, "fer_worker-*.whl").name.endswith("-py3-none-linux_x86_64.whl")
    for name in client | worker:
        assert re.match(
            r"fer_(client|schemas|worker)/|fer_worker(_client)?-[\d.]+\.dist-info/", name
        )
        assert not name.endswith((".cpp", ".hpp", ".pyc"))


def test_the_compiled_library_runs_with_old_systems(dist: Path) -> None:
    said = python("-m", "auditwheel", "show", str(the(dist, "fer_worker-*.whl")))
    oldest = re.search(r'platform\s+tag:\s+"manylinux_2_(\d+)_x86_64"', said)
    assert oldest is not None, said
    assert int(oldest[1]) <= OLDEST_GLIBC


def test_a_wheel_from_the_sdist_has_the_same(dist: Path, tmp_path: Path) -> None:
    for name in ("fer_worker_client", "fer_worker"):
        sdist = the(dist, f"{name}-*.tar.gz")
        assert [part for part in names(sdist) if not IN_AN_SDIST.match(part)] == []
        pip("wheel", "--no-deps", "-w", str(tmp_path), str(sdist))
        assert names(the(tmp_path, f"{name}-*.whl")) == names(the(dist, f"{name}-*.whl"))


@pytest.fixture(scope="module")
def controller(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the client alone, and a folder whose modules have common names."""
    folder = tmp_path_factory.mktemp("controller")
    python("-m", "venv", str(folder / "venv"))
    pip("install", str(the(dist, "fer_worker_client-*.whl")), with_=folder / "venv")
    for name in ("schemas", "worker", "client"):
        (folder / f"{name}.py").write_text("raise AssertionError('not yours')")
    (folder / "controller.py").write_text(USES_THE_CLIENT)
    return folder


def test_the_client_is_small_and_collides_with_nobody(controller: Path) -> None:
    venv = controller / "venv"
    python("-c", "import controller", at=controller, with_=venv)
    installed = pip("list", "--format=freeze", with_=venv).lower()
    assert "numpy" not in installed
    assert "opencv" not in installed
    packages = [path for path in (venv / "lib").glob("*/site-packages/*") if "pip" not in path.name]
    size = sum(
        file.stat().st_size
        for path in packages
        if "setuptools" not in path.name
        for file in ([path] if path.is_file() else path.rglob("*"))
        if file.is_file()
    )
    assert size < 30_000_000


def type_errors(program: Path, venv: Path) -> list[str]:
    """What mypy says of a program whose packages are those of an environment."""
    interpreter = f"--python-executable={venv / 'bin' / 'python'}"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", interpreter, program.name],
        cwd=program.parent,
        capture_output=True,
        text=True,
    )
    return [line for line in done.stdout.splitlines() if "error:" in line]


def test_a_users_program_is_type_checked_against_the_client(controller: Path) -> None:
    (error,) = type_errors(controller / "controller.py", controller / "venv")
    assert "Incompatible return value type" in error


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with both wheels, which borrows from this one what they depend on."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    python("-m", "venv", str(venv))
    wheels = [str(the(dist, f"{name}-*.whl")) for name in ("fer_worker_client", "fer_worker")]
    pip("install", "--no-deps", *wheels, with_=venv)
    # Of a folder that is named so, no .pth file is read: the editable projects stay out.
    (folder,) = venv.glob("lib/*/site-packages")
    (folder / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return venv


def test_an_installed_worker_finds_its_library_and_its_sample_frames(
    installed: Path, tmp_path: Path
) -> None:
    frame = Path(python("-c", FINDS_ITS_FILES, at=tmp_path, with_=installed).strip())
    assert frame.is_relative_to(installed)
    assert frame.is_file()


def test_a_users_program_is_type_checked_against_the_worker(
    installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(USES_THE_WORKER)
    (error,) = type_errors(tmp_path / "program.py", installed)
    assert "Incompatible return value type" in error


def test_the_client_installs_from_git_with_a_subdirectory(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "repo")], check=True)
    source = f"git+file://{tmp_path / 'repo'}#subdirectory=client"
    pip("wheel", "--no-deps", "-w", str(tmp_path / "wheels"), source)
    assert names(the(tmp_path / "wheels", "*.whl")) >= CLIENT
