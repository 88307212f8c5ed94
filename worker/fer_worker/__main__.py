"""The program `fer-worker`; `python -m fer_worker` is the same."""

import sys


def main() -> None:
    """Run the command that the arguments name, and end the process."""
    # Nothing is imported at the top: Ctrl-C may come while it is.
    try:
        from fer_worker.tools.interruption import leaving_on_signals
    except KeyboardInterrupt:
        sys.exit(130)
    with leaving_on_signals():
        from fer_worker.cli import main as command
        from fer_worker.platform import prepare_output

        prepare_output()
        command(prog_name="fer-worker")


if __name__ == "__main__":
    main()
