"""The program `fer-worker`; `python -m fer_worker` is the same."""

import signal
import sys


def main() -> None:
    """Run the command that the arguments name, and end the process."""
    # Nothing of ours is imported at the top: Ctrl-C may come while it is. It ends the process as it
    # ends one that is not written in Python, until there is something to clean up.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from fer_worker.tools.interruption import leaving_on_signals

    with leaving_on_signals():
        from fer_worker.cli import main as command
        from fer_worker.platform import system

        system.prepare_output()
        if not sys.argv[1:] and system.has_own_console():
            from fer_worker.cli.window import serve_in_window

            serve_in_window(lambda: command(["gateway"], prog_name="fer-worker"))
        command(prog_name="fer-worker")


if __name__ == "__main__":
    main()
