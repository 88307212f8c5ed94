#!/usr/bin/env bash
# Make a virtual environment, if it is not there, and install the project into it.
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

# The detector is compiled, where that can be; without a compiler it takes twice the time.
if ! command -v c++ >/dev/null; then
    scripts/apt_install.sh "A C++ compiler" g++ || echo "Going on without a C++ compiler." >&2
fi

# One that is left from before must not outlive a failing build.
suffix=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
rm -f "worker/inference/compiled/_mtcnn$suffix"

echo "Installing $project into $venv" >&2
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-input \
    --constraint constraints.txt --editable "$project"
