"""`python -m worker` is `fer-worker`."""

from fer_worker.cli import main

if __name__ == "__main__":
    main(prog_name="fer-worker")
