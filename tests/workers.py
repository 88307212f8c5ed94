"""`fer-worker run` with an engine of the tests in its processes.

python -m tests.workers FaultyEngine --processes=2
"""

import sys
from functools import partial

from fer_worker.inference.types import Engine, EngineOptions
from tests import engines


def create(name: str, options: EngineOptions, kernel: str | None) -> Engine:
    """Make an engine of the tests; called in worker processes."""
    engine: Engine = getattr(engines, name)()
    return engine


if __name__ == "__main__":
    from fer_worker.cli.run import run  # not at the top: worker processes import this file, too

    engine, *arguments = sys.argv[1:]
    run.main(arguments, obj=partial(create, engine))
