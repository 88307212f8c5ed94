#!/usr/bin/env bash
# Make a virtual environment, if it is not there, and install both distributions into it.
#   scripts/make_venv.sh .venv '.[dev]'
# PYTHON names the interpreter; else it is the first good one of those below.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$1
project=$2

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        # Run it: a shim may be on the PATH for a version that is not installed.
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or later is missing${PYTHON:+: $PYTHON is not one}." >&2
    return 1
}

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "Making $venv with $("$python" --version)" >&2
    rm -rf "$venv"
    if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
        rm -rf "$venv"
        # Debian and Ubuntu keep what venv needs in a package of its own.
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        scripts/apt_install.sh "Python's venv" "$package"
        "$python" -m venv "$venv"
    fi
fi

# The detector's kernels are compiled.
command -v c++ >/dev/null || scripts/apt_install.sh "A C++ compiler" g++

echo "Installing $project into $venv" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-input \
    --constraint constraints.txt --editable ./client --editable "$project" 2>"$log"; then
    # Of a failed compilation the compiler's own lines are enough.
    grep -oE '[^ ]+:[0-9]+:[0-9]+: (fatal )?error: .*' "$log" >&2 || cat "$log" >&2
    exit 1
fi
