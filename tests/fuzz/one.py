"""One target in this process, which the fuzzer then owns: `python -m tests.fuzz.one codec FILE`."""

import sys

import atheris

# What is imported here tells the fuzzer which of its lines an input reached.
with atheris.instrument_imports(
    include=["fer_worker", "fer_client", "fer_schemas", "pika.data", "pika.spec"]
):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    atheris.Setup(sys.argv[1:], TARGETS[sys.argv[1]])
    atheris.Fuzz()
