"""The command `fer-worker`: each module parses, calls and prints."""
