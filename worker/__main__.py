"""`python -m worker` is `fer-worker`."""

from worker.cli import main

if __name__ == "__main__":
    main(prog_name="fer-worker")
