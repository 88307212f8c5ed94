"""`fer-worker evaluate` with the real engine: in its own process, and through a broker."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fer_client.config import BrokerConfig
from fer_schemas import Emotion, FaceSelection
from fer_worker.cli import main
from fer_worker.inference.types import Analysis, EngineOptions
from tests.datasets import SAMPLE_LABELS, folders, grey, write_table
from tests.engines import GatedEngine, SizeEngine
from tests.frames import sample
from tests.serving import command, fer_worker, running, serving

pytestmark = pytest.mark.timeout(300)

NO_BROKER = BrokerConfig(urls=())

DOCUMENT = Path(__file__).parents[2] / "docs" / "evaluation.md"


def evaluate(*arguments: str) -> Result:
    """Run the command in this process, without a broker."""
    nothing = {name: None for name in os.environ if name.startswith("FER_WORKER")}
    line = ["evaluate", *arguments]
    return CliRunner(env=nothing).invoke(main, line, prog_name="fer-worker")


def figures(*arguments: str) -> dict[str, Any]:
    """What the command writes as JSON."""
    done = evaluate(*arguments, "--json=-")
    assert done.exit_code == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def answers(document: dict[str, Any]) -> dict[str, str | None]:
    return {one["picture"]: one["answer"] for one in document["trials"][0]["outcomes"]}


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Sample frames in folders; two are labelled wrong on purpose, one has no face."""
    return folders(tmp_path / "labelled", SAMPLE_LABELS)


def test_sample_frames_are_answered_and_counted_as_they_are_labelled(labelled: Path) -> None:
    document = figures(str(labelled), "--threads=2")
    assert answers(document) == {
        "Happiness/burst-4.jpg": "happy",
        "angry/burst-6.jpg": "happy",
        "happy/burst-1.jpg": "happy",
        "happy/burst-2.jpg": "happy",
        "neutral/no_face.jpg": None,
        "neutral/grace_hopper.jpg": "neutral",
    }
    (trial,) = document["trials"]
    assert (trial["found"], trial["failed"], document["complete"]) == (5, 0, True)
    assert trial["of_found"]["accuracy"]["value"] == 4 / 5
    assert trial["of_all"]["accuracy"]["value"] == pytest.approx(4 / 6)
    assert trial["of_all"]["balanced_accuracy"]["value"] == pytest.approx((0 + 1 + 1 / 2) / 3)
    assert trial["confusion"]["angry"]["happy"] == trial["confusion"]["neutral"]["no face"] == 1
    assert trial["engines"] == [asdict(EngineOptions())]


def test_documented_output_is_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happy = ("astronaut", *(f"burst-{number}" for number in range(1, 7)))
    labels = dict.fromkeys(happy, "happy") | dict.fromkeys(("grace_hopper", "no_face"), "neutral")
    folders(tmp_path / "labelled", labels)
    monkeypatch.chdir(tmp_path)
    done = evaluate("labelled", "--threads=2", "--compare=--compat fer")
    assert done.exit_code == 0, done.stderr
    one, two = re.findall(r"```text\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    printed = without_options("\n".join(map(str.rstrip, done.stdout.splitlines())) + "\n")
    assert printed.startswith(without_options(one))
    assert printed.endswith(two)


def without_options(text: str) -> str:
    """What is printed, but for the options of each engine: those become more."""
    return re.sub(r"^(engine|A|B): .*?\n\n", "\n", text, flags=re.DOTALL | re.MULTILINE)


def test_tables_fit_80_columns_and_the_matrix_comes_as_a_png(
    labelled: Path, tmp_path: Path
) -> None:
    plot, written = tmp_path / "confusion.png", tmp_path / "all.json"
    done = evaluate(str(labelled), "--compare=--compat fer", f"--plot={plot}", f"--json={written}")
    assert (done.exit_code, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    for part in ("6 analysed", "A: native, faces first, ", "macro mean", "no face", "right, of"):
        assert part in done.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")
    document = json.loads(written.read_text())
    colours = [trial["engines"][0]["detector_color"] for trial in document["trials"]]
    assert colours == ["rgb", "bgr"]
    assert sum(document["comparison"]["found"][name] for name in ("both", "neither")) <= 6


def test_small_grey_faces_of_a_csv_file_are_enlarged_before_they_are_looked_for(
    tmp_path: Path,
) -> None:
    table = write_table(
        tmp_path / "fer2013.csv",
        [
            (Emotion.HAPPY, grey("burst-4"), "PublicTest"),
            (Emotion.NEUTRAL, grey("grace_hopper"), "PrivateTest"),
            (Emotion.SAD, grey("grace_hopper"), "Training"),
        ],
    )
    document = figures(str(table))
    assert document["dataset"]["splits"] == ["PublicTest", "PrivateTest"]
    assert answers(document).keys() == {"fer2013.csv:2", "fer2013.csv:3"}
    assert answers(document)["fer2013.csv:2"] == "happy"
    assert document["trials"][0]["found"] == 2
    (face,) = (one["face"] for one in document["trials"][0]["outcomes"] if one["label"] == "happy")
    assert face["box"][2] > 48  # in pixels of the enlarged picture
    for one in figures(str(table), "--min-side=0")["trials"][0]["outcomes"]:
        assert one["face"] is None or one["face"]["box"][2] < 48


def test_subset_leaves_out_other_labels_and_still_counts_other_answers_as_wrong(
    labelled: Path,
) -> None:
    (trial,) = figures(str(labelled), "--emotions=angry,neutral")["trials"]
    assert list(trial["confusion"]) == ["angry", "neutral"]
    assert trial["confusion"]["angry"]["happy"] == 1
    assert trial["of_all"]["accuracy"]["value"] == pytest.approx(1 / 3)


def test_sample_is_the_same_every_time(labelled: Path) -> None:
    few = answers(figures(str(labelled), "--sample=3"))
    assert len(few) == 3
    assert answers(figures(str(labelled), "--sample=3")) == few


def test_pictures_that_cannot_be_read_are_counted_and_named(labelled: Path) -> None:
    (labelled / "happy" / "broken.jpg").write_bytes(sample("broken"))
    (labelled / "happy" / "empty.png").touch()
    done = evaluate(str(labelled))
    assert done.exit_code == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "6 analysed 2 could not be analysed, and are in no figure" in said
    assert "happy/broken.jpg: not a picture, or damaged" in said
    assert "happy/empty.png: not a picture, or too large" in said


def test_nothing_but_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    folders(tmp_path, {"broken": "happy"})
    done = evaluate(str(tmp_path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "fer-worker: no picture could be analysed: happy/broken.jpg: not a picture, or damaged\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere",), 1, "fer-worker: no such file or folder: nowhere\n"),
        (("{labelled}", "--split=test"), 1, "has no splits"),
        (("{labelled}", "--emotions=fear"), 1, "no pictures of what is asked for in"),
        (("{labelled}", "--emotions=angry,joy"), 2, "'joy' is none of angry, disgust"),
        (("{labelled}", "--compare=--crop wide"), 2, "'wide' is not one of"),
        (("{labelled}", "--compare=--help"), 2, "No such option '--help'"),
        (("{labelled}", "--compare='"), 2, "No closing quotation"),
        (("{labelled}", "--json=nowhere/a.json"), 1, "cannot write nowhere/a.json"),
        (("{labelled}", "--plot=nowhere/a.png"), 1, "cannot write nowhere/a.png"),
        (("{labelled}", "--min-face-size=11"), 2, "'--min-face-size'"),
        (("{labelled}", "--amqp-url=amqp://localhost:1", "--compat=fer"), 2, "of their own"),
        (("{labelled}", "--amqp-url=amqp://localhost:1", "--threads=2"), 2, "of their own"),
        (("{labelled}", "--batch-size=4"), 2, "are for batches sent with --amqp-url"),
        (("{labelled}", "--timeout=600"), 2, "are for batches sent with --amqp-url"),
        (("{labelled}", "--amqp-url=localhost"), 1, "not an AMQP URL"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: tuple[str, ...], code: int, said: str, labelled: Path
) -> None:
    done = evaluate(*(argument.format(labelled=labelled) for argument in arguments))
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr


def test_signal_ends_it_with_the_figures_so_far(labelled: Path) -> None:
    for copy in range(2000):
        (labelled / "happy" / f"{copy}.jpg").symlink_to(labelled / "happy" / "burst-1.jpg")
    line, environment = command("evaluate", str(labelled), "--json=-", broker=NO_BROKER)
    terminal, its_end = pty.openpty()
    with subprocess.Popen(
        line, env=environment | {"TERM": "xterm"}, stdout=subprocess.PIPE, stderr=its_end
    ) as evaluation:
        os.close(its_end)
        shown = b""
        while not re.search(rb"[1-9]\d*/2006", shown):  # the progress bar
            shown += os.read(terminal, 4096)
        evaluation.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
            while more := os.read(terminal, 4096):
                shown += more
        out, _ = evaluation.communicate(timeout=60)
    os.close(terminal)
    assert evaluation.returncode == 128 + signal.SIGINT
    assert b"fer-worker: interrupted" in shown
    document = json.loads(out)
    assert document["complete"] is False
    assert 0 < len(document["trials"][0]["outcomes"]) < document["dataset"]["pictures"] == 2006


@pytest.mark.broker
def test_worker_process_answers_as_the_engine_here_does(
    broker: BrokerConfig, labelled: Path, tmp_path: Path
) -> None:
    (labelled / "happy" / "broken.jpg").write_bytes(sample("broken"))
    with running(tmp_path / "worker.log", broker, "--processes=1"):
        done = fer_worker("evaluate", str(labelled), "--json=-", "--batch-size=2", broker=broker)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["where"].startswith("workers at amqp://")
    (there,), (here,) = document["trials"], figures(str(labelled))["trials"]

    def by_name(trial: dict[str, Any]) -> list[dict[str, Any]]:
        outcomes: list[dict[str, Any]] = trial["outcomes"]
        return sorted(outcomes, key=lambda outcome: str(outcome["picture"]))

    assert by_name(there) == by_name(here)
    for name in ("of_all", "of_found", "confusion", "failed", "detection_rate"):
        assert there[name] == here[name]
    (engine,) = there["engines"]
    assert engine.items() <= here["engines"][0].items()


class TiringEngine(GatedEngine):
    """Answers the first pictures, and then waits at the gate."""

    def analyze(self, image: Any, faces: FaceSelection) -> Analysis:
        if self.analysed < 4:
            return SizeEngine.analyze(self, image, faces)
        return super().analyze(image, faces)


@pytest.mark.broker
def test_workers_that_fall_silent_leave_the_figures_so_far(
    broker: BrokerConfig, labelled: Path
) -> None:
    engine = TiringEngine()
    with serving(broker, engine, threads=1):
        try:
            done = fer_worker(
                *("evaluate", str(labelled), "--batch-size=1", "--timeout=2"), broker=broker
            )
        finally:
            engine.gate.set()
    assert done.returncode == 5
    assert done.stderr == "fer-worker: no answer in time\n"
    assert "4 analysed" in done.stdout
    assert "partial: 6 were asked for" in done.stdout


@pytest.mark.broker
def test_nobody_who_answers_is_one_line(broker: BrokerConfig, labelled: Path) -> None:
    done = fer_worker("evaluate", str(labelled), "--timeout=0.5", broker=broker)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == "fer-worker: no answer in time\n"
