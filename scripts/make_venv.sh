#!/usr/bin/env bash
# Make a virtual environment, if it is not there, and install both distributions into it.
#   scripts/make_venv.sh .venv '.[dev]'
# PYTHON names the interpreter; else it is the first good one of those below.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$1
project=$2
mark=$venv/made.stamp # only what was made here is ever removed

# Run it: a shim may be on the PATH for a version that is not installed.
is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate candidates=(python3.13 python3.12 python3.11 python3)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        if is_recent "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or later is missing${PYTHON:+: $PYTHON is not one}." >&2
    return 1
}

if ! is_recent "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    if [ -e "$venv" ] && [ ! -e "$mark" ]; then
        echo "$venv was not made here, and is no environment of Python 3.11 or later with pip." \
            "Move it away, or install pip into it." >&2
        exit 1
    fi
    python=$(find_python)
    # Debian and Ubuntu keep what venv needs in a package of its own.
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        scripts/apt_install.sh "Python's venv" "$package"
    fi
    echo "Making $venv with $("$python" --version)" >&2
    rm -rf "$venv"
    mkdir "$venv"
    touch "$mark"
    "$python" -m venv "$venv" >&2
fi

# The detector's kernels are compiled.
[ -n "${CXX:-}" ] || command -v c++ >/dev/null || scripts/apt_install.sh "A C++ compiler" g++

echo "Installing $project into $venv" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-input \
    --constraint constraints.txt --editable ./client --editable "$project" 2>"$log"; then
    # Of a failed compilation the compiler's own lines are enough, and without a network pip says
    # at the end that there is no such package.
    grep -oE '[^ ]+:[0-9]+:[0-9]+: (fatal )?error: .*' "$log" >&2 ||
        sed -nE "s/.*connection broken by .*: ([^']+)'\)+'.*/pip reaches no package index: \1/p" \
            "$log" | sort -u | grep . >&2 || cat "$log" >&2
    exit 1
fi
