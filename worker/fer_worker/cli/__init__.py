"""The command `fer-worker`: each module here parses, calls and prints."""

import importlib
import sys
from typing import Any

import click

from fer_worker import __version__
from fer_worker.errors import explain

COMMANDS = {
    "run": "fer_worker.cli.run:run",
    "scale": "fer_worker.cli.scale:scale",
    "status": "fer_worker.cli.status:status",
    "submit": "fer_worker.cli.submit:submit",
    "gateway": "fer_worker.cli.gateway:gateway",
    "report": "fer_worker.cli.report:report",
    "bench": "fer_worker.cli.bench:bench",
    "evaluate": "fer_worker.cli.evaluate:evaluate",
    "dead": "fer_worker.cli.dead:dead",
    "results": "fer_worker.cli.results:results",
    "demo": "fer_worker.cli.demo:demo",
    "broker": "fer_worker.cli.broker:broker",
    "export-models": "fer_worker.cli.export_models:export_models",
}


class _Commands(click.Group):
    """Loads a command only when it is used, and turns our errors into one line and a code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].partition("=")[0] == "--port":
            args = ["gateway", *args]  # so the module was started that came before
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except Exception as error:
            failure = explain(error)
            if failure is None:
                raise
            click.echo(f"fer-worker: {failure}", err=True)
            sys.exit(failure.exit_code)


@click.command(
    cls=_Commands,
    context_settings={
        "auto_envvar_prefix": "FER_WORKER",
        "help_option_names": ["-h", "--help"],
        "show_default": True,
    },
)
@click.version_option(__version__, prog_name="fer-worker")
def main() -> None:
    """Facial emotions for batches of JPEG frames, over RabbitMQ.

    Every option can be set as an environment variable FER_WORKER_<COMMAND>_<OPTION>; the broker
    for all commands as FER_WORKER_AMQP_URL. Results go to stdout, progress and logs to stderr.
    `fer-worker --port 8000` is `fer-worker gateway --port 8000`.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the broker refuses us or did not come, 4 the
    engine failed to start, 5 no answer in time, 130 after Ctrl-C, 143 after SIGTERM.
    """
