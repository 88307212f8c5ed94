"""Options that several commands share."""

import dataclasses
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, get_args

import click

from fer_client.config import DEFAULT_NAMESPACE, DEFAULT_URL, BrokerConfig, TlsFiles
from fer_schemas import FaceSelection
from fer_worker.cli.ranges import NumberRange
from fer_worker.inference.types import Crop, EngineName, EngineOptions, KernelsName, Views

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
        return command(broker, *args, **kwargs)

    return with_broker


def _tls_option(name: str, purpose: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    variable = f"FER_WORKER_TLS_{name.upper()}"
    return click.option(
        f"--tls-{name}",
        envvar=variable,
        type=click.Path(path_type=Path),
        help=f"{purpose}  [env: {variable}]",
    )


_CHOSEN: Final = (
    "detector_color",
    "min_face_probability",
    "min_face_size",
    "crop",
    "align",
    "views",
    "kernels",
)
"""Options of an engine that win over what `--compat` sets, by their names here and there."""


def engine_options(
    command: Callable[Concatenate[EngineOptions, Parameters], Result],
) -> Callable[..., Result]:
    """Add `--engine`, `--compat` and what they set; the command gets one `EngineOptions`, first."""

    @click.option(
        "--engine",
        type=click.Choice(get_args(EngineName)),
        default="openvino",
        help="FER's networks on OpenVINO, or the fer library itself (extra [fer]).",
    )
    @click.option(
        "--compat",
        type=click.Choice(["fer"]),
        help="FER's own answers, box for box. Always so with --engine fer.",
    )
    @click.option(
        "--faces",
        type=click.Choice(get_args(FaceSelection)),
        default="first",
        help="Faces to analyse in a frame whose request does not say.",
    )
    @click.option(
        "--detector-color",
        type=click.Choice(["rgb", "bgr"]),
        show_default="rgb",
        help="What the detector is shown.",
    )
    @click.option(
        "--min-face-probability",
        type=NumberRange(0, 1),
        show_default="0.9",
        help="Drop faces that the detector is less sure of.",
    )
    @click.option(
        "--min-face-size",
        type=click.IntRange(12),
        show_default="20",
        help="Side in pixels of the smallest face to look for.",
    )
    @click.option(
        "--crop",
        type=click.Choice(get_args(Crop)),
        show_default="tight",
        help="What the emotion network is shown of a face.",
    )
    @click.option(
        "--align/--no-align",
        default=None,
        show_default="no-align",
        help="Turn what it is shown with the face, so that its eyes are level.",
    )
    @click.option(
        "--views",
        type=click.Choice([str(views) for views in get_args(Views)]),
        callback=lambda _context, _parameter, value: value and int(value),
        show_default="1",
        help="Average over views of a face: 2 with its mirror image, 6 in three sizes, too.",
    )
    @click.option(
        "--kernels",
        type=click.Choice(get_args(KernelsName)),
        default="auto",
        help="What runs the detector in the engine openvino: compiled code, or OpenVINO.",
    )
    @wraps(command)
    def with_engine(
        *args: Any, engine: EngineName, compat: str | None, faces: FaceSelection, **kwargs: Any
    ) -> Result:
        as_fer = compat == "fer" or engine == "fer"
        base = EngineOptions.as_fer(engine, faces) if as_fer else EngineOptions(engine, faces)
        given = {name: kwargs.pop(name) for name in _CHOSEN}
        chosen = {name: value for name, value in given.items() if value is not None}
        return command(dataclasses.replace(base, **chosen), *args, **kwargs)

    return with_engine


def engine_arguments(options: EngineOptions) -> list[str]:
    """Spell engine options as arguments of a command that has `engine_options`."""
    return [
        f"--engine={options.name}",
        f"--faces={options.faces}",
        f"--detector-color={options.detector_color}",
        f"--min-face-probability={options.min_face_probability}",
        f"--min-face-size={options.min_face_size}",
        f"--crop={options.crop}",
        "--align" if options.align else "--no-align",
        f"--views={options.views}",
        f"--kernels={options.kernels}",
    ]
