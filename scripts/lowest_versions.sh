#!/usr/bin/env bash
# Make a virtual environment with the lowest versions that both projects allow.
#   scripts/lowest_versions.sh .venv-lowest
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$1
scripts/make_venv.sh "$venv" '.[dev]'
"$venv/bin/python" -m pip install -qq --disable-pip-version-check uv
# Of the tools for tests any version will do: only what a user installs is lowered.
lowest=$(mktemp)
trap 'rm -f "$lowest"' EXIT
"$venv/bin/python" scripts/print_dependencies.py http report plot evaluate |
    "$venv/bin/uv" pip compile --quiet --resolution lowest-direct --no-header --no-annotate \
        --python "$venv/bin/python" - >"$lowest"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --requirement "$lowest"
