"""Options that several commands share."""

import dataclasses
import shlex
from collections.abc import Callable
from dataclasses import Field, fields
from functools import wraps
from pathlib import Path
from typing import (
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import click

from fer_client.config import DEFAULT_NAMESPACE, DEFAULT_URL, BrokerConfig, TlsFiles
from fer_client.errors import BrokerUnavailableError
from fer_worker.cli.types import EngineChoice, FaceSize, NumberRange
from fer_worker.inference.types import EngineOptions
from fer_worker.logging_setup import LogFormat
from fer_worker.platform import system

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def broker_options(
    command: Callable[Concatenate[BrokerConfig, Parameters], Result],
) -> Callable[..., Result]:
    """Add what says where the broker is; the command gets one `BrokerConfig`, first."""

    @click.option(
        "--amqp-url",
        envvar="FER_WORKER_AMQP_URL",
        show_default=DEFAULT_URL,
        metavar="URL[,URL…]",
        help="The broker, or several nodes of one.  [env: FER_WORKER_AMQP_URL]",
    )
    @click.option(
        "--amqp-url-file",
        envvar="FER_WORKER_AMQP_URL_FILE",
        type=click.Path(path_type=Path),
        help="A file that holds the URL, instead.  [env: FER_WORKER_AMQP_URL_FILE]",
    )
    @_tls_option("ca", "Authorities to trust for amqps:// instead of the system's, in PEM.")
    @_tls_option("cert", "Certificate of our own for amqps://, in PEM.")
    @_tls_option("key", "Its key, where it is not in the same file.")
    @click.option(
        "--namespace",
        envvar="FER_WORKER_NAMESPACE",
        default=DEFAULT_NAMESPACE,
        help="What the names of all queues begin with.  [env: FER_WORKER_NAMESPACE]",
    )
    @wraps(command)
    def with_broker(
        *args: Any,
        amqp_url: str | None,
        amqp_url_file: Path | None,
        tls_ca: Path | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        namespace: str,
        **kwargs: Any,
    ) -> Result:
        tls = TlsFiles(tls_ca, tls_cert, tls_key)
        if amqp_url is not None and amqp_url_file is not None:
            raise click.UsageError("--amqp-url and --amqp-url-file exclude each other")
        if amqp_url_file is not None:
            broker = BrokerConfig.from_file(amqp_url_file, namespace, tls)
        else:
            broker = BrokerConfig.from_url(amqp_url or DEFAULT_URL, namespace, tls)
        try:
            return command(broker, *args, **kwargs)
        except BrokerUnavailableError as error:
            if system.NO_EMBEDDED_BROKER is None or amqp_url or amqp_url_file:
                raise
            raise BrokerUnavailableError(f"{error}; {system.NO_EMBEDDED_BROKER}") from error

    return with_broker


def _tls_option(name: str, purpose: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    variable = f"FER_WORKER_TLS_{name.upper()}"
    return click.option(
        f"--tls-{name}",
        envvar=variable,
        type=click.Path(path_type=Path),
        help=f"{purpose}  [env: {variable}]",
    )


def log_options(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Add what says which lines are logged, and how; the command gets both by name."""
    add_level = click.option(
        "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info"
    )
    add_format = click.option(
        "--log-format",
        type=click.Choice(get_args(LogFormat)),
        default="text",
        help="Lines for a terminal, or one JSON object per line.",
    )
    return add_level(add_format(command))


def engine_options(
    command: Callable[Concatenate[EngineOptions, Parameters], Result],
) -> Callable[..., Result]:
    """Add an option for each field of `EngineOptions`, and `--compat`.

    The command gets one `EngineOptions`, first.
    """

    @wraps(command)
    def with_engine(*args: Any, compat: str | None, **kwargs: Any) -> Result:
        given = {field.name: kwargs.pop(_parameter(field)) for field in fields(EngineOptions)}
        chosen = {name: value for name, value in given.items() if value is not None}
        as_fer = compat == "fer" or chosen.get("name") == "fer"
        base = EngineOptions.as_fer() if as_fer else EngineOptions()
        return command(dataclasses.replace(base, **chosen), *args, **kwargs)

    add_compat = click.option(
        "--compat",
        type=click.Choice(["fer"]),
        help="FER's own answers, box for box. Always so with --engine fer.",
    )
    decorated: Callable[..., Result] = add_compat(with_engine)
    for field in reversed(fields(EngineOptions)):
        decorated = _engine_option(field)(decorated)
    return decorated


def _engine_option(field: Field[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the option that sets a field; without it the value is that of the field, or of fer."""
    hint = get_type_hints(EngineOptions)[field.name]
    flag = _parameter(field).replace("_", "-")
    shown = str(field.default)
    kind: click.ParamType[Any]
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        kind = EngineChoice(choices) if field.name == "name" else click.Choice(choices)
    else:
        kind = (NumberRange if hint is float else FaceSize)(*field.metadata["within"])
    return click.option(
        f"--{flag}", type=kind, default=None, show_default=shown, help=field.metadata["help"]
    )


def _parameter(field: Field[Any]) -> str:
    return "engine" if field.name == "name" else field.name


def engine_arguments(options: EngineOptions) -> list[str]:
    """Spell engine options as arguments of a command that has `engine_options`."""
    arguments = []
    for field in fields(options):
        flag = _parameter(field).replace("_", "-")
        arguments.append(f"--{flag}={getattr(options, field.name)}")
    return arguments


@click.command(add_help_option=False)
@engine_options
def _engine(options: EngineOptions) -> EngineOptions:
    return options


ENGINE_PARAMETERS = tuple(option.name for option in _engine.params if option.name is not None)
"""What `engine_options` adds to a command."""


class EngineArguments(click.ParamType[EngineOptions]):
    """Engine options as they are typed in a command: `--compat fer --min-face-size 40`."""

    name = "options"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> EngineOptions:
        """Read options as a shell and `engine_options` do."""
        if isinstance(value, EngineOptions):
            return value
        try:
            options = _engine.main(shlex.split(str(value)), standalone_mode=False)
        except click.ClickException as error:
            self.fail(error.format_message(), param, ctx)
        except ValueError as error:  # a quotation mark without its partner
            self.fail(str(error), param, ctx)
        assert isinstance(options, EngineOptions)
        return options
