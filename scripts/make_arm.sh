#!/usr/bin/env bash
# Make an arm64 to test with, in build/arm: the Python of a Debian 13 for that machine, fer-worker
# cross-compiled and its dependencies from their wheels. build/arm/root/usr/bin/python runs it, emulated.
# Needs root, on Debian or Ubuntu.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$1
folder=build/arm
root=$folder/root
site=$root/usr/lib/python3/dist-packages

ARCH=arm64 scripts/make_debian.sh $root python3
command -v qemu-aarch64 >/dev/null || scripts/apt_install.sh "An emulator of arm64" qemu-user
command -v aarch64-linux-gnu-g++ >/dev/null ||
    scripts/apt_install.sh "A C++ compiler for arm64" g++-aarch64-linux-gnu

# A program that it starts by Python's own path, as a worker process, is emulated as well: Python takes
# the name that it is called by for its path, and finds its library from there.
cat >$root/usr/bin/python <<'END'
#!/bin/sh
exec qemu-aarch64 -cpu cortex-a72 -L "${0%/usr/bin/*}" -0 "$0" "${0%/*}/python3.13" "$@"
END
chmod +x $root/usr/bin/python

needed=$folder/needed.txt
"$python" scripts/print_dependencies.py | cat - constraints.txt >$needed.new
if ! cmp -s $needed.new $needed; then
    echo "Installing what fer-worker needs on arm64" >&2
    "$python" scripts/print_dependencies.py >$folder/dependencies.txt
    "$python" -m pip install -qq --upgrade --target $site --constraint constraints.txt \
        --platform manylinux_2_28_aarch64 --platform manylinux_2_17_aarch64 \
        --platform manylinux2014_aarch64 --python-version 3.13 --only-binary :all: \
        --requirement $folder/dependencies.txt
    mv $needed.new $needed
fi
rm -f $needed.new

echo "Compiling fer-worker for arm64" >&2
rm -rf $folder/wheels
_PYTHON_HOST_PLATFORM=linux-aarch64 CXX=aarch64-linux-gnu-g++ \
    "$python" -m pip wheel -qq --no-deps --wheel-dir $folder/wheels ./client . \
    -C cmake.define.CMAKE_SYSTEM_NAME=Linux -C cmake.define.CMAKE_SYSTEM_PROCESSOR=aarch64
"$python" -m pip install -qq --no-deps --upgrade --target $site --platform linux_aarch64 \
    --python-version 3.13 $folder/wheels/*.whl
