"""The example controllers, run as their readers run them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pika
import pytest

from fer_client.amqp.topology import Topology
from fer_client.config import DEFAULT_URL, BrokerConfig
from fer_worker.admin.temporary_namespace import temporary_namespace
from tests.forwarder import Forwarder
from tests.frames import FOLDER
from tests.loops import declare_queues
from tests.pages import ROOT, blocks, fenced, missing
from tests.serving import Sender, command, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "controllers.md"
UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH")


@pytest.fixture(scope="module")
def served(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerConfig]:
    """A broker with two worker processes for all tests here."""
    with (
        temporary_namespace(broker_url, "t") as config,
        running(tmp_path_factory.mktemp("served") / "log", config, "--processes=2") as workers,
    ):
        workers.await_ready(2)
        yield config


@pytest.fixture(scope="module")
def node_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example for Node.js and its packages, as after `npm install`."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no node and npm")
    folder = tmp_path_factory.mktemp("node") / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(
        ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--fetch-retries=0"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode and (reason := UNREACHABLE.search(done.stderr)):
        pytest.skip(f"no registry of npm packages: {reason[0]}")
    assert done.returncode == 0, done.stderr
    return folder


def run_example(
    name: str, *arguments: str, broker: BrokerConfig, folder: Path = EXAMPLES
) -> subprocess.CompletedProcess[str]:
    """Run an example to its end, by the program for its kind."""
    line, environment = example(name, *arguments, broker=broker, folder=folder)
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=90)


def example(
    name: str, *arguments: str, broker: BrokerConfig, folder: Path
) -> tuple[list[str], dict[str, str]]:
    _, environment = command(broker=broker)
    program = "node" if name.endswith(".mjs") else sys.executable
    return [program, str(folder / name), *arguments], environment


def test_controller_prints_what_is_in_the_sample_frames(served: BrokerConfig) -> None:
    done = run_example("controller.py", broker=served)
    assert (done.returncode, done.stderr) == (0, "")
    assert_sample_frames(done.stdout)


def assert_sample_frames(printed: str) -> None:
    assert "door-1: partial" in printed
    assert "door-1: success, most relevant: 1" in printed
    assert "astronaut.jpg: happy" in printed
    assert "no_face.jpg: no face 0.00" in printed
    assert "frame 1 failed: damaged_jpeg" in printed


def test_raw_pika_controller_is_answered_in_every_encoding(served: BrokerConfig) -> None:
    done = run_example("raw_pika_controller.py", *served.urls, broker=served)
    assert (done.returncode, done.stderr) == (0, "")
    for content_type in ("application/msgpack", "application/json", "image/jpeg"):
        assert f"{content_type}: success by " in done.stdout
    assert done.stdout.count("burst-4: happy") == 3
    assert done.stdout.count("no_face: None 0.00, 0 pixels") == 2


def test_node_controller_prints_what_is_in_the_sample_frames(
    served: BrokerConfig, node_project: Path
) -> None:
    done = run_example("controller.mjs", broker=served, folder=node_project)
    assert (done.returncode, done.stderr) == (0, "")
    assert_sample_frames(done.stdout)
    (shown,) = [block.output for block in blocks(PAGE) if block.output]
    assert missing(shown, done.stdout) is None


def test_node_controller_sends_again_what_a_cut_line_took_and_counts_one_answer_each(
    broker: BrokerConfig, sender: Sender, node_project: Path
) -> None:
    requests = f"{broker.namespace}.frames"
    with Forwarder.to(broker) as line:
        words, environment = example(
            "controller.mjs", broker=line.through(broker), folder=node_project
        )
        line.slow(100_000)
        with subprocess.Popen(
            words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as controller:
            wait_until(lambda: sender.depth(requests), 60, "one of three batches is there")
            line.cut()
            line.resume()
            answered: set[str | None] = set()
            while len(answered) < 3:
                properties, _ = sender.take(requests)
                answered.add(properties.correlation_id)
                for _ in range(2):
                    sender.channel.basic_publish(
                        "", properties.reply_to, bad_answer(), properties, mandatory=True
                    )
            printed, said = controller.communicate(timeout=60)
    assert controller.returncode == 0, said
    assert printed.count("door-1: error, most relevant: null") == 3
    assert said.count("trying again") == 1
    assert line.accepted == 2


def bad_answer() -> bytes:
    """As short as a result can be."""
    errors = [{"frame": None, "code": "no_frames", "message": "the batch has no frames"}]
    answer = {"status": "error", "emotions": [], "errors": errors, "most_relevant_frame": None}
    return json.dumps(answer | {"camera_id": "door-1", "frames": []}).encode()


def test_node_controller_can_be_closed_while_it_connects(
    served: BrokerConfig, node_project: Path
) -> None:
    # Its class, and a main of our own.
    source = (node_project / "controller.mjs").read_text(encoding="utf-8")
    (node_project / "closing.mjs").write_text(
        source.partition("\nasync function main")[0]
        + "const client = new FerClient(process.argv[2], process.env.FER_WORKER_NAMESPACE);\n"
        "const running = client.run();\n"
        "await client.close();\n"
        "await running;\n"
    )
    done = run_example("closing.mjs", *served.urls, broker=served, folder=node_project)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["raw_pika_controller.py", "controller.mjs"])
def test_an_example_says_that_no_worker_has_ever_run(
    name: str, broker: BrokerConfig, request: pytest.FixtureRequest
) -> None:
    done = run_example(name, broker=broker, folder=folder_of(name, request))
    assert done.returncode == 3
    assert f"no exchange '{broker.namespace}.requests'" in done.stderr


@pytest.mark.parametrize(("name", "code"), [("raw_pika_controller.py", 3), ("controller.mjs", 1)])
def test_an_example_says_that_no_queue_takes_requests(
    name: str, code: int, broker: BrokerConfig, request: pytest.FixtureRequest
) -> None:
    parameters, topology = pika.URLParameters(broker.urls[0]), Topology(broker.namespace)
    declare_queues(broker.urls[0], broker.namespace)
    with pika.BlockingConnection(parameters) as connection:
        connection.channel().queue_delete(topology.frames.name)
    done = run_example(name, broker=broker, folder=folder_of(name, request))
    assert done.returncode == code
    assert "no queue takes requests" in done.stderr


def test_node_controller_says_that_the_queue_is_full(
    broker: BrokerConfig, node_project: Path
) -> None:
    parameters, topology = pika.URLParameters(broker.urls[0]), Topology(broker.namespace)
    declare_queues(broker.urls[0], broker.namespace)
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_delete(topology.frames.name)
        full = {"x-max-length": 0, "x-overflow": "reject-publish"}
        channel.queue_declare(topology.frames.name, durable=True, arguments=full)
        channel.queue_bind(topology.frames.name, topology.requests, "frames")
    done = run_example("controller.mjs", broker=broker, folder=node_project)
    assert done.returncode == 1
    assert done.stderr == "controller: the queue is full\n" * 3


@pytest.mark.parametrize("name", ["controller.py", "raw_pika_controller.py", "controller.mjs"])
def test_wrong_password_ends_an_example_at_once(
    name: str, broker: BrokerConfig, request: pytest.FixtureRequest
) -> None:
    url = re.sub("//.*@", "//nobody:wrong@", broker.urls[0])
    done = run_example(name, url, broker=broker, folder=folder_of(name, request))
    assert done.returncode in (1, 3)
    assert "refuses" in done.stderr
    assert done.stderr.count("\n") == 1


def folder_of(name: str, request: pytest.FixtureRequest) -> Path:
    """Where an example is; that for Node.js needs its packages beside it."""
    folder = request.getfixturevalue("node_project") if name.endswith(".mjs") else EXAMPLES
    assert isinstance(folder, Path)
    return folder


def test_python_of_the_readme_works(served: BrokerConfig) -> None:
    (code,) = fenced(ROOT / "README.md", "python")
    default = f'"{DEFAULT_URL}"'
    assert default in code
    here = f"{served.urls[0]!r}, namespace={served.namespace!r}"
    frame = f"jpegs = [open({str(FOLDER / 'grace_hopper.jpg')!r}, 'rb').read()]\n"
    done = run_python(frame + code.replace(default, here), served)
    assert (done.returncode, done.stdout.split()[0]) == (0, "neutral"), done.stderr


def test_python_of_the_page_for_authors_of_controllers_works(
    served: BrokerConfig, tmp_path: Path
) -> None:
    clip = tmp_path / "door.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (512, 600))
    image = cv2.imread(str(FOLDER / "grace_hopper.jpg"))
    assert image is not None
    for _ in range(2):
        writer.write(image)
    writer.release()
    code = "\n".join(fenced(PAGE, "python"))
    for there, here in (
        ("VideoCapture(0)", f"VideoCapture({str(clip)!r})"),
        (
            f'FerClient("{DEFAULT_URL}")',
            f"FerClient({served.urls[0]!r}, namespace={served.namespace!r})",
        ),
    ):
        assert there in code
        code = code.replace(there, here)
    done = run_python(code, served)
    assert done.returncode == 0, done.stderr
    seen, rest = done.stdout.splitlines()[:2], done.stdout.splitlines()[2:]
    assert all(re.fullmatch(r"\(\d+, \d+, \d+, \d+\) neutral 0\.\d+", line) for line in seen)
    bursts = [f"burst-{number}.jpg happy" for number in range(1, 7)]
    assert rest == [
        *(f"success {burst}" for burst in bursts),
        *(f"{burst} " for burst in bursts),
        "None None ",
        "6 not_a_jpeg the frame does not start as a JPEG",
    ]


def run_python(code: str, broker: BrokerConfig) -> subprocess.CompletedProcess[str]:
    """Run code as in the folder of this project."""
    _, environment = command(broker=broker)
    line = [sys.executable, "-c", code]
    return subprocess.run(
        line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90
    )
