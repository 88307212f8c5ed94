import pickle
from typing import Any

import click
import pytest
from click.testing import CliRunner

from fer_schemas import ScaleCommand
from fer_worker.cli import main
from fer_worker.cli.limits import limit_options
from fer_worker.cli.options import engine_arguments, engine_options
from fer_worker.cli.types import Amount
from fer_worker.inference.types import EngineOptions, Percent
from fer_worker.limits import FrameLimits, Limits


def chosen(*arguments: str) -> EngineOptions:
    """The options that a command with these arguments gets."""
    got: list[EngineOptions] = []

    @click.command()
    @engine_options
    def command(engine: EngineOptions) -> None:
        got.append(engine)

    outcome = CliRunner().invoke(command, list(arguments))
    assert outcome.exit_code == 0, outcome.output
    return got[0]


def test_defaults_are_those_of_the_engine() -> None:
    assert chosen() == EngineOptions()


def test_compat_fer_gives_the_answers_of_fer() -> None:
    assert chosen("--compat=fer", "--faces=all") == EngineOptions.as_fer(faces="all")


def test_fer_itself_can_give_no_others() -> None:
    assert chosen("--engine=fer") == EngineOptions.as_fer("fer")


def test_single_option_wins_over_what_compat_sets() -> None:
    options = chosen("--compat=fer", "--detector-color=rgb", "--min-face-probability=0.5")
    assert (options.detector_color, options.min_face_probability) == ("rgb", 0.5)
    assert options.crop == "fer"
    mirrored = chosen("--compat=fer", "--views=2")
    assert (mirrored.views, mirrored.crop) == (2, "fer")


@pytest.mark.parametrize(
    "options",
    [
        EngineOptions(),
        EngineOptions.as_fer("fer", "all"),
        EngineOptions(min_face_size=40),
        EngineOptions(min_face_size=Percent("2.50%")),
        EngineOptions(views=6),
        EngineOptions(views=2, crop="fer"),
    ],
)
def test_arguments_spell_the_options(options: EngineOptions) -> None:
    assert chosen(*engine_arguments(options)) == options


@pytest.mark.parametrize(
    ("text", "height", "width", "pixels"),
    [
        ("3%", 1080, 1920, 58),
        ("3%", 1920, 1080, 58),
        ("3%", 360, 640, 19),
        ("2.5%", 720, 1280, 32),
        ("100%", 720, 1280, 1280),
        ("3%", 240, 320, 12),
        ("0.001%", 1080, 1920, 12),
        ("40", 1080, 1920, 40),
        ("40", 360, 640, 40),
    ],
)
def test_smallest_face_is_pixels_or_a_share_of_the_longer_side_and_never_under_12(
    text: str, height: int, width: int, pixels: int
) -> None:
    options = chosen(f"--min-face-size={text}")
    assert options.min_face_pixels(height, width) == pixels
    assert str(options.min_face_size) == text


@pytest.mark.parametrize(
    "text",
    ["0%", "0.0%", "101%", "3 %", "-3%", "3.%", ".5%", "nan%", "1e1%", "%", "abc", "11"],
)
def test_a_size_that_is_neither_is_one_line(text: str) -> None:
    outcome = CliRunner().invoke(main, ["run", f"--min-face-size={text}"])
    assert outcome.exit_code == 2
    *_, line = outcome.stderr.strip().splitlines()
    assert line.startswith("Error: Invalid value for '--min-face-size': ")
    assert text in line


def test_options_with_per_cent_go_to_other_processes_and_into_caches() -> None:
    options = EngineOptions(min_face_size=Percent("3%"))
    there = pickle.loads(pickle.dumps(options))
    assert there == options
    assert there.min_face_pixels(1080, 1920) == 58
    assert len({options, there, EngineOptions(min_face_size=3), EngineOptions()}) == 3


def limits_of(*arguments: str, **environment: str) -> Limits:
    """The limits that `run` gets with these arguments and this environment."""
    got: list[Limits] = []

    @click.command()
    @limit_options
    def run(limits: Limits) -> None:
        got.append(limits)

    outcome = CliRunner().invoke(
        run, list(arguments), env=environment, auto_envvar_prefix="FER_WORKER_RUN"
    )
    assert outcome.exit_code == 0, outcome.output
    return got[0]


def test_limits_are_those_of_the_documents_unless_told_otherwise() -> None:
    assert limits_of() == Limits()


def test_every_limit_has_an_option_and_a_variable() -> None:
    chosen = {
        "max-message-bytes": 1000,
        "max-batch-pixels": 600,
        "max-frame-bytes": 500,
        "max-frame-pixels": 400,
    }
    expected = Limits(
        max_bytes=1000,
        max_pixels=600,
        frame=FrameLimits(max_bytes=500, max_pixels=400),
    )
    assert limits_of(*(f"--{name}={value}" for name, value in chosen.items())) == expected
    variables = {
        f"FER_WORKER_RUN_{name.upper().replace('-', '_')}": str(value)
        for name, value in chosen.items()
    }
    assert limits_of(**variables) == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run --min-face-probability=nan", "'nan' is no finite number"),
        ("run --drain-timeout=nan", "'nan' is no finite number"),
        ("run --hang-timeout=inf", "inf is not in the range 2<=x<=86400"),
        ("scale 1 --timeout=86401", "86401.0 is not in the range 0<=x<=86400"),
        ("bench --timeout=0", "0.0 is not in the range 0<x<=86400"),
        ("bench --stability=inf", "'inf' is no finite number"),
        ("evaluate . --timeout=nan", "'nan' is no finite number"),
    ],
)
def test_number_that_is_none_and_a_time_of_more_than_a_day_are_wrong_usage(
    line: str, said: str
) -> None:
    outcome = CliRunner().invoke(main, line.split())
    assert outcome.exit_code == 2
    assert said in outcome.stderr


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("3", {"processes": 3}),
        ("0", {"processes": 0}),
        ("+2", {"change": 2}),
        ("-1", {"change": -1}),
    ],
)
def test_amount_is_a_number_or_a_change(text: str, fields: dict[str, Any]) -> None:
    assert Amount().convert(text, None, None) == ScaleCommand(**fields)
