#!/usr/bin/env bash
# Make dist/fer-worker.cdx.json: all that an installation of the wheels in dist/ without extras consists
# of, in the versions of constraints.txt, as a CycloneDX SBOM.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=.venv/bin
venv=build/sbom/venv
rm -rf $venv
$bin/python -m venv --without-pip $venv
# By name, so that no path of this machine is written down.
$bin/python -m pip --python $venv install -qq --disable-pip-version-check --no-input \
    --constraint constraints.txt --find-links dist fer-worker
$bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
    --output-file dist/fer-worker.cdx.json $venv
echo "dist/fer-worker.cdx.json: $(grep -c '"purl"' dist/fer-worker.cdx.json) components"
