# What is missing is installed first: `.venv` and promtool here, and by apt, after saying so, RabbitMQ,
# venv, a C++ compiler and, for the tests, Chromium, strace and GStreamer's RTSP server.
# PYTHON=python3.12 chooses the interpreter, PYTEST_ARGS="-k name" goes to pytest,
# BENCH_ARGS="--images FOLDER" to the benchmarks.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv rabbitmq demo test test-sanitized check lint test-docs test-packaging test-lowest test-rabbitmq4 \
	test-arm test-windows test-containers test-wheels test-program soak fuzz reference test-reference bench asyncapi \
	promtool chromium strace rtsp-server clean wheels program sbom debian-12 debian-13 debian-bare

BIN := .venv/bin
# The tests start a thousand processes: what is ours is compiled once, not in each of them.
unexport PYTHONDONTWRITEBYTECODE
NATIVE := worker/fer_worker/inference/native
BUILT_FROM := pyproject.toml client/pyproject.toml CMakeLists.txt constraints.txt $(wildcard $(NATIVE)/*.?pp)
PYTEST_ARGS ?=
BENCH_ARGS ?=
FUZZ_INPUTS ?= 1000000
# Each test process may run a broker and worker processes of its own, and waits for them half of the
# time: three keep two cores busy. In the order of the folders, the quick unit tests come last.
QUICK := tests/unit tests/contract tests/client
TESTS := tests/faults tests/engine tests/e2e tests/broker tests/contract tests/client tests/fuzz tests/unit
NATIVE_TESTS := tests/engine/test_compiled.py tests/unit/test_suppression.py tests/unit/test_frames.py \
	tests/unit/test_hostile_frames.py tests/unit/test_damaged_frames.py
LONG_TESTS := tests/faults/test_quarantine.py tests/e2e/test_killing_frames.py
PYTEST := -m pytest -n 3 --dist loadfile --no-loadscope-reorder

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: .venv/default.stamp rabbitmq ## broker, workers and sample frames on this machine, start to end
	$(BIN)/fer-worker demo

test: .venv/dev.stamp rabbitmq promtool chromium strace rtsp-server ## all tests of the programs, without the fer library
	$(BIN)/python $(PYTEST) -m "not reference" $(TESTS) $(PYTEST_ARGS)

test-docs: .venv/dev.stamp rabbitmq chromium ## what pages say: commands, links, examples, benchmarks
	$(BIN)/python $(PYTEST) tests/docs $(PYTEST_ARGS)

test-packaging: .venv/dev.stamp ## wheels and sdists: what is in them, and what they bring
	$(BIN)/python -m pytest -m packaging tests/packaging $(PYTEST_ARGS)

test-containers: .venv/dev.stamp ## images, the compose stack and a pod, on a Docker engine: the one at hand, or its own (as root)
	scripts/with_docker.sh $(BIN)/python -m pytest -m containers tests/containers $(PYTEST_ARGS)

wheels: .venv/dev.stamp ## wheels and sdists for this machine, in dist/
	@scripts/make_wheels.sh

program: wheels ## dist/fer-worker: the command in one file, with its own Python, for Linux
	@scripts/make_program.sh

sbom: wheels ## dist/fer-worker.cdx.json: what the default installation consists of, as CycloneDX
	@scripts/make_sbom.sh

test-wheels: debian-12 debian-13 wheels ## install them as a user does, in an empty Debian 12 and 13 (1.2 GB, as root)
	$(BIN)/python -m pytest -m debian tests/packaging/test_wheels.py $(PYTEST_ARGS)

test-program: debian-13 debian-bare program rabbitmq ## use it in a Debian 13 without Python (1.5 GB, as root)
	$(BIN)/python -m pytest -m debian tests/packaging/test_program.py $(PYTEST_ARGS)

test-lowest: rabbitmq promtool ## the quick tests at the lowest versions that are allowed
	scripts/lowest_versions.sh .venv-lowest
	.venv-lowest/bin/python -m pytest -q -m "not broker and not reference" $(QUICK)

test-sanitized: .venv/dev.stamp ## the tests of the compiled code, under AddressSanitizer and UBSan
	CXXFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -g1" $(BIN)/python -m pip install \
		-qq --disable-pip-version-check --no-deps --upgrade --target build/sanitized .
	LD_PRELOAD="$$(c++ -print-file-name=libasan.so) $$(c++ -print-file-name=libstdc++.so.6)" \
		ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=build/sanitized $(BIN)/python -m pytest -q $(NATIVE_TESTS)

check: lint promtool ## all of `lint`, and the tests that need no broker
	$(BIN)/python -m pytest -q -m "not broker and not reference" $(QUICK)

lint: .venv/dev.stamp ## format, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run --Werror $(NATIVE)/*.?pp
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 -p fer_worker -p fer_client -p fer_schemas
	$(BIN)/mypy deploy/healthcheck.py deploy/grafana/make_dashboard.py packaging/*.py scripts/*.py
	$(BIN)/lint-imports

test-rabbitmq4: .venv/dev.stamp rabbitmq ## contract, faults, permissions on RabbitMQ 4: makes a Debian 13 (0.5 GB, as root)
	@scripts/make_rabbitmq4.sh
	FER_WORKER_RABBITMQ_SERVER=$(CURDIR)/build/rabbitmq4/bin/rabbitmq-server \
		$(BIN)/python $(PYTEST) -m broker tests/contract tests/broker tests/faults \
		tests/e2e/test_permissions.py $(PYTEST_ARGS)

test-arm: .venv/dev.stamp rabbitmq ## the sample frames and a run on an emulated arm64: makes a Debian 13 (0.5 GB, as root)
	@scripts/make_arm.sh $(BIN)/python
	$(BIN)/python -m pytest tests/arm $(PYTEST_ARGS)

test-windows: .venv/dev.stamp rabbitmq ## Windows by Wine: kernels, commands, one-file program (4 GB, as root on Debian)
	@scripts/make_wine.sh
	@scripts/make_exe.sh
	$(BIN)/python -m pytest -m windows tests/windows $(PYTEST_ARGS)

soak: .venv/dev.stamp rabbitmq ## every fault at random under load, SOAK_MINUTES=1 (SOAK_SEED=7 repeats it); long storms
	$(BIN)/python -m tests.soak
	FER_WORKER_TEST_LONG=1 $(BIN)/python $(PYTEST) -k "storm or killing" $(LONG_TESTS)

test-reference: reference ## compare with the fer library itself (installs 8 GB); largest faces everywhere
	.venv-reference/bin/python -m pytest -m reference $(PYTEST_ARGS)
	FER_WORKER_TEST_EVERY_FRAME=1 .venv-reference/bin/python $(PYTEST) tests/engine/test_largest.py

bench: reference ## measure it beside the fer library: installs 8 GB, takes twenty minutes
	.venv-reference/bin/python -m benchmarks $(BENCH_ARGS)

fuzz: .venv/fuzz.stamp ## feed hostile bytes to what reads messages and frames; FUZZ_INPUTS=1000000
	$(BIN)/python -m tests.fuzz $(FUZZ_INPUTS)

asyncapi: ## validate schemas/fer_schemas/asyncapi.yaml; needs npm
	@scripts/validate_asyncapi.sh

venv: .venv/dev.stamp ## the development environment, in .venv

clean: ## remove all that was made here
	rm -rf $(patsubst %/made.stamp,%,$(wildcard .venv*/made.stamp)) build dist demo-output
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .fuzz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

reference:
	@test -e .venv-reference/reference.stamp || echo "The fer library and what it needs take 8 GB."
	@$(MAKE) --no-print-directory .venv-reference/reference.stamp rabbitmq

rabbitmq:
	@scripts/install_rabbitmq.sh

debian-12:
	@RELEASE=bookworm scripts/make_debian.sh build/debian-12/root python3-venv rabbitmq-server

debian-13:
	@scripts/make_debian.sh build/debian-13/root python3-venv rabbitmq-server

debian-bare:
	@scripts/make_debian.sh build/debian-bare/root

promtool:
	@scripts/install_promtool.sh

chromium:
	@scripts/install_chromium.sh

rtsp-server:
	@scripts/install_rtsp_server.sh

strace:
	@command -v strace >/dev/null || scripts/apt_install.sh strace strace || \
		echo "Going on without strace: whom commands speak to is not watched." >&2

.venv/default.stamp: $(BUILT_FROM)
	@scripts/make_venv.sh .venv .
	@touch $@

.venv/dev.stamp: $(BUILT_FROM)
	@scripts/make_venv.sh .venv '.[dev]'
	@touch .venv/default.stamp $@

.venv/fuzz.stamp: $(BUILT_FROM)
	@scripts/make_venv.sh .venv '.[dev,fuzz]'
	@touch .venv/default.stamp .venv/dev.stamp $@

.venv-reference/reference.stamp: $(BUILT_FROM)
	@scripts/make_venv.sh .venv-reference '.[fer,export,bench,dev]'
	@scripts/check_opencv.sh .venv-reference
	@touch $@
